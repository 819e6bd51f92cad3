import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromBinary } from '@bufbuild/protobuf';
import { type Decision, type Obligation, requireFulfilment } from '../../policy/engine/index.ts';
import { CheckResponseSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { noRequestUsage } from '../request-usage.ts';
import { authorize } from './authorize.ts';
import { checkResponse } from './envoy/check-response.ts';
import { parseFulfils } from './obligations.ts';
import { type Answer, identityHeaders, type Question } from './question.ts';
import { challengeHeaders, denialStatus, provenLevel } from './step-up.ts';

const now = 1_800_000_000_000;
const allow: Decision = { allow: true, reason: 'granted', rule: 'grant:a', place: '', operation: 'view', bundle: '' };
const stepUp: Obligation = { id: 'step-up', level: 'mfa' };
const badge: Obligation = { id: 'custom', name: 'badge' };

const toEnvoy = (answer: Answer) => fromBinary(CheckResponseSchema, checkResponse(answer));

async function asking(obligations: Obligation[], proven?: string, fulfils?: string): Promise<Answer> {
  const question: Question = {
    interface: 'hmi-web',
    operation: { protocol: 'http', method: 'GET', path: '/' },
    peer: { principal: 'x' },
    connection: '',
    source: 'ext-authz',
    ...(fulfils === undefined ? {} : { fulfils: parseFulfils(fulfils) ?? { ids: [], custom: [] } }),
  };
  return await authorize(
    {
      decide: (_request, { fulfilment }) => requireFulfilment({ ...allow, obligations }, fulfilment),
      usage: () => noRequestUsage,
      identify: () => ({ id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {}, provenLevel: proven }),
      log: { note: () => undefined, keep: () => Promise.resolve() },
      auditDurable: () => false,
      now: () => now,
    },
    question,
  );
}

test('a step-up is denied with a challenge unless the caller has proven that very level', async () => {
  const answer = await asking([stepUp]);
  assert.equal(answer.decision.allow, false);
  assert.equal(denialStatus(answer), 401);
  assert.deepEqual(challengeHeaders(answer), {
    'www-authenticate': 'Bearer error="insufficient_user_authentication", acr_values="mfa"',
  });
  assert.equal((await asking([stepUp], 'password')).decision.stepUp, 'mfa');
  const proven = await asking([stepUp], 'mfa');
  assert.equal(proven.decision.allow, true);
  assert.deepEqual(challengeHeaders(proven), {});
});

test('Envoy carries the challenge to the client, with 401', async () => {
  const { status, httpResponse } = toEnvoy(await asking([stepUp]));
  assert.equal(status?.code, 16);
  assert.ok(httpResponse.case === 'deniedResponse');
  assert.equal(httpResponse.value.status?.code, 401);
  const challenge = httpResponse.value.headers.find(({ header }) => header?.key === 'www-authenticate');
  assert.equal(challenge?.header?.value, 'Bearer error="insufficient_user_authentication", acr_values="mfa"');
});

test('nobody is asked to step up for what would be denied all the same', async () => {
  for (const obligations of [[stepUp, badge], [badge, stepUp], [badge]]) {
    const answer = await asking(obligations);
    assert.deepEqual([answer.decision.allow, denialStatus(answer), challengeHeaders(answer)], [false, 403, {}]);
  }
  assert.equal((await asking([stepUp, badge], undefined, 'custom:badge')).decision.stepUp, 'mfa');
});

test('a custom obligation passes where the proxy says it carries it out, and is handed to it', async () => {
  assert.equal((await asking([badge])).decision.allow, false);
  assert.equal((await asking([badge], undefined, 'custom:door')).decision.allow, false);
  const answer = await asking([badge, { id: 'notification' }], undefined, 'custom:door custom:badge');
  assert.equal(answer.decision.allow, true);
  assert.equal(identityHeaders(answer)['x-edgeward-obligations'], 'custom:badge');
  assert.equal(toEnvoy(answer).dynamicMetadata?.['obligations'], 'custom:badge');
  assert.equal(identityHeaders(await asking([], undefined, 'custom:badge'))['x-edgeward-obligations'], '');
});

test('what a proxy says is read whole or not at all', () => {
  assert.deepEqual(parseFulfils('custom:badge custom:x-1')?.custom, ['badge', 'x-1']);
  for (const text of [
    undefined,
    '',
    ' ',
    'badge',
    'custom:',
    'custom:badge ',
    'custom:badge  custom:x',
    'custom:badge,custom:x',
    'custom:badge log',
    'custom:Badge',
    'custom:badge step-up',
    'custom:badge\tcustom:x',
    Array.from({ length: 65 }, (_, index) => `custom:n${index}`).join(' '),
  ]) {
    assert.equal(parseFulfils(text), undefined, text);
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      const custom = parseFulfils(text)?.custom;
      return custom === undefined || custom.map((name) => `custom:${name}`).join(' ') === text;
    }),
  );
});

test('a bearer token proves its level while its authentication is recent', () => {
  const at = now / 1_000;
  assert.equal(provenLevel({ acr: 'mfa' }, now), 'mfa');
  assert.equal(provenLevel({ acr: 'mfa', auth_time: at - 900 }, now), 'mfa');
  for (const auth_time of [at - 901, at + 61, Number.NaN, String(at), null, {}]) {
    assert.equal(provenLevel({ acr: 'mfa', auth_time }, now), undefined, JSON.stringify(auth_time));
  }
  for (const acr of [undefined, '', 1, ['mfa'], null])
    assert.equal(provenLevel({ acr, auth_time: at }, now), undefined);
});

test('no level breaks out of its quotes, or becomes two', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (level) => {
      const decision: Decision = { ...allow, allow: false, reason: 'obligation', stepUp: level };
      const value = challengeHeaders({ decision, subject: 'a' })['www-authenticate'] ?? '';
      const [, said] = /^Bearer error="insufficient_user_authentication"(?:, acr_values="([!#-[\]-~]+)")?$/.exec(
        value,
      ) ?? ['', 'not a challenge'];
      return said === undefined || said === level;
    }),
    { examples: [['a"b'], ['a b'], ['a\\'], ['a\r\nx: y'], ['é']] },
  );
  const { status } = toEnvoy({
    decision: { ...allow, allow: false, reason: 'obligation', stepUp: 'a"b' },
    subject: 'a',
  });
  assert.equal(status?.code, 16);
});
