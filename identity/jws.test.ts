import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compactVerify } from 'jose';
import { CodedError } from '../runtime/errors.ts';
import { signJws, verifyJws } from './jws.ts';
import { generateKey, jwkOf, keyId } from './keys.ts';

const keys = generateKey();
const kid = keyId(keys.publicKey);
const typ = 'edgeward-test+json';
const payload = Buffer.from('{"a":1}');
const expectation = { typ, keys: [keys.publicKey] };
const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A JWS with any header, signed properly over it. */
function forge(header: unknown, key = keys.privateKey): string {
  const input = `${encode(header)}.${payload.toString('base64url')}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

async function refuses(
  jws: string,
  code: string,
  expected: Parameters<typeof verifyJws>[1] = expectation,
): Promise<void> {
  await assert.rejects(verifyJws(jws, expected), { name: 'CodedError', code });
}

describe('JWS', () => {
  test('any payload comes back as it was, with the key that signed it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (bytes) => {
        fc.pre(bytes.length > 0);
        const jws = await signJws({ key: keys.privateKey, keyId: kid, typ }, bytes);
        const verified = await verifyJws(jws, { typ, keys: [generateKey().publicKey, jwkOf(keys.publicKey)] });
        assert.deepEqual(Buffer.from(verified.payload), Buffer.from(bytes));
        assert.equal(verified.keyId, kid);
      }),
      { numRuns: 30 },
    );
  });

  test('jose reads what we write, and we read what anybody signs in this form', async () => {
    const jws = await signJws({ key: keys.privateKey, keyId: kid, typ }, payload);
    const { protectedHeader } = await compactVerify(jws, keys.publicKey);
    assert.deepEqual(protectedHeader, { alg: 'ES256', kid, typ });
    assert.deepEqual(Buffer.from((await verifyJws(forge({ alg: 'ES256', kid, typ }), expectation)).payload), payload);
  });

  const hmacInput = `${encode({ alg: 'HS256', kid, typ })}.${payload.toString('base64url')}`;
  const headers: Readonly<Record<string, unknown>> = {
    'without key id': { alg: 'ES256', typ },
    'without type': { alg: 'ES256', kid },
    'without algorithm': { kid, typ },
    'with algorithm none': { alg: 'none', kid, typ },
    'with another algorithm': { alg: 'ES384', kid, typ },
    'with crit': { alg: 'ES256', kid, typ, crit: ['exp'] },
    'with b64': { alg: 'ES256', kid, typ, b64: false, crit: ['b64'] },
    'with its own key': { alg: 'ES256', kid, typ, jwk: jwkOf(keys.publicKey) },
    'with a certificate': { alg: 'ES256', kid, typ, x5c: [] },
    'with a member twice': `{"alg":"none","alg":"ES256","kid":"${kid}","typ":"${typ}"}`,
    'with another spelling': `{ "alg":"ES256","kid":"${kid}","typ":"${typ}"}`,
    'with a number for a key id': { alg: 'ES256', kid: 1, typ },
    'that is a list': [],
    'that is no JSON': 'alg',
    'that is null': null,
  };
  for (const [name, header] of Object.entries(headers)) {
    test(`refuses a header ${name}`, () => refuses(forge(header), 'IDENTITY_JWS_INVALID'));
  }

  test('refuses a message of another type: signatures cannot be moved between purposes', async () => {
    await refuses(forge({ alg: 'ES256', kid, typ: 'edgeward-order+proto' }), 'IDENTITY_JWS_INVALID');
    await refuses(forge({ alg: 'ES256', kid, typ: `application/${typ}` }), 'IDENTITY_JWS_INVALID');
  });

  test('refuses a MAC with the public key as its secret', async () => {
    const secret = keys.publicKey.export({ type: 'spki', format: 'pem' });
    await refuses(
      `${hmacInput}.${createHmac('sha256', secret).update(hmacInput).digest('base64url')}`,
      'IDENTITY_JWS_INVALID',
    );
  });

  test('refuses a key that is not pinned, also under the id of one that is', async () => {
    const stranger = generateKey();
    await refuses(
      forge({ alg: 'ES256', kid: keyId(stranger.publicKey), typ }, stranger.privateKey),
      'IDENTITY_JWS_KEY_UNKNOWN',
    );
    await refuses(forge({ alg: 'ES256', kid, typ }, stranger.privateKey), 'IDENTITY_JWS_SIGNATURE_INVALID');
    await refuses(forge({ alg: 'ES256', kid, typ }), 'IDENTITY_JWS_KEY_UNKNOWN', { typ, keys: [] });
  });

  test('refuses any other form', async () => {
    const good = forge({ alg: 'ES256', kid, typ });
    const [header, body, signature] = good.split('.');
    for (const bad of [
      '',
      '..',
      'a.b',
      `${good}.x`,
      `${good}=`,
      `${good}\n`,
      ` ${good}`,
      `${header}..${signature}`,
      `${header}.${body}.`,
      good.replace('.', '. '),
    ]) {
      await refuses(bad, 'IDENTITY_JWS_INVALID');
    }
    await refuses('x'.repeat(9 * 1024 * 1024), 'IDENTITY_TOO_LARGE');
  });

  test('refuses every changed character', async () => {
    const good = forge({ alg: 'ES256', kid, typ });
    for (let at = 0; at < good.length; at++) {
      const changed = good[at] === 'A' ? 'B' : 'A';
      await assert.rejects(
        verifyJws(good.slice(0, at) + changed + good.slice(at + 1), expectation),
        CodedError,
        `character ${at}`,
      );
    }
  });

  test('refuses to sign under a key id that is not the signer’s, or with a key that is not P-256', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    await assert.rejects(signJws({ key: privateKey, keyId: 'x', typ }, payload), { code: 'IDENTITY_KEY_UNSUPPORTED' });
    await assert.rejects(signJws({ key: keys.privateKey, keyId: 'x', typ }, payload), { code: 'IDENTITY_KEY_INVALID' });
  });
});
