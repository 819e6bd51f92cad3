import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { basicConstraints, keyUsage, subjectAltUri } from './extensions.ts';
import { generateKey, jwkOf } from './keys.ts';
import { formatVerifierKey, generateNoteKey } from './note.ts';
import { certificatesFromPem, certificatesToPem } from './pem.ts';
import { days, forgeCertificate, sampleAuthority } from './sample-authority.ts';
import {
  fingerprint,
  type ParsedTrustAnchors,
  trustAnchorsFromJson,
  trustAnchorsFromWire,
  trustAnchorsToJson,
  trustAnchorsToWire,
} from './trust-anchors.ts';

const authority = sampleAuthority();
const root = authority.root.certificate.raw;
const jwk = () => jwkOf(generateKey().publicKey);
const anchors: ParsedTrustAnchors = {
  trustDomain: 'plant.example',
  roots: [root],
  publisherKeys: [jwk(), jwk()],
  ordersKeys: [jwk()],
  logVerifierKey: formatVerifierKey('plant.example/audit', generateNoteKey().publicKey),
};

function forgeRoot(extensions: Buffer[], uri = 'spiffe://plant.example'): Buffer {
  const { keys, certificate } = authority.root;
  const { issuer, subject, publicKey } = certificate;
  const names = [subjectAltUri(uri, false)];
  return forgeCertificate({ issuer, subject, publicKey, extensions: [...extensions, ...names] }, keys.privateKey);
}

describe('trust anchors', () => {
  test('come back from the wire and from a file as they were', () => {
    assert.deepEqual(trustAnchorsFromWire(trustAnchorsToWire(anchors)), anchors);
    assert.deepEqual(trustAnchorsFromJson(trustAnchorsToJson(anchors)), anchors);
  });

  test('accept the forged root when nothing is wrong with it', () => {
    const roots = [forgeRoot([basicConstraints({ pathLen: 1 }), keyUsage(5)])];
    assert.equal(trustAnchorsFromWire(trustAnchorsToWire({ ...anchors, roots })).roots.length, 1);
  });

  const other = sampleAuthority('grid.example');
  const wrong: Readonly<Record<string, Partial<ParsedTrustAnchors>>> = {
    'without a root': { roots: [] },
    'with a root of another trust domain': { roots: [root, other.root.certificate.raw] },
    'with an intermediate for a root': { roots: [authority.intermediate.certificate.raw] },
    'with a leaf for a root': { roots: [authority.issueLeaf(undefined, days(1)).der] },
    'with a root that is no certificate': { roots: [Buffer.from('root')] },
    'with a root that was changed': {
      roots: [Buffer.from(root.map((byte, at) => (at === root.length - 1 ? byte ^ 1 : byte)))],
    },
    'with too many roots': {
      roots: Array.from({ length: 9 }, () => sampleAuthority().root.certificate.raw),
    },
    'with a root that is no authority': { roots: [forgeRoot([basicConstraints(undefined), keyUsage(5)])] },
    'with a root that may not sign certificates': {
      roots: [forgeRoot([basicConstraints({ pathLen: 1 }), keyUsage(6)])],
    },
    'with a root that names a device': {
      roots: [forgeRoot([basicConstraints({ pathLen: 1 }), keyUsage(5)], 'spiffe://plant.example/device/a')],
    },
    'with one root twice': { roots: [root, root] },
    'with an orders key that also publishes': { ordersKeys: anchors.publisherKeys },
    'with the key of a root as orders key': { ordersKeys: [jwkOf(authority.root.keys.publicKey)] },
    'with a trust domain that is none': { trustDomain: 'Plant example' },
    'with a log key that is none': { logVerifierKey: 'x' },
    'with too many keys': { publisherKeys: Array.from({ length: 33 }, jwk) },
  };
  for (const [name, change] of Object.entries(wrong)) {
    test(`${name} are refused`, () => {
      const message = trustAnchorsToWire({ ...anchors, ...change });
      assert.throws(() => trustAnchorsFromWire(message), { code: 'IDENTITY_ANCHORS_INVALID' });
    });
  }

  test('with a key text that is no public JWK are refused', () => {
    for (const text of [
      '',
      '{}',
      'null',
      'x',
      JSON.stringify(generateKey().privateKey.export({ format: 'jwk' })),
      `${JSON.stringify(jwk())}${' '.repeat(2000)}`,
    ]) {
      const message = { ...trustAnchorsToWire(anchors), publisherKeysJwk: [text] };
      assert.throws(() => trustAnchorsFromWire(message), { code: 'IDENTITY_ANCHORS_INVALID' }, text);
    }
  });

  test('in a file that is cut short or has an unknown field are refused', () => {
    const text = trustAnchorsToJson(anchors);
    for (const bad of ['', text.slice(0, -10), text.replace('trustDomain', 'domain')]) {
      assert.throws(() => trustAnchorsFromJson(bad), { code: 'IDENTITY_ANCHORS_INVALID' });
    }
  });
});

describe('fingerprints and PEM', () => {
  test('the fingerprint is the one openssl prints', () => {
    const args = ['x509', '-inform', 'DER', '-noout', '-fingerprint', '-sha256'];
    const printed = execFileSync('openssl', args, { input: root }).toString().trim().split('=')[1];
    assert.equal(fingerprint(root), `sha256:${printed?.replaceAll(':', '').toLowerCase()}`);
  });

  test('PEM is as openssl writes it, and read back', () => {
    const chain = [authority.issueLeaf().der, authority.intermediate.certificate.raw];
    const pem = certificatesToPem(chain);
    const theirs = chain.map((input) => execFileSync('openssl', ['x509', '-inform', 'DER'], { input }).toString());
    assert.equal(pem, theirs.join(''));
    assert.deepEqual(certificatesFromPem(pem), chain);
  });

  test('PEM in any other form is refused', () => {
    const pem = certificatesToPem([root]);
    for (const bad of [
      '',
      'x',
      `${pem}x`,
      ` ${pem}`,
      pem.replaceAll('\n', '\r\n'),
      pem.replace('CERTIFICATE', 'TRUSTED'),
      pem.slice(0, -1),
    ]) {
      assert.throws(() => certificatesFromPem(bad), { code: 'IDENTITY_CERTIFICATE_INVALID' }, bad);
    }
    assert.throws(() => certificatesFromPem(pem.repeat(5)), { code: 'IDENTITY_TOO_LARGE' });
  });
});
