// The authority's key file: sealed, whole or absent, checked when opened, renewed when due.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { exportPkcs8Pem, fingerprint, keyId } from '../../identity/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { readSealed, writeSealed } from '../../store/sealed-file.ts';
import { PowerCutError, SimulatedFiles } from '../../store/simulated-files.ts';
import { coded, trustDomain } from '../../test/ca/support.ts';
import {
  type AuthorityFile,
  createAuthority,
  moveRootKeyOffline,
  openAuthority,
  openRootKey,
} from './authority-file.ts';
import { withoutRootKey } from './authority.ts';

const day = 86_400_000;

async function newFile(clock = new FakeClock()): Promise<AuthorityFile & { fs: SimulatedFiles; clock: FakeClock }> {
  const fs = new SimulatedFiles();
  await fs.mkdir('/keys');
  return { fs, path: '/keys/authority.sealed', passphrase: 'correct horse battery staple', clock, random: randomBytes };
}

test('what was created is opened again, key by key', async () => {
  const file = await newFile();
  const made = await createAuthority(file, trustDomain);
  const opened = await openAuthority(file);
  assert.equal(opened.trustDomain, trustDomain);
  assert.deepEqual(opened.serverChain, made.serverChain);
  assert.equal(opened.rootFingerprint, fingerprint(made.root.certificate.raw));
  assert.equal(opened.logVerifierKey, made.logVerifierKey);
  assert.equal(opened.ordersKeyId, made.ordersKeyId);
  assert.ok(opened.root.key !== undefined);
});

test('no private key stands in the file in the clear, and the mode is 0600', async () => {
  const file = await newFile();
  const { root, intermediate, orders, log, server } = await createAuthority(file, trustDomain);
  const bytes = await file.fs.readFile(file.path, 1 << 20);
  for (const key of [root.key, intermediate.key, orders, log, server.key]) {
    assert.ok(key !== undefined);
    const pem = exportPkcs8Pem(key).split('\n')[1] ?? '';
    assert.ok(!bytes.includes(pem.slice(0, 20)));
    assert.ok(!bytes.includes(key.export({ type: 'pkcs8', format: 'der' }).subarray(40, 56)));
  }
  assert.equal((await file.fs.stat(file.path))?.mode, 0o600);
});

test('an existing file is never replaced', async () => {
  const file = await newFile();
  await createAuthority(file, trustDomain);
  await assert.rejects(createAuthority(file, trustDomain), coded('CA_AUTHORITY_EXISTS'));
});

test('a wrong passphrase opens nothing', async () => {
  const file = await newFile();
  await createAuthority(file, trustDomain);
  await assert.rejects(openAuthority({ ...file, passphrase: 'wrong' }), coded('SEALED_FILE_LOCKED'));
});

test('a key that does not belong to its certificate is refused', async () => {
  const file = await newFile();
  const other = { ...file, path: '/keys/other.sealed' };
  await createAuthority(file, trustDomain);
  await createAuthority(other, trustDomain);
  const read = async (from: AuthorityFile) => JSON.parse(String(await readSealed(from.fs, from.path, from.passphrase)));
  const mine = (await read(file)) as Record<string, Record<string, string>>;
  const foreign = (await read(other)) as Record<string, Record<string, string>>;
  const mixtures: Record<string, unknown>[] = [
    { ...mine, intermediate: { ...mine['intermediate'], key: foreign['intermediate']?.['key'] } },
    { ...mine, root: foreign['root'] },
    { ...mine, trustDomain: 'other.example' },
    { ...mine, log: mine['orders'] },
    { ...mine, server: mine['intermediate'] },
    { ...mine, extra: 1 },
  ];
  for (const mixture of mixtures) {
    await writeSealed(file.fs, file.path, Buffer.from(JSON.stringify(mixture)), file.passphrase);
    await assert.rejects(openAuthority(file), coded('CA_AUTHORITY_INVALID'));
  }
});

test('the server certificate is replaced on open past half-life, with a new key, and the file holds the new one', async () => {
  const file = await newFile();
  const made = await createAuthority(file, trustDomain);
  await file.clock.advance(44 * day);
  const early = await openAuthority(file);
  assert.ok(early.server.certificate.raw.equals(made.server.certificate.raw));
  await file.clock.advance(2 * day);
  const renewed = await openAuthority(file);
  assert.ok(!renewed.server.certificate.raw.equals(made.server.certificate.raw));
  assert.notEqual(keyId(renewed.server.key), keyId(made.server.key));
  assert.ok(renewed.server.certificate.notAfter > made.server.certificate.notAfter);
  assert.deepEqual((await openAuthority(file)).serverChain, renewed.serverChain);
});

test('also after its server certificate expired while the control plane slept', async () => {
  const file = await newFile();
  await createAuthority(file, trustDomain);
  await file.clock.advance(400 * day);
  const opened = await openAuthority(file);
  assert.ok(opened.server.certificate.notAfter > file.clock.now());
});

test('an intermediate that is not valid now opens nothing', async () => {
  const file = await newFile();
  await createAuthority(file, trustDomain);
  file.clock.set(file.clock.now() - day);
  await assert.rejects(openAuthority(file), coded('CA_AUTHORITY_EXPIRED'));
  file.clock.set(file.clock.now() + 2000 * day);
  await assert.rejects(openAuthority(file), coded('CA_AUTHORITY_EXPIRED'));
});

test('the root key moves to a file of its own with its own passphrase; everything else goes on without it', async () => {
  const file = await newFile();
  const made = await createAuthority(file, trustDomain);
  const offline = { fs: file.fs, path: '/keys/root.sealed', passphrase: 'kept in a safe' };
  const without = await moveRootKeyOffline(file, made, offline);
  assert.equal(without.root.key, undefined);
  const opened = await openAuthority(file);
  assert.equal(opened.root.key, undefined);
  assert.equal(opened.rootFingerprint, made.rootFingerprint);
  const back = await openRootKey(offline, opened);
  assert.equal(keyId(back), keyId(made.root.certificate.publicKey));
  await assert.rejects(openRootKey({ ...offline, passphrase: file.passphrase }, opened), coded('SEALED_FILE_LOCKED'));
  await assert.rejects(moveRootKeyOffline(file, withoutRootKey(made), offline), coded('CA_ROOT_KEY_ABSENT'));
});

test('a file that is not this root key’s copy keeps the key where it is', async () => {
  const file = await newFile();
  const made = await createAuthority(file, trustDomain);
  const other = { ...file, path: '/keys/other.sealed' };
  const offline = { fs: file.fs, path: '/keys/root.sealed', passphrase: 'kept in a safe' };
  await moveRootKeyOffline(other, await createAuthority(other, trustDomain), offline);
  await assert.rejects(moveRootKeyOffline(file, made, offline), coded('CA_AUTHORITY_INVALID'));
  assert.ok((await openAuthority(file)).root.key !== undefined);
});

test('a power cut anywhere in that move leaves the root key in at least one of the two files', async () => {
  for (let cut = 1; ; cut++) {
    const file = await newFile();
    const made = await createAuthority(file, trustDomain);
    const offline = { fs: file.fs, path: '/keys/root.sealed', passphrase: 'kept in a safe' };
    file.fs.cutAfter(cut);
    const done = await moveRootKeyOffline(file, made, offline).then(
      () => true,
      (error: unknown) => {
        assert.ok(error instanceof PowerCutError, String(error));
        return false;
      },
    );
    const fs = file.fs.restart();
    const opened = await openAuthority({ ...file, fs });
    if (opened.root.key === undefined) await openRootKey({ ...offline, fs }, opened);
    if (done) break;
    assert.ok(cut < 100);
  }
});
