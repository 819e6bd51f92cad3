// A decision that was recorded is asked again and answered alike: from the engine through the event, the spool's bytes
// and an export to `policy test --replay`. What an edge masked is never guessed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { defaultLimits } from '../../enforcer/proxy/limits.ts';
import { modbusProtocol } from '../../enforcer/proxy/modbus/exchange.ts';
import { createProxyEvents } from '../../enforcer/proxy/events.ts';
import { decisionEvent } from '../../enforcer/authz/log/decision-event.ts';
import type { Question } from '../../enforcer/authz/question.ts';
import { eventFields, type EventField, type NewEvent } from '../../audit/spool/index.ts';
import { encodeEvent } from '../../audit/spool/payload.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import {
  type AccessRequest,
  type Decision,
  type Freshness,
  type Fulfilment,
  requireFulfilment,
  unusedUsage,
  withdrawn,
} from '../../policy/engine/index.ts';
import { freshness, request, slice } from '../../policy/engine/testing/random-policy.ts';
import { ask, get, sampleSlice } from '../../policy/engine/testing/sample-slice.ts';
import { readRecord, recordOf, type RecordedDecision } from '../../policy/repository/ask/recorded.ts';
import { askAgain, replayOn } from '../../policy/repository/ask/replay.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { decideWithEngine } from '../../policy/repository/index.ts';

const engine = decideWithEngine();
const own: Fulfilment = { ids: ['log', 'notification'], custom: [] };

interface Situation {
  readonly request: AccessRequest;
  readonly freshness: Freshness;
  readonly connection: string;
  readonly ambiguous: string | undefined;
  readonly fulfilment: Fulfilment;
}

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('x=1 @2', '"', ' @1', 'sha256:'));
const said = fc.record(
  { value: fc.oneof(text, fc.double(), fc.boolean(), fc.array(text, { maxLength: 3 })), asOf: fc.double() },
  { requiredKeys: ['value'] },
);
const situation: fc.Arbitrary<Situation> = fc
  .record({
    asked: request,
    freshness,
    floor: fc.option(fc.integer({ min: 0, max: 2e12 }), { nil: undefined, freq: 3 }),
    more: fc.dictionary(text, said, { maxKeys: 3 }),
    connection: fc.constantFrom('10.0.0.1:443', '[2001:db8::1]:443', '2001:db8::1:443', 'unix:', '', '10.0.0.1:0443'),
    ambiguous: fc.option(fc.constant('two hosts'), { nil: undefined, freq: 8 }),
    fulfilment: fc.constantFrom<Fulfilment>(
      own,
      { ...own, custom: ['badge'] },
      { ...own, levels: ['mfa'] },
      { ...own, anyLevel: true },
    ),
  })
  .filter(({ asked }) => asked.operation.protocol === 'http' || asked.operation.protocol === 'port')
  .map(({ asked, floor, more, ...rest }) => ({
    ...rest,
    request: {
      ...asked,
      context: {
        ...asked.context,
        ...(floor === undefined ? {} : { timeFloor: floor }),
        source: 'ext-authz',
        connection: rest.connection,
        attributes: { ...more, ...asked.context.attributes },
      },
    },
  }));

const situations = fc.array(situation, { minLength: 12, maxLength: 12 });

/** Grants that ask for something and grants that are counted, so that both matter. */
const policies = fc
  .tuple(slice, fc.array(fc.constantFrom(undefined, 'badge', 'step-up', 'uses'), { minLength: 14, maxLength: 14 }))
  .map(([policy, extra]) => ({
    ...policy,
    grants: policy.grants.map((grant, index): Slice['grants'][number] => {
      const kind = grant.interface === 'web' ? extra[index] : undefined;
      if (kind === 'badge') return { ...grant, obligations: [{ id: 'custom', name: 'badge' }] };
      if (kind === 'step-up') return { ...grant, obligations: [{ id: 'step-up', level: 'mfa' }] };
      return kind === 'uses' ? { ...grant, uses: 1 } : grant;
    }),
  }));

function decideAs(policy: Slice, { request: asked, freshness: age, ambiguous, fulfilment }: Situation) {
  const decision = requireFulfilment(engine.decide(policy, asked, age, unusedUsage), fulfilment);
  return ambiguous === undefined || !decision.allow ? decision : withdrawn(decision, 'ambiguous', ambiguous);
}

function recorded(policy: Slice, one: Situation, masked: readonly EventField[]): RecordedDecision {
  const { request: asked, freshness: age, connection, ambiguous, fulfilment } = one;
  const { operation } = asked;
  assert.ok(operation.protocol === 'http' || operation.protocol === 'port' || operation.protocol === 'named');
  const question: Question = {
    interface: asked.resource.interface,
    operation,
    peer: {},
    connection,
    source: 'ext-authz',
    ...(ambiguous === undefined ? {} : { ambiguous }),
  };
  const judged = {
    subject: asked.subject.id,
    decision: decideAs(policy, one),
    message: '',
    asked: { request: asked, freshness: age },
    fulfilment,
  };
  return decisionIn(policy, decisionEvent(question, judged), masked);
}

/** As an export of the log tells it. */
function decisionIn(policy: Slice, event: NewEvent | undefined, masked: readonly EventField[]): RecordedDecision {
  assert.ok(event);
  const masking = { keys: new Set<string>(masked), salt: Buffer.alloc(32, 7) };
  const payload = encodeEvent(event, 1_800_000_000_000, masking);
  const line = JSON.stringify({ entry: { deviceId: policy.device, payload: payload.toString('base64') } });
  const [decision] = recordOf(readRecord(line, 'log.ndjson')).decisions;
  assert.ok(decision);
  return decision;
}

test('property: what is recorded is asked again word for word and answered alike', () => {
  let allowed = 0;
  let limited = 0;
  fc.assert(
    fc.property(policies, situations, (policy, all) => {
      for (const one of all) {
        const { recalled } = recorded(policy, one, []);
        assert.ok(recalled.kind === 'whole', JSON.stringify(recalled));
        const { decision, doubt } = askAgain(policy, engine, recalled.question);
        assert.deepEqual(decision, decideAs(policy, one));
        if (decision.allow) allowed++;
        if (doubt === '') continue;
        limited++;
        assert.ok(
          decision.allow && policy.grants.some(({ id, uses }) => `grant:${id}` === decision.rule && uses === 1),
        );
      }
    }),
    { numRuns: 1_000, seed: 11 },
  );
  assert.ok(allowed > 30 && limited > 3, `${allowed} allowed, ${limited} with limited uses`);
});

test('property: another policy changes exactly the answers that it changes', () => {
  let changed = 0;
  fc.assert(
    fc.property(policies, policies, situations, (before, after, all) => {
      for (const one of all) {
        const decision = recorded(before, one, []);
        const report = replayOn(new Map([[after.device, after]]), engine, [decision]);
        const differs = decideAs(before, one).allow !== decideAs(after, one).allow;
        if (report.depends.length > 0) continue;
        if (differs) changed++;
        assert.deepEqual([report.changed.length, report.same], differs ? [1, 0] : [0, 1]);
      }
    }),
    { numRuns: 300, seed: 12 },
  );
  assert.ok(changed > 20, `${changed} changed`);
});

/** What an answer may hang on, wherever it is recorded. */
const essential: ReadonlySet<EventField> = new Set([
  'asked_ms',
  'attributes',
  'binding',
  'freshness',
  'interface',
  'state',
  'subject',
]);

test('property: what is masked is not guessed, and what does not matter is not missed', () => {
  fc.assert(
    fc.property(policies, situation, fc.subarray([...eventFields], { maxLength: 4 }), (policy, one, masked) => {
      // Masked, these make the event none of a decision.
      const keys = masked.filter((name) => !['decision', 'reason', 'observed', 'rule', 'operation'].includes(name));
      const { recalled } = recorded(policy, one, keys);
      const attributes = [one.request.subject, one.request.resource, one.request.context].some(
        (part) => Object.keys(part.attributes).length > 0,
      );
      const hides = keys.some((name) => essential.has(name) && (name !== 'attributes' || attributes));
      if (hides) assert.equal(recalled.kind, 'hidden');
      if (recalled.kind !== 'whole') return;
      const { decision } = askAgain(policy, engine, recalled.question);
      assert.equal(decision.allow, decideAs(policy, one).allow);
    }),
    { numRuns: 600 },
  );
});

test('a masked client leaves doubt where a model looks at it, whichever device of that name comes first', () => {
  for (const others of [[], ['other-1']]) {
    const policy = sampleSlice(({ interfaces }) => {
      for (const device of others) interfaces.unshift({ ...interfaces[2], device, casbin: undefined });
    });
    const question = { request: ask('narrow', get('/pumps/1')), freshness: 'fresh', fulfilment: own } as const;
    assert.equal(askAgain(policy, engine, { ...question, client: false }).doubt, 'the client (masked)');
    assert.equal(askAgain(policy, engine, { ...question, client: true }).doubt, '');
  }
});

test('property: a request that was too long to be kept depends', () => {
  fc.assert(
    fc.property(situation, fc.integer({ min: 0, max: 20 }), (one, over) => {
      const path = `/${'a'.repeat(2_038 + over)}`;
      const operation = { protocol: 'http' as const, method: 'GET', path };
      const [policy] = fc.sample(slice, { numRuns: 1, seed: over });
      assert.ok(policy);
      const long = { ...one, request: { ...one.request, operation } };
      assert.equal(recorded(policy, long, []).recalled.kind, path.length > 2_048 ? 'hidden' : 'whole');
    }),
    { numRuns: 50 },
  );
});

const overModbus = fc
  .record({ asked: request, age: freshness })
  .filter(({ asked }) => asked.operation.protocol === 'modbus')
  .map(({ asked, age }) => ({
    asked: { ...asked, context: { ...asked.context, source: 'modbus', connection: '10.0.0.5:1234' } },
    age,
  }));

test('property: a Modbus request is asked again with the values that it wrote', () => {
  let allowed = 0;
  fc.assert(
    fc.property(slice, fc.array(overModbus, { minLength: 12, maxLength: 12 }), (policy, all) => {
      for (const { asked, age } of all) {
        const decision = engine.decide(policy, asked, age);
        const found = recordedModbus(policy, asked, age, decision);
        assert.ok(found.recalled.kind === 'whole', JSON.stringify(found.recalled));
        assert.deepEqual(found.recalled.question.request.operation, { ...asked.operation });
        assert.deepEqual(askAgain(policy, engine, found.recalled.question).decision, decision);
        if (decision.allow) allowed++;
      }
    }),
    { numRuns: 400, seed: 13 },
  );
  assert.ok(allowed > 15, `${allowed} allowed`);
});

function recordedModbus(policy: Slice, asked: AccessRequest, age: Freshness, decision: Decision): RecordedDecision {
  assert.ok(asked.operation.protocol === 'modbus');
  const emitted: NewEvent[] = [];
  const events = createProxyEvents(
    modbusProtocol(() => 0),
    (event) => Promise.resolve(void emitted.push(event)),
    new FakeClock(0),
    defaultLimits,
    { durable: () => false, entryOf: () => undefined, random: (bytes) => new Uint8Array(bytes) },
    (error) => assert.fail(String(error)),
  );
  const judged = { operation: asked.operation, decision, asked: { request: asked, freshness: age } };
  const end = { address: '10.0.0.5', port: 1234 };
  const connection = { source: end, destination: end, interface: asked.resource.interface, subject: asked.subject };
  if (decision.allow) void events.allowed(connection, judged);
  else events.denied(connection, judged);
  return decisionIn(policy, emitted[0], []);
}
