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
  /** Set by an order, or by island mode: observe mode does not soften it. */
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

/** What a device in island mode leaves to any subject: safety operations, and those marked for it. */
const islandMode = { safety: 'yes', normal: 'island', sensitive: 'island' } as const;

const stricter = (a: Admission, b: Admission): Admission => {
  if (a === 'no' || b === 'no') return 'no';
  return a === 'island' || b === 'island' ? 'island' : 'yes';
};

/** The table while this device is in island mode: each cell the stricter of the state's and of island mode's. */
export const islandTable: Readonly<Record<SubjectState, StateRow>> = Object.fromEntries(
  Object.entries(stateTable).map(([state, row]): [string, StateRow] => [
    state,
    {
      safety: stricter(row.safety, islandMode.safety),
      normal: stricter(row.normal, islandMode.normal),
      sensitive: stricter(row.sensitive, islandMode.sensitive),
      unattested: row.unattested,
      contained: true,
    },
  ]),
) as Record<SubjectState, StateRow>;

/** The row of a state that came from outside; what is not in the table is unknown. `island`: this device is in island mode. */
export function rowOf(state: string, island = false): StateRow {
  const table = island ? islandTable : stateTable;
  return Object.hasOwn(table, state) ? table[state as SubjectState] : table.unknown;
}

export function admitsNothing(row: StateRow): boolean {
  return row.safety === 'no' && row.normal === 'no' && row.sensitive === 'no';
}
