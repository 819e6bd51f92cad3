// The vectors that travel with a bundle, asked before it is activated. A vector says nothing about time, so `allow`
// means allowed at some moment of the bundle's fresh life and `deny` at none: moments are the end of the fresh life,
// the last moment of each grant that ends earlier, and one inside each daily window.
import type { AttributeSource } from '../bundle/conditions.ts';
import type { SelfTestVector, SliceGrant } from '../bundle/slice.ts';
import { attributeNames, subjectAttributes } from './attributes.ts';
import { type Calendar, inDailyWindow } from './calendar.ts';
import type { Freshness } from './judge.ts';
import type { AccessRequest, Attribute, Decision, SubjectState } from './request.ts';

export interface SelfTestFailure {
  /** Position in the slice's list. */
  readonly index: number;
  readonly vector: SelfTestVector;
  readonly decision: Decision;
}

export interface SelfTestReport {
  readonly vectors: number;
  readonly passed: number;
  readonly failures: readonly SelfTestFailure[];
}

type Decide = (request: AccessRequest, freshness: Freshness) => Decision;

const dayMs = 86_400_000;

export function runSelfTest(
  vectors: readonly SelfTestVector[],
  grants: readonly SliceGrant[],
  softExpiry: number,
  decide: Decide,
): SelfTestReport {
  const failures: SelfTestFailure[] = [];
  for (const [index, vector] of vectors.entries()) {
    const decision = answer(vector, momentsOf(vector, grants, softExpiry), decide);
    if (decision.allow !== (vector.expect === 'allow')) failures.push({ index, vector, decision });
  }
  return { vectors: vectors.length, passed: vectors.length - failures.length, failures };
}

function answer(vector: SelfTestVector, moments: readonly number[], decide: Decide): Decision {
  const decisions = moments.map((time) => decide(vectorRequest(vector, time), 'fresh'));
  const last = decisions.at(-1);
  if (last === undefined) throw new Error('a vector is asked at one moment at least');
  // Observed is not allowed: the vector tests the policy, not the mercy of a trial period.
  const strict = decisions.map(({ observed, ...rest }) =>
    observed === undefined ? rest : { ...rest, allow: false, reason: observed },
  );
  return strict.find(({ allow }) => allow) ?? strict.at(-1) ?? last;
}

function momentsOf(vector: SelfTestVector, grants: readonly SliceGrant[], softExpiry: number): readonly number[] {
  const last = softExpiry - 1;
  const moments = [last];
  for (const grant of grants) {
    const concerned =
      grant.interface === vector.interface && grant.device === vector.device && grant.subjects.includes(vector.subject);
    if (!concerned) continue;
    const end = grant.until === undefined ? last : Math.min(grant.until - 1, last);
    moments.push(end, ...openMoment(grant.conditions, end));
  }
  return moments;
}

/** A moment of the week before `end` inside the daily window, where there is one. */
function openMoment(calendar: Calendar, end: number): number[] {
  if (calendar.timeWindow === undefined && calendar.weekdays === undefined) return [];
  for (let day = 0; day <= 8; day++) {
    const start = (Math.floor(end / dayMs) - day) * dayMs + (calendar.timeWindow?.fromMinute ?? 0) * 60_000;
    if (start <= end && inDailyWindow(calendar, start)) return [start];
  }
  return [];
}

/** The request a vector stands for: just appraised, without risk, its attributes just known. */
export function vectorRequest(vector: SelfTestVector, time: number): AccessRequest {
  const given = (source: AttributeSource): Record<string, Attribute> =>
    Object.fromEntries(
      (vector.attributes ?? [])
        .filter((entry) => entry.source === source)
        .map(({ name, value }): [string, Attribute] => [name, { value, asOf: time }]),
    );
  return {
    subject: {
      id: vector.subject,
      binding: vector.binding,
      // What is not a state is judged as unknown (state-table.ts).
      state: vector.state as SubjectState,
      attributes: {
        ...subjectAttributes({
          attestationClass: vector.attestation,
          attestedAt: time,
          risk: 0,
          reduced: false,
          asOf: time,
        }),
        ...given('subject'),
      },
    },
    operation: vector.operation,
    resource: {
      interface: vector.interface,
      attributes: { ...given('resource'), [attributeNames.device]: { value: vector.device } },
    },
    context: { time, source: 'self-test', connection: '', attributes: given('context') },
  };
}
