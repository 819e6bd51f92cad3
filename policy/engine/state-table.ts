// State of the subject x class of the operation, a closed table (design: decision order, step 2). What passes here
// still meets denies and grants. Nobody gains anything by a worse state: each row admits no more than the one above it
// in the order trusted, stale, suspect, recovering, quarantined, and none.
import type { SliceOperation } from '../bundle/slice.ts';
import type { SubjectState } from './request.ts';

export type SafetyClass = SliceOperation['class'];

/** `island` admits only operations marked for island mode. */
export type Admission = 'yes' | 'island' | 'no';

export interface StateRow {
  readonly safety: Admission;
  readonly normal: Admission;
  readonly sensitive: Admission;
  /** The last appraisal is missing or contradicted: attestation counts as class `none`, whatever an attribute says. */
  readonly unattested: boolean;
  /** Set by an order: observe mode does not soften it. */
  readonly contained: boolean;
}

const nothing = { safety: 'no', normal: 'no', sensitive: 'no', unattested: true } as const;

export const stateTable: Readonly<Record<SubjectState, StateRow>> = {
  trusted: { safety: 'yes', normal: 'yes', sensitive: 'yes', unattested: false, contained: false },
  stale: { safety: 'yes', normal: 'yes', sensitive: 'island', unattested: false, contained: false },
  suspect: { safety: 'yes', normal: 'yes', sensitive: 'island', unattested: true, contained: false },
  enrolled: { safety: 'yes', normal: 'yes', sensitive: 'island', unattested: true, contained: false },
  recovering: { safety: 'yes', normal: 'island', sensitive: 'island', unattested: true, contained: true },
  quarantined: { safety: 'island', normal: 'island', sensitive: 'island', unattested: true, contained: true },
  unknown: { ...nothing, contained: false },
  expected: { ...nothing, contained: false },
  decommissioned: { ...nothing, contained: true },
  revoked: { ...nothing, contained: true },
};

/** The row of a state that came from outside; what is not in the table is unknown. */
export function rowOf(state: string): StateRow {
  return Object.hasOwn(stateTable, state) ? stateTable[state as SubjectState] : stateTable.unknown;
}

export function admitsNothing(row: StateRow): boolean {
  return row.safety === 'no' && row.normal === 'no' && row.sensitive === 'no';
}
