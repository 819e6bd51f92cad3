// Runs the repository's tests: each given/when/then becomes an access request, decided over the slice of the device
// that serves the interface. The decision engine comes in as an argument.
import type { AccessRequest, Decision, Operation, Reason } from '../engine/request.ts';
import type { Slice } from '../bundle/slice.ts';
import { formatPlace } from '../../runtime/errors.ts';
import { buildSlices } from './build.ts';
import { requestAttributes } from './given-attributes.ts';
import type { PolicyTest, Repository } from './repository.ts';

/** Answers as an edge with this slice in force would. Called once per test; the same slice object may come again. */
export type DecideOverSlice = (slice: Slice, request: AccessRequest) => Decision;

export interface TestResult {
  readonly name: string;
  /** `file:line:column` of the test. */
  readonly place: string;
  readonly ok: boolean;
  /** Whose slice decided. */
  readonly device: string;
  readonly expected: { readonly answer: 'allow' | 'deny'; readonly reason?: Reason };
  readonly decision: Decision;
}

export interface TestReport {
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly results: readonly TestResult[];
}

/** `now` is the time of requests that give none, milliseconds since the epoch. */
export function runPolicyTests(
  repository: Repository,
  decide: DecideOverSlice,
  now: number,
  slices: ReadonlyMap<string, Slice> = buildSlices(repository),
): TestReport {
  const results = repository.tests.map((test) => runTest(repository, test, decide, now, slices));
  const passed = results.filter((result) => result.ok).length;
  return { ok: passed === results.length, passed, failed: results.length - passed, results };
}

function runTest(
  repository: Repository,
  test: PolicyTest,
  decide: DecideOverSlice,
  now: number,
  slices: ReadonlyMap<string, Slice>,
): TestResult {
  const device = test.when.device ?? servingDevice(repository, test.when.interface);
  const slice = slices.get(device);
  const decision = slice === undefined ? undecided : decide(slice, requestOf(test, now, device));
  const answer = decision.allow ? 'allow' : 'deny';
  return {
    name: test.name,
    place: formatPlace(test.at()),
    ok: answer === test.then && (test.reason === undefined || test.reason === decision.reason),
    device,
    expected: { answer: test.then, ...(test.reason === undefined ? {} : { reason: test.reason }) },
    decision,
  };
}

/** Reading made sure that without `device` there is exactly one. */
function servingDevice(repository: Repository, name: string): string {
  return repository.interfaces.find((entry) => entry.name === name)?.devices[0] ?? '';
}

const undecided: Decision = { allow: false, reason: 'no-bundle', rule: '', place: '', operation: '', bundle: '' };

function requestOf(test: PolicyTest, now: number, device: string): AccessRequest {
  const { given, when } = test;
  const time = given.time ?? now;
  const further = requestAttributes(given.attributes, time);
  return {
    subject: {
      id: given.subject,
      binding: given.binding ?? (when.http === undefined ? 'ip' : 'svid'),
      state: given.state,
      attributes: {
        attestation: { value: given.attestation, asOf: time - given.attestedAgo },
        risk: { value: given.risk, asOf: time },
        reduced: { value: false, asOf: time },
        ...further.subject,
      },
    },
    operation: operationOf(when),
    resource: { interface: when.interface, attributes: { ...further.resource, device: { value: device } } },
    context: { time, source: 'test', connection: '', attributes: further.context },
  };
}

function operationOf({ http, modbus }: PolicyTest['when']): Operation {
  if (http !== undefined) return { protocol: 'http', ...http };
  if (modbus === undefined) return { protocol: 'port' };
  const { function: functionCode, ...rest } = modbus;
  return { protocol: 'modbus', functionCode, ...rest };
}

/** One line for a terminal. */
export function formatTestResult(result: TestResult): string {
  if (result.ok) return `ok       ${result.name}`;
  const { decision, expected } = result;
  const wanted = expected.reason === undefined ? expected.answer : `${expected.answer} (${expected.reason})`;
  const by = decision.rule === '' ? '' : ` by ${decision.rule} at ${decision.place}`;
  const found = `${decision.allow ? 'allow' : 'deny'} (${decision.reason})${by}`;
  return `FAILED   ${result.place}: ${result.name}: expected ${wanted}, ${result.device} decides ${found}`;
}
