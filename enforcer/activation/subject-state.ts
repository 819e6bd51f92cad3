// What this edge holds of a subject: the verdict of orders over the signed device state, capped by the age of what is
// known. Pure. Cutting the link never preserves a right: what is too old makes a trusted subject stale.
import { type AccessRequest, type SubjectState, subjectAttributes } from '../../policy/engine/index.ts';
import type { DeviceState } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { MAX_KEPT_SUBJECTS } from './limits.ts';
import type { TrustedTime } from './trusted-clock.ts';
import type { Verdict, VerdictEntry } from './verdicts.ts';

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

/** All that decisions know of subjects, as data that another process can hold. */
export interface SubjectView {
  /** The orders are lost: anybody might be quarantined. */
  readonly lost: boolean;
  readonly verdicts: ReadonlyMap<string, Pick<VerdictEntry, 'verdict'>>;
  readonly states: ReadonlyMap<string, DeviceState> | undefined;
  /** Milliseconds since the epoch at which states and revocations were signed; undefined for never. */
  readonly statesAt: number | undefined;
  readonly revocationsAt: number | undefined;
  /** Serials, lower case hex. */
  readonly revoked: ReadonlySet<string>;
}

/**
 * State and attributes of a subject, from the view of now at the time of now. `maxAgeMs`: after which states and
 * revocations are too old to keep a subject trusted. What is made of a device is kept while the view is the same.
 */
export function createSubjectState(
  view: () => SubjectView,
  time: () => TrustedTime,
  maxAgeMs: number,
): (deviceId: string) => Subject {
  let from: SubjectView | undefined;
  let wasCurrent = false;
  let made = new Map<string, Subject>();
  return (deviceId) => {
    const known = view();
    const { now, trusted } = time();
    const youngEnough = (issuedAt: number | undefined): boolean => issuedAt !== undefined && now - issuedAt <= maxAgeMs;
    const current = trusted && youngEnough(known.statesAt) && youngEnough(known.revocationsAt);
    if (known !== from || current !== wasCurrent || made.size >= MAX_KEPT_SUBJECTS) {
      from = known;
      wasCurrent = current;
      made = new Map();
    }
    let subject = made.get(deviceId);
    if (subject === undefined) made.set(deviceId, (subject = subjectOf(known, deviceId, current)));
    return subject;
  };
}

function subjectOf(view: SubjectView, deviceId: string, current: boolean): Subject {
  // While the orders are lost anybody might be quarantined, so nobody is known.
  if (view.lost) return unknown;
  return combine({
    signed: view.states?.get(deviceId),
    signedAt: view.statesAt ?? 0,
    verdict: view.verdicts.get(deviceId)?.verdict,
    current,
  });
}

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
