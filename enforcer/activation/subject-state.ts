// What this edge holds of a subject: the verdict of orders over the signed device state, capped by the age of what is
// known. Pure. Cutting the link never preserves a right: what is too old makes a trusted subject stale.
import { type AccessRequest, type SubjectState, subjectAttributes } from '../../policy/engine/index.ts';
import type { DeviceState } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Verdict } from './verdicts.ts';

export type Subject = Pick<AccessRequest['subject'], 'state' | 'attributes'>;

/** States that the control plane signs (stream.proto); `unknown` and `revoked` are made here. */
export const signedStates: ReadonlySet<string> = new Set<SubjectState>([
  'expected',
  'enrolled',
  'trusted',
  'stale',
  'suspect',
  'quarantined',
  'recovering',
  'decommissioned',
]);

const unknown: Subject = { state: 'unknown', attributes: {} };

export interface Known {
  /** Entry of the device in the signed states; undefined when they do not name it. */
  readonly signed: DeviceState | undefined;
  /** Milliseconds since the epoch at which the states were signed. */
  readonly signedAt: number;
  readonly verdict: Verdict | undefined;
  /** States and revocations are young enough, by a trusted clock. */
  readonly current: boolean;
}

export function combine({ signed, signedAt, verdict, current }: Known): Subject {
  if (verdict === 'revoked') return { state: 'revoked', attributes: {} };
  // Whom the states do not name is unknown here, contained or not; unknown admits nothing at all.
  if (signed === undefined) return unknown;
  const attributes = subjectAttributes({
    attestationClass: signed.attestationClass,
    attestedAt: Number(signed.attestedAtMs),
    risk: signed.risk,
    reduced: signed.reduced,
    asOf: signedAt,
  });
  return { state: stateOf(signed.state as SubjectState, verdict, current), attributes };
}

function stateOf(signed: SubjectState, verdict: Verdict | undefined, current: boolean): SubjectState {
  // The end of a device's life is above everything that was ordered while it lived.
  if (signed === 'decommissioned') return signed;
  if (verdict !== undefined) return verdict;
  return signed === 'trusted' && !current ? 'stale' : signed;
}
