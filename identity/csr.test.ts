import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../runtime/errors.ts';
import { createCsr, parseCsr } from './csr.ts';
import { bitString, context, contextPrimitive, integer, octetString, oid, sequence, setOf, utf8String } from './der.ts';
import { keyUsage, subjectAltUri } from './extensions.ts';
import { exportPkcs8Pem, generateKey } from './keys.ts';
import { oids } from './oids.ts';
import { signatureAlgorithm } from './profile.ts';
import { encodePublicKey } from './public-key.ts';

const uri = 'spiffe://plant.example/device/plc-1';
const keys = generateKey();

function openssl(args: readonly string[], input?: Buffer): Buffer {
  return execFileSync('openssl', args, { input: input ?? '', stdio: ['pipe', 'pipe', 'pipe'] });
}

describe('a certificate request of ours', () => {
  test('is read back with its key and name', () => {
    const parsed = parseCsr(createCsr(keys, uri));
    assert.ok(parsed.publicKey.equals(keys.publicKey));
    assert.ok(parsed.publicKeyDer.equals(encodePublicKey(keys.publicKey)));
    assert.deepEqual(parsed.uris, [uri]);
    assert.equal(parsed.otherNames, false);
    assert.deepEqual(parseCsr(createCsr(keys)).uris, []);
  });

  test('is verified and printed by openssl req', () => {
    const text = openssl(['req', '-inform', 'DER', '-verify', '-noout', '-text'], createCsr(keys, uri)).toString();
    assert.ok(text.includes(`URI:${uri}`), text);
    openssl(['req', '-inform', 'DER', '-verify', '-noout'], createCsr(keys));
  });
});

describe('a certificate request of openssl', () => {
  function opensslCsr(...args: string[]): Buffer {
    const folder = mkdtempSync(join(tmpdir(), 'edgeward-csr-'));
    try {
      const key = join(folder, 'key.pem');
      writeFileSync(key, exportPkcs8Pem(keys.privateKey));
      return openssl(['req', '-new', '-key', key, '-subj', '/CN=ignored/serialNumber=7', '-outform', 'DER', ...args]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test('is read, its names told', () => {
    assert.deepEqual(parseCsr(opensslCsr('-addext', `subjectAltName=URI:${uri}`)).uris, [uri]);
    const many = parseCsr(opensslCsr('-addext', `subjectAltName=URI:${uri},DNS:evil.example,IP:10.0.0.1`));
    assert.deepEqual(many.uris, [uri]);
    assert.equal(many.otherNames, true);
  });

  test('is refused when signed with SHA-384', () => {
    assert.throws(() => parseCsr(opensslCsr('-sha384')), { code: 'IDENTITY_CSR_INVALID' });
  });
});

describe('a certificate request is refused', () => {
  interface Parts {
    version?: number;
    spki?: Buffer;
    attributes?: Buffer[];
    algorithm?: Buffer;
    signer?: KeyObject;
    hash?: string;
  }

  function forge(parts: Parts): Buffer {
    const spki = parts.spki ?? encodePublicKey(keys.publicKey);
    const info = sequence(integer(parts.version ?? 0), sequence(), spki, context(0, ...(parts.attributes ?? [])));
    const signature = sign(parts.hash ?? 'sha256', info, parts.signer ?? keys.privateKey);
    return sequence(info, parts.algorithm ?? signatureAlgorithm, bitString(signature));
  }

  const request = (...extensions: Buffer[]) => sequence(oid(oids.extensionRequest), setOf(sequence(...extensions)));
  const challenge = sequence(oid('1.2.840.113549.1.9.7'), setOf(utf8String('secret')));
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const spkiOf = (key: KeyObject) => key.export({ type: 'spki', format: 'der' });
  const explicit = spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).publicKey);

  test('never, when nothing is wrong', () => {
    assert.deepEqual(parseCsr(forge({ attributes: [request(subjectAltUri(uri, false)), challenge] })).uris, [uri]);
  });

  const cases: Readonly<Record<string, readonly [string, Buffer]>> = {
    'without proof of possession': ['IDENTITY_CSR_NOT_PROVEN', forge({ signer: generateKey().privateKey })],
    'with another version': ['IDENTITY_CSR_INVALID', forge({ version: 1 })],
    'with an attribute twice': ['IDENTITY_CSR_INVALID', forge({ attributes: [challenge, challenge] })],
    'with two extension requests': [
      'IDENTITY_CSR_INVALID',
      forge({ attributes: [request(subjectAltUri(uri, false)), request(keyUsage(0))] }),
    ],
    'with two sets of extensions in one request': [
      'IDENTITY_CSR_INVALID',
      forge({
        attributes: [sequence(oid(oids.extensionRequest), setOf(sequence(keyUsage(0)), sequence(keyUsage(5))))],
      }),
    ],
    'with an extension twice': [
      'IDENTITY_CSR_INVALID',
      forge({ attributes: [request(subjectAltUri(uri, false), subjectAltUri(`${uri}x`, false))] }),
    ],
    'with a name that is not printable': [
      'IDENTITY_CSR_INVALID',
      forge({
        attributes: [
          request(sequence(oid(oids.subjectAltName), octetString(sequence(contextPrimitive(6, Buffer.from([0])))))),
        ],
      }),
    ],
    'for a P-384 key': ['IDENTITY_KEY_UNSUPPORTED', forge({ spki: spkiOf(p384.publicKey), signer: p384.privateKey })],
    'for an RSA key': ['IDENTITY_KEY_UNSUPPORTED', forge({ spki: spkiOf(rsa.publicKey), signer: rsa.privateKey })],
    'for a key with explicit parameters': ['IDENTITY_KEY_UNSUPPORTED', forge({ spki: explicit })],
    'signed with another hash': [
      'IDENTITY_CSR_INVALID',
      forge({ hash: 'sha384', algorithm: sequence(oid('1.2.840.10045.4.3.3')) }),
    ],
    'with another hash than it says': ['IDENTITY_CSR_NOT_PROVEN', forge({ hash: 'sha384' })],
    'with bytes after it': ['IDENTITY_CSR_INVALID', Buffer.concat([createCsr(keys, uri), Buffer.alloc(1)])],
    'above 16 KiB': [
      'IDENTITY_TOO_LARGE',
      forge({ attributes: [sequence(oid('1.2.3'), setOf(octetString(Buffer.alloc(17_000))))] }),
    ],
    empty: ['IDENTITY_CSR_INVALID', Buffer.alloc(0)],
  };
  for (const [name, [code, der]] of Object.entries(cases)) {
    test(name, () => assert.throws(() => parseCsr(der), { code }));
  }

  test('with any bit flipped', () => {
    const der = createCsr(keys, uri);
    for (let bit = 0; bit < der.length * 8; bit++) {
      const mutant = Buffer.from(der);
      mutant[bit >> 3] = (mutant[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => parseCsr(mutant), CodedError, `bit ${bit}`);
    }
  });

  test('as any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.throws(() => parseCsr(bytes), CodedError);
      }),
    );
  });
});
