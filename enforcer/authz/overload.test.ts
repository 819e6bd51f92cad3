// More questions than there is room or time for: each is answered, none with an allow that the engine did not give.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { CheckRequestSchema, CheckResponseSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { noRequestUsage } from '../request-usage.ts';
import { authorize, type AuthzPorts } from './authorize.ts';
import { maxWaitingAnswers, maxWaitMs } from './limits.ts';
import { createAdmission } from './overload.ts';
import { check } from './envoy/ext-authz.ts';
import type { Answer, Question } from './question.ts';

const question = (more: Partial<Question> = {}): Question => ({
  interface: 'web',
  operation: { protocol: 'http', method: 'GET', path: '/a' },
  peer: {},
  connection: '',
  source: 'ext-authz',
  ...more,
});

/** `onDisk`: what the disk answers, and when; absent where nothing waits for it. */
interface Disk {
  readonly afterMs: number;
  readonly fails: boolean;
}

function world() {
  const clock = new FakeClock(0);
  const shed: string[] = [];
  const admission = createAdmission(clock, (name) => shed.push(name));
  const ask = (given: Question, allow: boolean, disk?: Disk): Answer | Promise<Answer> => {
    const reason = allow ? ('granted' as const) : ('no-grant' as const);
    const ports: AuthzPorts = {
      decide: () => ({ allow, reason, rule: '', place: '', operation: '', bundle: '' }),
      usage: () => noRequestUsage,
      identify: () => ({ id: '', binding: 'svid', state: 'unknown', attributes: {} }),
      log: {
        note: () => undefined,
        keep: async () => {
          await clock.sleep(disk?.afterMs ?? 0);
          if (disk?.fails === true) throw new Error('full');
        },
      },
      auditDurable: () => disk !== undefined,
      now: () => 0,
      admission,
    };
    return authorize(ports, given);
  };
  return { clock, shed, admission, ask };
}

const asked = fc.record({
  allow: fc.boolean(),
  disk: fc.option(fc.record({ afterMs: fc.integer({ min: 0, max: 5_000 }), fails: fc.boolean() }), {
    nil: undefined,
    freq: 3,
  }),
  deadlineMs: fc.option(fc.integer({ min: -10, max: 4_000 }), { nil: undefined }),
  pauseMs: fc.constantFrom(0, 0, 1, 500),
});

test('property: every question is answered, in time, and an allow is one that the engine gave and the disk took', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { minLength: 1, maxLength: 30 }), async (all) => {
      const { clock, shed, admission, ask } = world();
      let refused = 0;
      const checks: Promise<void>[] = [];
      for (const { allow, disk, deadlineMs: within, pauseMs } of all) {
        const start = clock.monotonic();
        const given = ask(question(within === undefined ? {} : { deadlineMs: start + within }), allow, disk);
        const check = async (): Promise<void> => {
          const { decision } = await given;
          const took = clock.monotonic() - start;
          assert.ok(took <= maxWaitMs && (within === undefined || took <= Math.max(within, 0)), `${took} ms`);
          if (decision.allow) assert.ok(allow && disk?.fails !== true && (disk?.afterMs ?? 0) <= took);
          if (decision.reason === 'overload') refused++;
          if (within !== undefined && within <= 0) assert.equal(decision.reason, 'overload');
        };
        checks.push(check());
        await clock.advance(pauseMs);
      }
      await clock.advance(20_000);
      await Promise.all(checks);
      assert.equal(shed.length, refused);
      assert.deepEqual(admission.status(), { waiting: 0, oldestMs: 0, shed: refused });
    }),
    { numRuns: 60 },
  );
});

test('who waits is bounded: a disk that never answers fills its room, and what comes then is denied at once', async () => {
  const { clock, shed, admission, ask } = world();
  const stuck = { afterMs: Number.MAX_SAFE_INTEGER, fails: false };
  const waiting = Array.from({ length: maxWaitingAnswers }, () => ask(question(), true, stuck));
  assert.ok(waiting.every((given) => given instanceof Promise));
  await clock.advance(maxWaitMs);
  // Answered, and still in the way: something is done for each of them.
  assert.deepEqual(
    (await Promise.all(waiting)).filter(({ decision }) => decision.reason !== 'overload'),
    [],
  );
  assert.deepEqual(admission.status(), { waiting: maxWaitingAnswers, oldestMs: maxWaitMs, shed: maxWaitingAnswers });
  const next = ask(question({ interface: 'other' }), true);
  assert.ok(!(next instanceof Promise));
  assert.equal(next.decision.reason, 'overload');
  assert.equal(shed.length, maxWaitingAnswers + 1);
  assert.equal(shed.at(-1), 'other');
  const elsewhere = ask(question({ source: 'forward-auth' }), true);
  assert.ok(!(elsewhere instanceof Promise) && elsewhere.decision.allow, 'another point has room of its own');
});

test('a call whose deadline has passed is denied on the wire without asking anybody', () => {
  const { shed, admission } = world();
  const unasked = (): never => assert.fail('asked');
  const ports: AuthzPorts = {
    decide: unasked,
    usage: unasked,
    identify: unasked,
    log: { note: unasked, keep: unasked },
    auditDurable: unasked,
    now: unasked,
    admission,
  };
  const contextExtensions = { 'edgeward-interface': 'web' };
  const attributes = { request: { http: { method: 'GET', path: '/' } }, contextExtensions };
  const message = Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes })));
  const bytes = check(ports, message, 0);
  assert.ok(bytes instanceof Uint8Array);
  assert.notEqual(fromBinary(CheckResponseSchema, bytes).status?.code ?? 0, 0);
  assert.deepEqual(shed, ['web']);
});
