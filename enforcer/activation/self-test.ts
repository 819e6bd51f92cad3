// The bundle's own test vectors, asked of the compiled engine before it decides anything.
import type { SelfTestReport } from '../../policy/engine/index.ts';
import type { Place } from '../../runtime/errors.ts';
import { activationErrors } from './errors.ts';

export interface SelfTesting {
  readonly selfTest: () => SelfTestReport;
}

/** Counts for the ACK. Throws ACTIVATION_SELF_TEST with the place of the first vector that failed. */
export function requireSelfTest(engine: SelfTesting): { vectors: number; passed: number } {
  const { vectors, passed, failures } = engine.selfTest();
  const [first] = failures;
  if (first === undefined && passed === vectors) return { vectors, passed };
  throw activationErrors.error('ACTIVATION_SELF_TEST', describe(vectors, passed, first), placeOf(first));
}

type Failure = SelfTestReport['failures'][number];

function describe(vectors: number, passed: number, failure: Failure | undefined): string {
  const count = `${vectors - passed} of ${vectors} test vectors failed`;
  if (failure === undefined) return count;
  const { subject, device, expect } = failure.vector;
  const got = `${failure.decision.allow ? 'allow' : 'deny'} (${failure.decision.reason})`;
  return `${count}; first ${subject} on ${failure.vector.interface} of ${device}: expected ${expect}, got ${got}`;
}

/** The rule that decided, where one did. */
function placeOf(failure: Failure | undefined): { place?: Place } {
  const text = failure?.decision.place ?? '';
  const colon = text.lastIndexOf(':');
  const line = Number(text.slice(colon + 1));
  if (text === '') return {};
  if (colon <= 0 || !Number.isInteger(line) || line < 1) return { place: { file: text } };
  return { place: { file: text.slice(0, colon), line } };
}
