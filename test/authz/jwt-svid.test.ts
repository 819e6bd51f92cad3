// Tokens and bundles that others made: go-jose and go-spiffe (as SPIRE does; kept in jwt-svid/, made by its mint.go), OpenSSL by hand,
// and PyJWT.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { parseJwtBundle, verifyJwtSvid } from '../../identity/index.ts';
import { requires } from '../support/capabilities.ts';

const subject = 'spiffe://plant.example/device/gateway-1';
const aud = 'edge-1.plant.example';
const now = Date.now();
const claims = { sub: subject, aud: [aud], exp: Math.trunc(now / 1_000) + 300, iat: Math.trunc(now / 1_000) };
const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ES512: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
type Algorithm = keyof typeof pairs;
const algorithms = Object.keys(pairs) as Algorithm[];
const jwkOf = (kid: string, key: KeyObject) => ({ ...key.export({ format: 'jwk' }), use: 'jwt-svid', kid });
const bundle = parseJwtBundle(
  Buffer.from(JSON.stringify({ keys: algorithms.map((alg) => jwkOf(alg, pairs[alg].publicKey)) })),
);
const expected = { trustDomain: 'plant.example', audiences: [aud], now };

test('tokens of go-jose by a bundle document of go-spiffe', async () => {
  const schema = z.object({
    bundle: z.unknown(),
    tokens: z.record(z.string(), z.string()),
    issuedAt: z.number(),
    expiresAt: z.number(),
  });
  const foreign = schema.parse(JSON.parse(readFileSync(join(import.meta.dirname, 'jwt-svid/go-spiffe.json'), 'utf8')));
  const theirs = parseJwtBundle(Buffer.from(JSON.stringify(foreign.bundle)));
  assert.deepEqual([theirs.sequence, theirs.refreshHintSeconds], [7, 300]);
  const at = (seconds: number) => ({ ...expected, bundle: theirs, now: seconds * 1_000 });
  assert.deepEqual(Object.keys(foreign.tokens).toSorted(), ['ES256', 'ES384', 'PS256', 'RS256']);
  for (const [alg, token] of Object.entries(foreign.tokens)) {
    const verified = await verifyJwtSvid(token, at(foreign.issuedAt + 1));
    assert.deepEqual([verified.id.uri, verified.expiresAt], [subject, foreign.expiresAt * 1_000], alg);
    await assert.rejects(verifyJwtSvid(token, at(foreign.expiresAt)), { code: 'IDENTITY_JWT_SVID_INVALID' }, alg);
    await assert.rejects(verifyJwtSvid(token, { ...at(foreign.issuedAt + 1), audiences: ['edge-2'] }), alg);
    await assert.rejects(verifyJwtSvid(token, { ...at(foreign.issuedAt + 1), bundle }), alg);
  }
});

test('tokens of OpenSSL', async (t) => {
  if (!requires(t, 'openssl')) return;
  const scratch = mkdtempSync(join(tmpdir(), 'edgeward-jwt-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  for (const alg of algorithms) {
    const keyFile = join(scratch, `${alg}.pem`);
    writeFileSync(keyFile, pairs[alg].privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    const input = `${encode({ typ: 'JWT', alg, kid: alg })}.${encode(claims)}`;
    const padding = alg === 'PS256' ? ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'] : [];
    const signed = execFileSync('openssl', ['dgst', `-sha${alg.slice(2)}`, '-sign', keyFile, ...padding], { input });
    const token = (signature: Buffer): string => `${input}.${signature.toString('base64url')}`;
    const raw = alg.startsWith('ES') ? joined(signed, { ES256: 32, ES384: 48, ES512: 66 }[alg as 'ES256']) : signed;
    assert.equal((await verifyJwtSvid(token(raw), { ...expected, bundle })).id.uri, subject, alg);
    // What OpenSSL says of ECDSA by itself is DER, which JWS is not (RFC 7518, 3.4).
    if (raw !== signed) await assert.rejects(verifyJwtSvid(token(signed), { ...expected, bundle }), alg);
    raw[raw.length - 1] = (raw.at(-1) ?? 0) ^ 1;
    await assert.rejects(verifyJwtSvid(token(raw), { ...expected, bundle }), alg);
  }
});

/** The two integers of a DER signature (RFC 3279, 2.2.3), each of `size` bytes. */
function joined(der: Buffer, size: number): Buffer {
  let at = (der[1] ?? 0) > 0x80 ? 3 : 2;
  const next = (): Buffer => {
    const length = der[at + 1] ?? 0;
    const value = der.subarray(at + 2, at + 2 + length);
    at += 2 + length;
    return Buffer.concat([Buffer.alloc(size), value]).subarray(-size);
  };
  return Buffer.concat([next(), next()]);
}

test('tokens of PyJWT, and what PyJWT can be told to make', async (t) => {
  if (!requires(t, 'pyjwt')) return;
  const mint = `
import json, sys, jwt
task = json.load(sys.stdin)
print(jwt.encode(task["claims"], task["key"], algorithm=task["alg"], headers=task["headers"]))
`;
  const made = (alg: string, key: string, headers: object, body: object = claims): string =>
    execFileSync('/usr/bin/python3', ['-c', mint], { input: JSON.stringify({ alg, key, headers, claims: body }) })
      .toString()
      .trim();
  for (const alg of algorithms) {
    const pem = pairs[alg].privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const token = made(alg, pem, { kid: alg });
    assert.equal((await verifyJwtSvid(token, { ...expected, bundle })).id.uri, subject, alg);
    for (const attack of [
      made('none', '', { kid: alg }),
      made('HS256', 'a secret of at least thirty-two bytes', { kid: alg }),
      made(alg, pem, {}),
      made(alg, pem, { kid: alg, crit: ['exp'] }),
      made(alg, pem, { kid: alg, jku: 'https://evil.example' }),
      made(alg, pem, { kid: algorithms.find((other) => other !== alg) }),
      made(alg, pem, { kid: alg }, { ...claims, aud: 'edge-2' }),
      made(alg, pem, { kid: alg }, { sub: subject, aud }),
    ]) {
      await assert.rejects(verifyJwtSvid(attack, { ...expected, bundle }), alg);
    }
  }
});
