import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { subjectAttributes } from '../../../policy/engine/index.ts';
import { now, sampleSlice, type LooseSlice } from '../../../policy/engine/testing/sample-slice.ts';
import { decisionPoint } from '../../../test/support/authzen.ts';
import { type DecisionBody, evaluation, evaluations, type EvaluationsBody } from './evaluate.ts';
import type { Semantic } from './messages.ts';

const options = { asserts: [], custom: ['badge'] };
const device = (id: string) => ({ type: 'device', id });
const web = { type: 'interface', id: 'web' };
const ask = (name: string, more: object = {}) => ({
  subject: device('gateway-1'),
  action: { name },
  resource: web,
  ...more,
});

const obliged = (...obligations: object[]) =>
  sampleSlice(({ grants }: LooseSlice) => void (grants[3] = { ...grants[3], obligations }));

async function one(message: object, point = decisionPoint(sampleSlice())): Promise<DecisionBody> {
  const outcome = await evaluation(point.ports, options, message);
  assert.ok(outcome.ok);
  return outcome.body;
}

test('a decision says its reason to users and to operators apart, its rule and its bundle', async () => {
  const allowed = await one(ask('status'));
  const bundle = 'ab'.repeat(32);
  assert.deepEqual(allowed, {
    decision: true,
    context: { reason: 'granted', rule: 'grant:web', operation: 'status', bundle },
  });
  const denied = await one(ask('files'));
  assert.deepEqual(denied, {
    decision: false,
    context: {
      reason: 'denied',
      rule: 'deny:no-secrets',
      operation: 'files',
      bundle,
      reason_user: { '403': 'not permitted' },
      reason_admin: { '403': 'denied: deny:no-secrets (grants/deny.yaml:3)' },
    },
  });
});

test('every evaluation goes through the one decision path, with its event', async () => {
  const point = decisionPoint(sampleSlice());
  await one(ask('status'), point);
  await one(ask('files'), point);
  assert.deepEqual(
    point.events.map(({ activity, data }) => [activity, data.subject, data.operation, data.enforcement_point]),
    [
      ['allow', 'gateway-1', 'status', 'authzen'],
      ['deny', 'gateway-1', 'files', 'authzen'],
    ],
  );
});

test('state comes from the orders, whatever the caller says of the subject', async () => {
  const point = decisionPoint(sampleSlice());
  point.states.set('gateway-1', 'revoked');
  const subject = { ...device('gateway-1'), properties: { state: 'trusted', risk: 0 } };
  const { decision, context } = await one(ask('status', { subject }), point);
  assert.deepEqual([decision, context?.reason], [false, 'state']);
  assert.deepEqual(context?.obligations, [
    { id: 'obl-1', type: 'session_termination', properties: { subject: 'gateway-1' } },
  ]);
  point.states.set('gateway-1', 'stale');
  assert.equal((await one(ask('status', { subject }), point)).decision, true);
});

test('what signed states say of a subject stands, whatever a caller asserts', async () => {
  const facts = { attestationClass: 'software', attestedAt: now, risk: 99, reduced: false, asOf: now };
  const point = decisionPoint(sampleSlice(), {
    identify: () => ({ id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: subjectAttributes(facts) }),
  });
  const message = {
    subject: { ...device('gateway-1'), properties: { risk: 0 } },
    action: { name: 'set-point' },
    resource: { type: 'interface', id: 'plc-modbus' },
  };
  // The configuration refuses such a name; even so it would say nothing.
  const outcome = await evaluation(point.ports, { asserts: ['subject.risk'], custom: [] }, message);
  assert.ok(outcome.ok);
  assert.deepEqual([outcome.body.decision, outcome.body.context?.reason], [false, 'condition']);
});

test('obligations: denied unless the caller declares them; what is known is told either way', async () => {
  const point = decisionPoint(
    obliged({ id: 'log' }, { id: 'step-up', level: 'urn:example:mfa' }, { id: 'custom', name: 'badge' }),
  );
  const asking = async (supported_obligations?: string[]) => {
    const context = supported_obligations === undefined ? {} : { supported_obligations };
    const body = await one(ask('status', { context }), point);
    return [body.decision, ...(body.context?.obligations ?? []).map(({ type }) => type)];
  };
  assert.deepEqual(await asking(), [false, 'step-up', 'custom']);
  assert.deepEqual(await asking(['step-up', 'custom']), [true, 'step-up', 'custom']);
  assert.deepEqual(await asking(['step-up']), [false, 'step-up']);
  assert.deepEqual(await asking(['notification']), [false]);
  const { context } = await one(ask('status', { context: { supported_obligations: ['step-up', 'custom'] } }), point);
  assert.deepEqual(context?.obligations, [
    { id: 'obl-1', type: 'step-up', properties: { acr_value: 'urn:example:mfa' } },
    { id: 'obl-2', type: 'custom', properties: { name: 'badge' } },
  ]);
  assert.equal(
    (await one(ask('status'), decisionPoint(obliged({ id: 'log' }, { id: 'notification' })))).decision,
    true,
  );
  const foreign = decisionPoint(obliged({ id: 'custom', name: 'unknown-here' }));
  assert.equal((await one(ask('status', { context: { supported_obligations: ['custom'] } }), foreign)).decision, false);
});

test('no bundle, and a fault, deny and say to come back', async () => {
  const point = decisionPoint(sampleSlice(), {
    inForce: () => undefined,
    decide: () => {
      throw new Error('broken');
    },
  });
  const { decision, context } = await one(ask('status'), point);
  assert.deepEqual([decision, context?.reason_user], [false, { '503': 'not available now' }]);
});

async function many(message: object, point = decisionPoint(sampleSlice())): Promise<readonly DecisionBody[]> {
  const outcome = await evaluations(point.ports, options, message);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return (outcome.body as EvaluationsBody).evaluations;
}

test('defaults are replaced as a whole, per entity', async () => {
  const decisions = await many({
    ...ask('status', { action: { name: 'GET', properties: { path: '/status' } } }),
    evaluations: [
      {},
      { subject: device('camera-1') },
      { action: { name: 'stop' } },
      // Neither the properties of the default action nor the type of the default resource are taken over.
      { action: { name: 'GET' } },
      { resource: { id: 'web' } },
    ],
  });
  assert.deepEqual(
    decisions.map(({ decision, context }) => context?.error?.message ?? [decision, context?.reason]),
    [
      [true, 'granted'],
      [false, 'denied'],
      [true, 'granted'],
      [false, 'ambiguous'],
      'resource.type: Invalid input: expected string, received undefined',
    ],
  );
});

test('what is wrong with one evaluation is a denial of that one', async () => {
  const decisions = await many({
    ...ask('status'),
    evaluations: [{}, 7, null, [], { subject: 'x' }, { context: [] }, {}],
  });
  assert.deepEqual(
    decisions.map(({ decision, context }) => [decision, context?.error?.status]),
    [
      [true, undefined],
      [false, 400],
      [false, 400],
      [false, 400],
      [false, 400],
      [false, 400],
      [true, undefined],
    ],
  );
});

test('without evaluations it is one evaluation', async () => {
  const point = decisionPoint(sampleSlice());
  for (const message of [ask('status'), { ...ask('status'), evaluations: [] }]) {
    const outcome = await evaluations(point.ports, options, message);
    assert.ok(outcome.ok);
    assert.equal((outcome.body as DecisionBody).decision, true);
  }
  const missing = await evaluations(point.ports, options, { subject: device('a'), evaluations: [] });
  assert.deepEqual(missing.ok, false);
  const semantic = await evaluations(point.ports, options, {
    ...ask('status'),
    evaluations: [{}],
    options: { evaluations_semantic: 'first' },
  });
  assert.deepEqual([semantic.ok, semantic.ok || semantic.status], [false, 400]);
  const flood = { ...ask('status'), evaluations: Array.from({ length: 257 }, () => ({})) };
  const refused = await evaluations(point.ports, options, flood);
  assert.deepEqual([refused.ok, refused.ok || refused.status], [false, 413]);
});

test('the three semantics: in order, and nothing after the one that ends it', async () => {
  const names = ['status', 'files', 'stop', 'admin', 'nothing'];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 8 }),
      fc.constantFrom<Semantic | undefined>('execute_all', 'deny_on_first_deny', 'permit_on_first_permit', undefined),
      async (actions, semantic) => {
        const point = decisionPoint(sampleSlice());
        const alone = await Promise.all(actions.map(async (name) => (await one(ask(name))).decision));
        const found = await many(
          {
            subject: device('gateway-1'),
            resource: web,
            evaluations: actions.map((name) => ({ action: { name } })),
            ...(semantic === undefined ? {} : { options: { evaluations_semantic: semantic } }),
          },
          point,
        );
        const end =
          semantic === 'deny_on_first_deny'
            ? alone.indexOf(false)
            : semantic === 'permit_on_first_permit'
              ? alone.indexOf(true)
              : -1;
        const expected = end === -1 ? alone : alone.slice(0, end + 1);
        assert.deepEqual(
          found.map(({ decision }) => decision),
          expected,
        );
        assert.equal(point.events.length, expected.length, 'what was not evaluated left no trace');
      },
    ),
    { numRuns: 60 },
  );
});

test('a batch of slow decisions lets others have their turn', async () => {
  const point = decisionPoint(sampleSlice());
  const { decide } = point.ports;
  const slow: typeof decide = (...asked) => {
    const until = performance.now() + 1;
    while (performance.now() < until) continue;
    return decide(...asked);
  };
  let turns = 0;
  const others = setInterval(() => turns++, 1);
  const items = Array.from({ length: 40 }, () => ({}));
  const outcome = await evaluations({ ...point.ports, decide: slow }, options, {
    ...ask('status'),
    evaluations: items,
  });
  clearInterval(others);
  assert.ok(outcome.ok && 'evaluations' in outcome.body);
  assert.equal(outcome.body.evaluations.filter(({ decision }) => decision).length, 40);
  assert.ok(turns > 0);
});
