// Tokens are put together by hand here: what a library would not sign is what has to be refused.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../runtime/errors.ts';
import { authorityOf, type JwtSvidExpectation, verifyJwtSvid } from './jwt-svid.ts';
import { parseJwtBundle } from './jwt-bundle.ts';

const now = Date.UTC(2026, 10, 22, 12);
const seconds = now / 1_000;
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = (key: KeyObject, kid: string, more = {}) => ({
  ...key.export({ format: 'jwk' }),
  use: 'jwt-svid',
  kid,
  ...more,
});
const document = (...keys: object[]) =>
  Buffer.from(JSON.stringify({ keys, spiffe_sequence: 3, spiffe_refresh_hint: 60 }));
const bundle = parseJwtBundle(document(jwk(ec.publicKey, 'k1'), jwk(rsa.publicKey, 'k2')));
const expected: JwtSvidExpectation = { trustDomain: 'plant.example', bundle, audiences: ['edge-1', 'edge-all'], now };

const header = { alg: 'ES256', kid: 'k1', typ: 'JWT' };
const claims = { sub: 'spiffe://plant.example/device/gateway-1', aud: ['edge-1'], exp: seconds + 300, iat: seconds };
const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
const encode = (value: unknown): string => Buffer.from(text(value)).toString('base64url');

/** Properly signed over whatever header and claims; objects or JSON texts. */
function token(
  head: unknown = header,
  body: unknown = claims,
  key: KeyObject = ec.privateKey,
  hash = 'sha256',
): string {
  const input = `${encode(head)}.${encode(body)}`;
  const signature = sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

const refused = async (given: string, code = 'IDENTITY_JWT_SVID_INVALID', by = expected): Promise<void> =>
  await assert.rejects(verifyJwtSvid(given, by), (error) => {
    assert.ok(error instanceof CodedError);
    assert.equal(error.code, code);
    assert.ok(given.length < 40 || !error.message.includes(given.slice(0, 40)), 'the message repeats the credential');
    return true;
  });

describe('JWT-SVID', () => {
  test('a token of our authority, for us, of a workload of ours, is who it says until it expires', async () => {
    for (const head of [header, { alg: 'ES256', kid: 'k1' }, { kid: 'k1', typ: 'JOSE', alg: 'ES256' }]) {
      const verified = await verifyJwtSvid(token(head), expected);
      assert.deepEqual(
        [verified.id.device, verified.id.kind, verified.expiresAt],
        ['gateway-1', 'device', now + 300_000],
      );
    }
    const { id } = await verifyJwtSvid(token({ ...header, alg: 'RS256', kid: 'k2' }, claims, rsa.privateKey), expected);
    assert.equal(id.name, 'gateway-1');
    const acr = await verifyJwtSvid(token(header, { ...claims, aud: 'edge-all', acr: 'urn:mfa' }), expected);
    assert.equal(acr.claims['acr'], 'urn:mfa');
  });

  const headers: Readonly<Record<string, unknown>> = {
    'alg none': { ...header, alg: 'none' },
    'alg None': { ...header, alg: 'None' },
    'alg of a MAC': { ...header, alg: 'HS256' },
    'alg in lower case': { ...header, alg: 'es256' },
    'an alg that another curve has': { ...header, alg: 'ES384' },
    'an alg of another kind of key': { ...header, alg: 'RS256' },
    'no alg': { kid: 'k1' },
    'no kid': { alg: 'ES256' },
    'an empty kid': { ...header, kid: '' },
    'a kid that is a number': { ...header, kid: 1 },
    'another typ': { ...header, typ: 'at+jwt' },
    'typ in lower case': { ...header, typ: 'jwt' },
    crit: { ...header, crit: ['exp'], exp: 1 },
    b64: { ...header, b64: false },
    'an embedded key': { ...header, jwk: ec.publicKey.export({ format: 'jwk' }) },
    jku: { ...header, jku: 'https://evil.example/keys' },
    x5u: { ...header, x5u: 'https://evil.example/cert' },
    x5c: { ...header, x5c: ['MII'] },
    zip: { ...header, zip: 'DEF' },
    'alg twice': '{"alg":"none","kid":"k1","alg":"ES256"}',
    'kid twice': '{"alg":"ES256","kid":"k2","kid":"k1"}',
    'no object': '"ES256"',
    'no JSON': '{"alg":"ES256","kid":"k1"',
  };
  for (const [name, head] of Object.entries(headers)) {
    test(`a header with ${name} is refused, however well it is signed`, async () => await refused(token(head)));
  }

  const bodies: Readonly<Record<string, unknown>> = {
    'that has expired': { ...claims, exp: seconds },
    'that has just expired': { ...claims, exp: seconds - 0.5 },
    'without exp': { ...claims, exp: undefined },
    'with exp as text': { ...claims, exp: String(seconds + 300) },
    'with exp null': { ...claims, exp: null },
    'with nbf in the future': { ...claims, nbf: seconds + 120 },
    'with nbf as text': { ...claims, nbf: 'now' },
    'issued in the future': { ...claims, iat: seconds + 120 },
    'that is valid for a day': { ...claims, exp: seconds + 86_400 },
    'that is valid for a day and does not say since when': { ...claims, exp: seconds + 86_400, iat: undefined },
    'that was valid for a day': { ...claims, iat: seconds - 86_000 },
    'without aud': { ...claims, aud: undefined },
    'for nobody': { ...claims, aud: [] },
    'for an empty name': { ...claims, aud: [''] },
    'for others': { ...claims, aud: ['edge-2', 'spiffe://plant.example'] },
    'for a name that contains ours': { ...claims, aud: 'edge-1.evil.example' },
    'for us in another case': { ...claims, aud: 'EDGE-1' },
    'for us in a deeper list': { ...claims, aud: [['edge-1']] },
    'with aud as an object': { ...claims, aud: { 0: 'edge-1' } },
    'without sub': { ...claims, sub: undefined },
    'of another trust domain': { ...claims, sub: 'spiffe://other.example/device/gateway-1' },
    'of a trust domain that begins like ours': { ...claims, sub: 'spiffe://plant.example.evil/device/gateway-1' },
    'with the scheme in capitals': { ...claims, sub: 'SPIFFE://plant.example/device/gateway-1' },
    'with sub twice': `{"sub":"spiffe://plant.example/device/x",${JSON.stringify(claims).slice(1)}`,
    'with exp twice': `${JSON.stringify(claims).slice(0, -1)},"exp":${seconds + 3_000}}`,
    'with aud twice by an escape': `{"\\u0061ud":["edge-2"],${JSON.stringify(claims).slice(1)}`,
    'that is a list': [claims],
    'that is no JSON': 'sub=gateway-1',
  };
  for (const [name, body] of Object.entries(bodies)) {
    test(`a token ${name} is refused, however well it is signed`, async () => await refused(token(header, body)));
  }

  test('a subject with tricks in its path is refused', async () => {
    for (const path of [
      '',
      '/',
      '/device',
      '/device/',
      '/device//gateway-1',
      '/device/../gateway-1',
      '/device/./gateway-1',
    ]) {
      await refused(token(header, { ...claims, sub: `spiffe://plant.example${path}` }), 'IDENTITY_SPIFFE_ID_INVALID');
    }
    for (const path of [
      '/device/gateway%2d1',
      '/device/gateway-1?x',
      '/device/gateway-1#x',
      '/device/gateway-1\0',
      '/x/y',
    ]) {
      await refused(token(header, { ...claims, sub: `spiffe://plant.example${path}` }), 'IDENTITY_SPIFFE_ID_INVALID');
    }
    for (const sub of ['spiffe://evil@plant.example/device/gateway-1', 'spiffe://plant.example:443/device/gateway-1']) {
      await refused(token(header, { ...claims, sub }), 'IDENTITY_SPIFFE_ID_INVALID');
    }
  });

  test('a MAC with the bytes of a public key, in any form, is no signature', async () => {
    for (const { publicKey, kid } of [
      { publicKey: ec.publicKey, kid: 'k1' },
      { publicKey: rsa.publicKey, kid: 'k2' },
    ]) {
      const secrets = [
        publicKey.export({ type: 'spki', format: 'pem' }),
        publicKey.export({ type: 'spki', format: 'der' }),
        JSON.stringify(publicKey.export({ format: 'jwk' })),
      ];
      for (const alg of ['HS256', 'ES256', 'RS256']) {
        for (const secret of secrets) {
          const input = `${encode({ alg, kid })}.${encode(claims)}`;
          await refused(`${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`);
        }
      }
    }
  });

  test('another key, another kid and another form of the signature are refused', async () => {
    await refused(token(header, claims, other.privateKey));
    await refused(token({ ...header, kid: 'k3' }), 'IDENTITY_JWT_SVID_KEY_UNKNOWN');
    await refused(token({ ...header, kid: 'k2' }));
    await refused(token({ ...header, kid: '__proto__' }), 'IDENTITY_JWT_SVID_KEY_UNKNOWN');
    const [head, body, signature = ''] = token().split('.');
    const input = `${head}.${body}`;
    const der = sign('sha256', Buffer.from(input), { key: ec.privateKey, dsaEncoding: 'der' });
    await refused(`${input}.${der.toString('base64url')}`);
    for (const bytes of [
      Buffer.alloc(64),
      Buffer.alloc(0),
      Buffer.concat([Buffer.from(signature, 'base64url'), Buffer.alloc(1)]),
    ]) {
      await refused(`${input}.${bytes.toString('base64url')}`);
    }
  });

  test('what is no compact JWS, or too large, is refused', async () => {
    const good = token();
    const [head = '', body = '', signature = ''] = good.split('.');
    const flattened = JSON.stringify({ protected: head, payload: body, signature });
    for (const given of [
      '',
      '..',
      `${head}.${body}`,
      `${head}.${body}.`,
      `${good}.`,
      ` ${good}`,
      `${good}\n`,
      `${good}=`,
    ]) {
      await refused(given);
    }
    for (const given of [
      flattened,
      `${head}..${signature}`,
      `${good}.${good}`,
      'a.b.c',
      `${good}${'A'.repeat(10_000)}`,
    ]) {
      await refused(given);
    }
    await refused(token(header, { ...claims, more: 'x'.repeat(10_000) }));
  });

  test('no single character of a token can be another', async () => {
    const good = token();
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.stringMatching(/^[A-Za-z0-9_.=-]$/), async (at, character) => {
        fc.pre(good[at] !== character);
        const changed = good.slice(0, at) + character + good.slice(at + 1);
        // The last character of a part of base64 has bits to spare: then the bytes are the same.
        const bytes = (given: string): string[] =>
          given.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex'));
        if (JSON.stringify(bytes(changed)) === JSON.stringify(bytes(good)) && at > good.lastIndexOf('.')) return;
        await assert.rejects(verifyJwtSvid(changed, expected), CodedError);
      }),
      { numRuns: 300 },
    );
  });

  test('the issuer counts where one is expected, and no audience of the verifier is no token', async () => {
    const issuer = 'https://issuer.plant.example';
    await refused(token(), undefined, { ...expected, issuer });
    await refused(token(header, { ...claims, iss: `${issuer}/` }), undefined, { ...expected, issuer });
    assert.ok(await verifyJwtSvid(token(header, { ...claims, iss: issuer }), { ...expected, issuer }));
    await refused(token(), undefined, { ...expected, audiences: [] });
  });

  test('which authority a token names is known without verifying it', () => {
    assert.ok(authorityOf(token(header, claims, other.privateKey), bundle));
    for (const given of [token({ ...header, kid: 'k3' }), 'opaque', '', token({ ...header, jku: 'x' })]) {
      assert.equal(authorityOf(given, bundle), undefined);
    }
  });
});

describe('a trust bundle document', () => {
  const refusedDocument = (value: Buffer): void => {
    assert.throws(() => parseJwtBundle(value), { code: 'IDENTITY_JWT_BUNDLE_INVALID' });
  };

  test('gives keys of use jwt-svid alone, with sequence and refresh hint', () => {
    const parsed = parseJwtBundle(
      document(jwk(ec.publicKey, 'k1'), jwk(other.publicKey, 'x', { use: 'x509-svid' }), { kty: 'new', use: 'future' }),
    );
    assert.deepEqual([[...parsed.authorities.keys()], parsed.sequence, parsed.refreshHintSeconds], [['k1'], 3, 60]);
    assert.deepEqual(parsed.authorities.get('k1')?.algorithms, ['ES256']);
    const restricted = parseJwtBundle(document(jwk(rsa.publicKey, 'r', { alg: 'PS384' })));
    assert.deepEqual(restricted.authorities.get('r')?.algorithms, ['PS384']);
  });

  test('with a private, weak, unnamed, doubled or unknown key of that use is refused whole', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const foreign = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    const ed = generateKeyPairSync('ed25519');
    for (const key of [
      jwk(ec.privateKey, 'k'),
      jwk(weak.publicKey, 'k'),
      jwk(foreign.publicKey, 'k'),
      jwk(ed.publicKey, 'k'),
      { kty: 'oct', k: 'c2VjcmV0', use: 'jwt-svid', kid: 'k' },
      jwk(ec.publicKey, ''),
      jwk(ec.publicKey, 'k', { kid: undefined }),
      jwk(ec.publicKey, 'k', { alg: 'HS256' }),
      jwk(ec.publicKey, 'k', { alg: 'RS256' }),
      jwk(ec.publicKey, 'k', { x: 'AAAA' }),
    ]) {
      refusedDocument(document(jwk(other.publicKey, 'o'), key));
    }
    refusedDocument(document(jwk(ec.publicKey, 'k'), jwk(other.publicKey, 'k')));
  });

  test('that is no such document is refused', () => {
    for (const value of ['', '{}', '[]', '{"keys":{}}', '{"keys":[],"keys":[]}', '{"keys":[],"spiffe_sequence":-1}']) {
      refusedDocument(Buffer.from(value));
    }
    refusedDocument(Buffer.alloc(300_000, ' '));
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (given) => {
        try {
          return parseJwtBundle(Buffer.from(given)).authorities.size === 0;
        } catch (error) {
          return error instanceof CodedError;
        }
      }),
    );
  });
});
