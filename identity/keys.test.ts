import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { calculateJwkThumbprint } from 'jose';
import { exportPkcs8Pem, generateKey, importPkcs8Pem, jwkOf, keyId, loadPrivateKey, publicKeyFromJwk } from './keys.ts';

describe('key files', () => {
  let folder = '';
  let path = '';
  const keys = generateKey();
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'edgeward-keys-'));
    path = join(folder, 'key.pem');
  });
  after(() => rm(folder, { recursive: true }));

  async function store(text: string, mode: number): Promise<void> {
    await writeFile(path, text);
    await chmod(path, mode);
  }

  test('a key that only its owner can read is loaded', async () => {
    await store(exportPkcs8Pem(keys.privateKey), 0o600);
    const loaded = await loadPrivateKey(path);
    assert.ok(loaded.privateKey.equals(keys.privateKey));
    assert.ok(loaded.publicKey.equals(keys.publicKey));
  });

  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777]) {
    test(`mode ${mode.toString(8)} is refused`, async () => {
      await store(exportPkcs8Pem(keys.privateKey), mode);
      await assert.rejects(loadPrivateKey(path), { code: 'IDENTITY_KEY_FILE_EXPOSED', place: { file: path } });
    });
  }

  test('an exposed file behind a link is refused too', async () => {
    await store(exportPkcs8Pem(keys.privateKey), 0o644);
    const link = join(folder, 'link.pem');
    await symlink(path, link);
    await assert.rejects(loadPrivateKey(link), { code: 'IDENTITY_KEY_FILE_EXPOSED' });
  });

  test('a file that is missing, a folder, or too large is refused', async () => {
    await assert.rejects(loadPrivateKey(join(folder, 'none.pem')), { code: 'IDENTITY_KEY_FILE_UNREADABLE' });
    await assert.rejects(loadPrivateKey(folder), { code: 'IDENTITY_KEY_FILE_UNREADABLE' });
    await store('x'.repeat(20_000), 0o600);
    await assert.rejects(loadPrivateKey(path), { code: 'IDENTITY_TOO_LARGE' });
  });
});

describe('PKCS#8', () => {
  test('round trip', () => {
    const { privateKey, publicKey } = generateKey();
    const read = importPkcs8Pem(exportPkcs8Pem(privateKey));
    assert.ok(read.publicKey.equals(publicKey));
  });

  test('other keys, other forms and broken text are refused', () => {
    const pem = (key: ReturnType<typeof generateKey>['privateKey']) => exportPkcs8Pem(key);
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
    const ed25519 = generateKeyPairSync('ed25519').privateKey;
    const sec1 = generateKey().privateKey.export({ type: 'sec1', format: 'pem' }).toString();
    const sealed = generateKey()
      .privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
      .toString();
    assert.throws(() => importPkcs8Pem(pem(p384)), { code: 'IDENTITY_KEY_UNSUPPORTED' });
    assert.throws(() => importPkcs8Pem(pem(ed25519)), { code: 'IDENTITY_KEY_UNSUPPORTED' });
    for (const text of [sec1, sealed, '', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n']) {
      assert.throws(() => importPkcs8Pem(text), { code: 'IDENTITY_KEY_INVALID' });
    }
  });
});

describe('JWK', () => {
  test('round trip, from the public and from the private key', () => {
    const { privateKey, publicKey } = generateKey();
    assert.deepEqual(jwkOf(privateKey), jwkOf(publicKey));
    assert.deepEqual(Object.keys(jwkOf(privateKey)), ['kty', 'crv', 'x', 'y']);
    assert.ok(publicKeyFromJwk(jwkOf(publicKey)).equals(publicKey));
  });

  test('points off the curve, private members, other kinds and odd lengths are refused', () => {
    const jwk = jwkOf(generateKey().publicKey);
    const zero = Buffer.alloc(32).toString('base64url');
    for (const bad of [
      { ...jwk, y: zero },
      { ...jwk, x: zero, y: zero },
      { ...jwk, x: jwk.y, y: jwk.x },
      { ...jwk, x: jwk.x.slice(1) },
      { ...jwk, x: `${jwk.x}=` },
      { ...jwk, y: `${jwk.y}=` },
      { ...jwk, x: 1 },
      { ...jwk, y: undefined },
      { ...jwk, d: zero },
    ]) {
      assert.throws(() => publicKeyFromJwk(bad), { code: 'IDENTITY_KEY_INVALID' });
    }
    for (const bad of [null, 'key', 7, {}, { ...jwk, crv: 'P-384' }, { ...jwk, kty: 'RSA' }]) {
      assert.throws(() => publicKeyFromJwk(bad), { code: 'IDENTITY_KEY_UNSUPPORTED' });
    }
  });

  test('the key id is the thumbprint of RFC 7638, as jose computes it', async () => {
    const { privateKey, publicKey } = generateKey();
    const expected = await calculateJwkThumbprint(jwkOf(publicKey), 'sha256');
    assert.equal(keyId(publicKey), expected);
    assert.equal(keyId(privateKey), expected);
    assert.equal(keyId({ ...jwkOf(publicKey) }), expected);
  });
});
