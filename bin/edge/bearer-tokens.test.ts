import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import type { SubjectView } from '../../enforcer/activation/index.ts';
import { certificatesToPem } from '../../identity/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createTestAuthority } from '../../test/support/pki.ts';
import { type BearerTokens, createBearerTokens } from './bearer-tokens.ts';
import type { OwnIdentity } from './identity.ts';
import { createSubjects, type Subjects } from './subjects.ts';

const first = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const second = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const authority = createTestAuthority('plant.example');
const own = {
  current: () => ({
    chain: [Buffer.alloc(0), authority.intermediate],
    anchors: { trustDomain: 'plant.example', roots: [authority.root] },
  }),
  anchors: () => ({ trustDomain: 'plant.example' }),
} as unknown as OwnIdentity;

interface Key {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const documentOf = (keys: Readonly<Record<string, Key>>, more: object = { spiffe_sequence: 5 }): Buffer =>
  Buffer.from(
    JSON.stringify({
      keys: Object.entries(keys).map(([kid, { publicKey }]) => ({
        ...publicKey.export({ format: 'jwk' }),
        use: 'jwt-svid',
        kid,
      })),
      ...more,
    }),
  );

let clock: FakeClock;
let file: Buffer | undefined;
let warnings: number;
let tokens: BearerTokens;
let subjects: Subjects;
let state: 'trusted' | 'quarantined' | 'revoked';

interface TokenChanges {
  readonly kid?: string;
  readonly key?: Key;
  readonly [claim: string]: unknown;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
function token(device = 'gateway-1', { kid = 'k1', key = first, ...claims }: TokenChanges = {}) {
  const now = clock.now() / 1_000;
  const body = { sub: `spiffe://plant.example/device/${device}`, aud: 'edge-1', exp: now + 300, iat: now, ...claims };
  const input = `${encode({ alg: 'ES256', kid })}.${encode(body)}`;
  const signature = sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

beforeEach(async () => {
  clock = new FakeClock(Date.now());
  file = documentOf({ k1: first });
  warnings = 0;
  state = 'trusted';
  tokens = createBearerTokens({
    read: () => (file === undefined ? Promise.reject(new Error('ENOENT')) : Promise.resolve(file)),
    trustDomain: 'plant.example',
    audiences: ['edge-1'],
    now: () => clock.now(),
    clock,
    log: { info: () => undefined, warn: () => void warnings++ },
  });
  await tokens.refresh();
  const orders = {
    subjectState: () => ({ state, attributes: {} }),
    view: () => ({ revoked: new Set() }) as unknown as SubjectView,
  };
  subjects = createSubjects(own, orders, () => clock.now(), true, tokens);
});

const verifies = async (given: string): Promise<boolean> => {
  try {
    await tokens.verify(given);
    return true;
  } catch {
    return false;
  }
};

describe('bearer tokens', () => {
  test('a token is verified once, and at once after that, until it expires', async () => {
    const short = token('gateway-1', { exp: clock.now() / 1_000 + 20 });
    const pending = tokens.verify(short);
    assert.ok(pending instanceof Promise);
    const svid = await pending;
    assert.equal(tokens.verify(short), svid, 'the same, without a promise');
    await clock.advance(20_001);
    assert.equal(await verifies(short), false);
    const long = token();
    await tokens.verify(long);
    await clock.advance(60_001);
    const again = tokens.verify(long);
    assert.ok(again instanceof Promise, 'verified anew after a minute');
    await again;
  });

  test('a refusal is not remembered, and neither is a token with one character more', async () => {
    const good = token();
    await tokens.verify(good);
    assert.equal(await verifies(`${good}A`), false);
    assert.equal(await verifies(token('gateway-1', { aud: 'edge-2' })), false);
  });

  test('what is remembered is forgotten when the keys change', async () => {
    const given = token();
    await tokens.verify(given);
    file = documentOf({ k2: second }, { spiffe_sequence: 6 });
    await tokens.refresh();
    assert.equal(await verifies(given), false);
    assert.equal(await verifies(token('gateway-1', { kid: 'k2', key: second })), true);
  });

  test('a key that is taken away while a token is verified has signed nothing', async () => {
    const pending = tokens.verify(token());
    file = documentOf({ k2: second }, { spiffe_sequence: 6 });
    await Promise.all([tokens.refresh(), assert.rejects(async () => await pending, { code: 'BEARER_KEYS_CHANGED' })]);
  });

  test('a broken, missing or older document leaves the last good one for its refresh hint, and then nobody', async () => {
    for (const broken of [undefined, Buffer.from('{"keys":['), documentOf({ k2: second }, { spiffe_sequence: 4 })]) {
      file = documentOf({ k1: first }, { spiffe_sequence: 5, spiffe_refresh_hint: 120 });
      await tokens.refresh();
      const given = token();
      file = broken;
      await clock.advance(119_000);
      const logged = warnings;
      await tokens.refresh();
      await tokens.refresh();
      assert.equal(warnings, logged + 1, 'said once');
      assert.equal(await verifies(given), true);
      await clock.advance(1_001);
      await assert.rejects(async () => await tokens.verify(given), { code: 'BEARER_NO_AUTHORITIES' });
    }
  });

  test('a remembered token does not outlive the document', async () => {
    file = documentOf({ k1: first }, { spiffe_sequence: 5, spiffe_refresh_hint: 20 });
    await tokens.refresh();
    const given = token();
    file = undefined;
    await clock.advance(19_000);
    await tokens.verify(given);
    await clock.advance(1_001);
    assert.equal(await verifies(given), false);
  });

  test('no hint lets a document count for more than an hour', async () => {
    file = documentOf({ k1: first }, { spiffe_sequence: 5, spiffe_refresh_hint: 1_000_000 });
    await tokens.refresh();
    file = undefined;
    await clock.advance(3_600_001);
    assert.equal(await verifies(token()), false);
  });

  test('thousands of tokens are remembered no better than the last thousand', async () => {
    const oldest = token('gateway-1', { jti: 'first' });
    await tokens.verify(oldest);
    for (let index = 0; index < 1_024; index++) await tokens.verify(token('gateway-1', { jti: String(index) }));
    assert.ok(tokens.verify(oldest) instanceof Promise);
  });
});

describe('who a bearer token is', () => {
  const certificateOf = (device: string): string =>
    certificatesToPem([authority.issue(`spiffe://plant.example/device/${device}`).der]);

  test('the device that it names, with the state of now', async () => {
    const bearer = token();
    const subject = { id: 'gateway-1', binding: 'svid', attributes: {}, provenLevel: undefined };
    assert.deepEqual(await subjects.fromEvidence({ bearer }), { ...subject, state: 'trusted' });
    for (const ordered of ['quarantined', 'revoked'] as const) {
      state = ordered;
      assert.deepEqual(
        subjects.fromEvidence({ bearer }),
        { ...subject, state: ordered },
        'a remembered token, no remembered state',
      );
    }
  });

  test('with an authentication context it proves a level', async () => {
    const bearer = token('gateway-1', { acr: 'urn:example:mfa', auth_time: clock.now() / 1_000 });
    assert.equal((await subjects.fromEvidence({ bearer })).provenLevel, 'urn:example:mfa');
    const certificatePem = certificateOf('gateway-1');
    assert.equal((await subjects.fromEvidence({ bearer, certificatePem })).provenLevel, 'urn:example:mfa');
  });

  test('workloads, operators and the control plane are no devices', async () => {
    for (const path of ['device/gateway-1/workload/web', 'operator/ann', 'control/server']) {
      const bearer = token('x', { sub: `spiffe://plant.example/${path}` });
      await assert.rejects(async () => await subjects.fromEvidence({ bearer }), { code: 'SUBJECT_NOT_A_DEVICE' });
    }
  });

  test('beside a certificate it has to name the same device', async () => {
    const certificatePem = certificateOf('gateway-1');
    const other = { certificatePem, bearer: token('plc-1') };
    await assert.rejects(async () => await subjects.fromEvidence(other), { code: 'SUBJECT_EVIDENCE_DISAGREES' });
    assert.throws(() => subjects.fromEvidence(other), { code: 'SUBJECT_EVIDENCE_DISAGREES' }, 'a remembered one too');
    assert.equal((await subjects.fromEvidence({ certificatePem, bearer: token() })).id, 'gateway-1');
  });

  test('one of ours that does not verify spoils the certificate; one of somebody else’s is not ours to read', async () => {
    const certificatePem = certificateOf('gateway-1');
    const expired = token('gateway-1', { exp: clock.now() / 1_000 - 1 });
    await assert.rejects(async () => await subjects.fromEvidence({ certificatePem, bearer: expired }));
    for (const bearer of ['opaque', token('plc-1', { kid: 'elsewhere' })]) {
      assert.equal((await subjects.fromEvidence({ certificatePem, bearer })).id, 'gateway-1');
      await assert.rejects(async () => await subjects.fromEvidence({ bearer }));
    }
  });

  test('beside a certificate that does not verify it proves nobody', async () => {
    await assert.rejects(async () => await subjects.fromEvidence({ certificatePem: 'nonsense', bearer: token() }));
  });

  test('where they are not accepted it is nobody, and a certificate counts alone', async () => {
    const orders = {
      subjectState: () => ({ state, attributes: {} }),
      view: () => ({ revoked: new Set() }) as unknown as SubjectView,
    };
    const plain = createSubjects(own, orders, () => clock.now());
    assert.throws(() => plain.fromEvidence({ bearer: token() }), { code: 'SUBJECT_NOT_IDENTIFIED' });
    const certificatePem = certificateOf('gateway-1');
    assert.deepEqual(await plain.fromEvidence({ certificatePem, bearer: token('plc-1') }), {
      id: 'gateway-1',
      binding: 'svid',
      state: 'trusted',
      attributes: {},
    });
  });
});
