import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noFulfilment, requireFulfilment } from '../../policy/engine/index.ts';
import type { AccessRequest, Decision, Obligation, Reason } from '../../policy/engine/request.ts';
import { noRequestUsage } from '../request-usage.ts';
import type { EmitEvent } from '../../audit/spool/index.ts';
import { type AuthzPorts, authorize } from './authorize.ts';
import { createDecisionLog } from './decision-log.ts';
import { splitConnection } from './log/connection.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { Question } from './question.ts';

const question: Question = {
  interface: 'hmi-web',
  operation: { protocol: 'http', method: 'GET', path: '/status?x=1' },
  peer: { principal: 'spiffe://plant.example/device/gateway-1' },
  connection: '10.77.0.11:40000',
  source: 'ext-authz',
};
const allow: Decision = {
  allow: true,
  reason: 'granted',
  rule: 'grant:a',
  place: 'grants/a.yaml:3',
  operation: 'view',
  bundle: 'ab',
};
const deny = (reason: Reason): Decision => ({ ...allow, allow: false, reason, rule: '' });

interface Changes extends Partial<AuthzPorts> {
  readonly emit?: EmitEvent;
}

function ports({ emit, ...changes }: Changes = {}): AuthzPorts & { events: unknown[] } {
  const events: unknown[] = [];
  return {
    events,
    decide: () => allow,
    usage: () => noRequestUsage,
    identify: () => ({ id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} }),
    log: createDecisionLog(emit ?? ((event) => Promise.resolve(void events.push(event))), {
      clock: new FakeClock(0),
      random: (bytes) => new Uint8Array(bytes),
      allowsSampled: () => undefined,
      onLost: () => undefined,
    }),
    auditDurable: () => false,
    now: () => 1_800_000_000_000,
    ...changes,
  };
}
const explode = (): never => {
  throw new Error('broken');
};

test('an allow of the engine is an allow, with its event', async () => {
  const given = ports();
  const answer = await authorize(given, question);
  assert.equal(answer.decision.allow, true);
  assert.equal(answer.subject, 'gateway-1');
  assert.deepEqual(given.events.length, 1);
});

test('no fault at any port ends in an allow that the engine did not give', async () => {
  const faults: Record<string, Changes> = {
    'engine throws': { decide: explode },
    'clock throws': { now: explode },
    'audit on disk fails': { emit: () => Promise.reject(new Error('full')), auditDurable: () => true },
    'audit and its setting fail': { emit: () => Promise.reject(new Error('full')), auditDurable: explode },
  };
  for (const [name, fault] of Object.entries(faults)) {
    const { decision } = await authorize(ports(fault), question);
    assert.deepEqual({ allow: decision.allow, reason: decision.reason }, { allow: false, reason: 'fault' }, name);
  }
});

test('an order that comes while the disk takes its time counts', async () => {
  let quarantined = false;
  const given = ports({
    auditDurable: () => true,
    emit: () => {
      quarantined = true;
      return Promise.resolve();
    },
    decide: () => (quarantined ? deny('state') : allow),
  });
  const { decision } = await authorize(given, question);
  assert.deepEqual({ allow: decision.allow, reason: decision.reason }, { allow: false, reason: 'state' });
});

test('evidence that does not verify asks the engine as nobody', async () => {
  let asked: string | undefined;
  const given = ports({
    identify: explode,
    decide: (request) => {
      asked = request.subject.id;
      return deny('state');
    },
  });
  const answer = await authorize(given, question);
  assert.equal(asked, '');
  assert.equal(answer.subject, '');
  await authorize(given, { ...question, peer: {} });
  assert.equal(asked, '', 'no evidence is nobody too');
});

test('a full spool does not stop an interface that did not ask for durable audit', async () => {
  const { decision } = await authorize(ports({ emit: () => Promise.reject(new Error('full')) }), question);
  assert.equal(decision.allow, true);
});

test('connections are split into address and port', () => {
  assert.deepEqual(splitConnection('10.0.0.1:80'), { address: '10.0.0.1', port: 80 });
  assert.deepEqual(splitConnection('[2001:db8::1]:443'), { address: '2001:db8::1', port: 443 });
  assert.deepEqual(splitConnection('unix:'), { address: '', port: 0 });
  assert.deepEqual(splitConnection(''), { address: '', port: 0 });
});

test('a use is on disk before the answer leaves; one that is not there is denied, with its event', async () => {
  const order: string[] = [];
  const answering = (written: boolean, more: Changes = {}) =>
    authorize(
      ports({
        usage: () => ({ ...noRequestUsage, recorded: () => Promise.resolve(written) }),
        emit: (event) => Promise.resolve(void order.push(String(event.data['decision']))),
        ...more,
      }),
      question,
    );
  assert.equal((await answering(true)).decision.allow, true);
  const { decision } = await answering(false);
  assert.deepEqual([decision.allow, decision.reason], [false, 'condition']);
  assert.equal(decision.condition, 'the use could not be recorded');
  assert.deepEqual(order, ['allow', 'deny']);
  assert.equal((await answering(true, { usage: explode })).decision.allow, true, 'nothing was taken');
});

test('a request with two readings takes no use', async () => {
  let taken = 0;
  const limit = { words: { rate: '', uses: '', unavailable: '' } };
  const given = ports({
    usage: () => ({ ...noRequestUsage, take: () => (taken++ < 0 ? 'uses' : 'taken'), look: () => 'taken' }),
    decide: (_request, { usage }) => (usage.take(limit, 'press-1', 0) === 'taken' ? allow : deny('condition')),
  });
  assert.equal((await authorize(given, { ...question, ambiguous: 'two hosts' })).decision.reason, 'ambiguous');
  assert.equal(taken, 0);
  assert.equal((await authorize(given, question)).decision.allow, true);
  assert.equal(taken, 1);
});

test('a request that waited for its use is judged again, by the same counts, which give nothing more', async () => {
  const usage = { ...noRequestUsage, recorded: () => Promise.resolve(true) };
  const usages: unknown[] = [];
  const given = ports({
    usage: () => usage,
    decide: (_request, abilities) => (usages.push(abilities.usage) === 1 ? allow : deny('state')),
  });
  assert.equal((await authorize(given, question)).decision.reason, 'state');
  assert.deepEqual(usages.length, 2);
  assert.equal(usages[0], usage);
  assert.equal(usages[1], usage.settled);
});

test('a request that waited for its use is judged again, also when its event is lost', async () => {
  let revoked = false;
  const given = ports({
    usage: () => ({ ...noRequestUsage, recorded: () => Promise.resolve((revoked = true)) }),
    emit: () => Promise.reject(new Error('full')),
    decide: () => (revoked ? deny('state') : allow),
  });
  assert.equal((await authorize(given, question)).decision.reason, 'state');
});

test('obligations: log waits for the disk, notification is a loud event, what nobody knows here is denied', async () => {
  const asking = async (...obligations: Obligation[]) => {
    const events: { severity: unknown; obligations: unknown; condition: unknown; durable: boolean }[] = [];
    const { decision } = await authorize(
      ports({
        decide: (_request: AccessRequest, { fulfilment }) => requireFulfilment({ ...allow, obligations }, fulfilment),
        emit: ({ severity, data }, durable = false) =>
          Promise.resolve(
            void events.push({ severity, obligations: data['obligations'], condition: data['condition'], durable }),
          ),
      }),
      question,
    );
    return { allow: decision.allow, event: events.at(-1) };
  };
  const event = { severity: 'info', obligations: 'log', condition: undefined, durable: true };
  assert.deepEqual(await asking({ id: 'log' }), { allow: true, event });
  assert.deepEqual(await asking({ id: 'notification' }), {
    allow: true,
    event: { ...event, severity: 'high', obligations: 'notification', durable: false },
  });
  const condition = 'obligation step-up';
  assert.deepEqual(await asking({ id: 'log' }, { id: 'step-up', level: 'mfa' }), {
    allow: false,
    event: { severity: 'medium', obligations: undefined, condition, durable: true },
  });
  assert.equal((await asking({ id: 'custom', name: 'badge' })).allow, false);
  assert.equal(requireFulfilment({ ...allow, obligations: [{ id: 'log' }] }, noFulfilment).allow, false);
});

test('obligations: what a newer bundle asks for while the disk takes its time has not been done', async () => {
  let asked = 0;
  const obligations: Obligation[] = [{ id: 'notification' }];
  const given = ports({
    auditDurable: () => true,
    decide: () => (asked++ === 0 ? allow : { ...allow, obligations }),
  });
  const { decision } = await authorize(given, question);
  assert.deepEqual([decision.allow, decision.reason], [false, 'fault']);
});
