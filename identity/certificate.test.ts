import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { CodedError } from '../runtime/errors.ts';
import { isSignedBy, parseCertificate } from './certificate.ts';
import { bitString, boolean, context, contextPrimitive, integer, octetString, oid, sequence, setOf } from './der.ts';
import { authorityKeyId, basicConstraints, keyUsage, subjectAltUri, subjectKeyId } from './extensions.ts';
import { generateKey } from './keys.ts';
import { oids } from './oids.ts';
import { verifyChain } from './path.ts';
import { subjectKeyIdentifier } from './public-key.ts';
import { type Forgery, forgeCertificate, sampleAuthority, sampleNow } from './sample-authority.ts';

const authority = sampleAuthority();
const { root, intermediate } = authority;
const leaf = authority.issueLeaf();
const written = { root: root.certificate.raw, intermediate: intermediate.certificate.raw, leaf: leaf.der };

describe('other parsers read every certificate that we write', () => {
  for (const [name, der] of Object.entries(written)) {
    const ours = parseCertificate(der);

    test(`node: ${name}`, () => {
      const theirs = new X509Certificate(der);
      assert.equal(theirs.serialNumber.toLowerCase(), ours.serialHex);
      assert.equal(Date.parse(theirs.validFrom), ours.notBefore);
      assert.equal(Date.parse(theirs.validTo), ours.notAfter);
      assert.equal(theirs.ca, ours.isCa);
      assert.equal(theirs.subjectAltName, `URI:${ours.subjectAltName?.uris[0]}`);
      assert.ok(theirs.publicKey.equals(ours.publicKey));
      const issuer = name === 'leaf' ? intermediate : root;
      assert.ok(theirs.checkIssued(new X509Certificate(issuer.certificate.raw)));
      assert.ok(theirs.verify(issuer.certificate.publicKey));
      assert.ok(isSignedBy(ours, issuer.certificate));
    });

    test(`@peculiar/x509: ${name}`, async () => {
      const theirs = new x509.X509Certificate(Buffer.from(der));
      assert.equal(theirs.serialNumber, ours.serialHex);
      assert.equal(theirs.notBefore.getTime(), ours.notBefore);
      assert.equal(theirs.notAfter.getTime(), ours.notAfter);
      assert.ok(Buffer.from(theirs.publicKey.rawData).equals(ours.publicKeyDer));
      assert.deepEqual(
        [...theirs.extensions].map(({ type, critical }) => [type, critical]),
        ours.extensions.map((one) => [one.oid, one.critical]),
      );
      const constraints = theirs.getExtension(x509.BasicConstraintsExtension);
      assert.equal(constraints?.ca, ours.isCa);
      assert.equal(constraints?.pathLength, ours.pathLen);
      const names = theirs.getExtension(x509.SubjectAlternativeNameExtension)?.names.items;
      assert.deepEqual(
        names?.map((one) => [one.type, one.value]),
        [['url', ours.subjectAltName?.uris[0]]],
      );
      const issuer = name === 'leaf' ? intermediate : root;
      const publicKey = new x509.PublicKey(issuer.certificate.publicKeyDer);
      assert.ok(await theirs.verify({ publicKey, signatureOnly: true }));
    });

    test(`openssl x509 and asn1parse: ${name}`, () => {
      const text = execFileSync('openssl', ['x509', '-inform', 'DER', '-noout', '-text'], { input: der }).toString();
      assert.ok(text.includes(`URI:${ours.subjectAltName?.uris[0]}`), text);
      assert.ok(text.includes(ours.isCa ? `CA:TRUE, pathlen:${ours.pathLen}` : 'CA:FALSE'), text);
      assert.ok(text.includes('Signature Algorithm: ecdsa-with-SHA256'), text);
      if (name === 'leaf') {
        assert.match(text, /Subject: ?\n/);
        assert.match(text, /Subject Alternative Name: critical/);
        assert.match(text, /Key Usage: critical\n +Digital Signature\n/);
        assert.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/);
        assert.match(text, /Authority Key Identifier: \n +[0-9A-F:]{59}\n/);
      }
      if (name === 'intermediate') {
        assert.match(text, /Name Constraints: critical\n +Permitted:\n +URI:plant.example\n +DNS:invalid\n +Excluded:/);
      }
      execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: der });
    });
  }
});

describe('the certificate parser', () => {
  const options = { now: sampleNow, trustDomain: 'plant.example' };

  /** Whether the chain still verifies with these bytes; anything but a coded error is a failure of the test. */
  function verifies(leafDer: Buffer, intermediateDer: Buffer): boolean {
    try {
      verifyChain(leafDer, [intermediateDer], [written.root], options);
      return true;
    } catch (error) {
      assert.ok(error instanceof CodedError, String(error));
      return false;
    }
  }

  for (const which of ['leaf', 'intermediate'] as const) {
    test(`every flipped bit of the ${which} is refused`, () => {
      assert.ok(verifies(written.leaf, written.intermediate));
      for (let bit = 0; bit < written[which].length * 8; bit++) {
        const mutant = Buffer.from(written[which]);
        mutant[bit >> 3] = (mutant[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const accepted = which === 'leaf' ? verifies(mutant, written.intermediate) : verifies(written.leaf, mutant);
        assert.ok(!accepted, `bit ${bit}`);
      }
    });
  }

  test('every truncation and every extension is refused', () => {
    for (let length = 0; length < written.leaf.length; length++) {
      assert.ok(!verifies(written.leaf.subarray(0, length), written.intermediate), `${length} bytes`);
    }
    assert.ok(!verifies(Buffer.concat([written.leaf, Buffer.alloc(1)]), written.intermediate));
  });

  test('replaced, inserted and removed bytes are refused', () => {
    const at = fc.nat(written.leaf.length - 1);
    fc.assert(
      fc.property(at, at, fc.uint8Array({ maxLength: 4 }), (from, to, bytes) => {
        const mutant = Buffer.concat([written.leaf.subarray(0, from), bytes, written.leaf.subarray(to)]);
        fc.pre(!mutant.equals(written.leaf));
        assert.ok(!verifies(mutant, written.intermediate));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the certificate parser refuses', () => {
  const keys = generateKey();
  const extensions = [
    basicConstraints(undefined),
    keyUsage(0),
    subjectKeyId(subjectKeyIdentifier(keys.publicKey)),
    authorityKeyId(subjectKeyIdentifier(intermediate.keys.publicKey)),
    subjectAltUri('spiffe://plant.example/device/a', true),
  ];
  const forge = (changes: Partial<Forgery>): Buffer => {
    const base = { issuer: intermediate.certificate.subject, publicKey: keys.publicKey, extensions };
    return forgeCertificate({ ...base, ...changes }, intermediate.keys.privateKey);
  };
  const plain = (name: string, value: Buffer) => sequence(oid(name), octetString(value));
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ type: 'spki', format: 'der' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'der' });
  const ecdh = sequence(
    sequence(oid('1.3.132.1.12'), oid(oids.prime256v1)),
    bitString(parseCertificate(written.leaf).publicKeyDer.subarray(-65)),
  );
  const compressed = Buffer.from(parseCertificate(written.leaf).publicKeyDer);
  compressed[26] = 0x02;
  const offCurve = Buffer.from(parseCertificate(written.leaf).publicKeyDer);
  offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;

  const cases: Readonly<Record<string, readonly [string, Partial<Forgery>]>> = {
    'version 1': ['IDENTITY_CERTIFICATE_INVALID', { version: 0 }],
    'a serial of zero': ['IDENTITY_CERTIFICATE_INVALID', { serial: integer(0) }],
    'a negative serial': ['IDENTITY_CERTIFICATE_INVALID', { serial: Buffer.from('0201ff', 'hex') }],
    'a serial of 21 bytes': ['IDENTITY_CERTIFICATE_INVALID', { serial: integer(Buffer.alloc(21, 1)) }],
    'an end before the beginning': [
      'IDENTITY_CERTIFICATE_INVALID',
      { notBefore: sampleNow, notAfter: sampleNow - 1000 },
    ],
    'a signature algorithm with parameters': [
      'IDENTITY_DER_INVALID',
      { algorithm: sequence(oid(oids.ecdsaWithSha256), Buffer.from([5, 0])) },
    ],
    'ecdsa-with-SHA384': ['IDENTITY_ALGORITHM_REFUSED', { algorithm: sequence(oid('1.2.840.10045.4.3.3')) }],
    'a P-384 key': ['IDENTITY_KEY_UNSUPPORTED', { publicKeyDer: p384 }],
    'an RSA key': ['IDENTITY_KEY_UNSUPPORTED', { publicKeyDer: rsa }],
    'a key for Diffie-Hellman': ['IDENTITY_KEY_UNSUPPORTED', { publicKeyDer: ecdh }],
    'a compressed point': ['IDENTITY_KEY_INVALID', { publicKeyDer: compressed }],
    'a point off the curve': ['IDENTITY_KEY_INVALID', { publicKeyDer: offCurve }],
    'an extension that occurs twice': ['IDENTITY_CERTIFICATE_INVALID', { extensions: [...extensions, keyUsage(0)] }],
    'an empty list of extensions': ['IDENTITY_CERTIFICATE_INVALID', { extensions: [] }],
    'a critical flag that says false': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [sequence(oid('2.5.29.54'), boolean(false), octetString(integer(1)))] },
    ],
    'a path length without an authority': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [plain(oids.basicConstraints, sequence(integer(0)))] },
    ],
    'CA:FALSE written out': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [plain(oids.basicConstraints, sequence(boolean(false)))] },
    ],
    'an empty extKeyUsage': ['IDENTITY_CERTIFICATE_INVALID', { extensions: [plain(oids.extKeyUsage, sequence())] }],
    'an empty subjectAltName': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [plain(oids.subjectAltName, sequence())] },
    ],
    'a subjectAltName that is no sequence': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [plain(oids.subjectAltName, setOf(Buffer.from('860161', 'hex')))] },
    ],
    'a subjectKeyIdentifier that is no octet string': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [plain(oids.subjectKeyIdentifier, integer(1))] },
    ],
    'name constraints with an empty list': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [plain(oids.nameConstraints, sequence(context(0)))] },
    ],
    'name constraints with half an IP range': [
      'IDENTITY_CERTIFICATE_INVALID',
      {
        extensions: [plain(oids.nameConstraints, sequence(context(0, sequence(contextPrimitive(7, Buffer.alloc(4))))))],
      },
    ],
    'an empty subjectKeyIdentifier': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [plain(oids.subjectKeyIdentifier, octetString())] },
    ],
    'empty name constraints': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [plain(oids.nameConstraints, sequence())] },
    ],
    'an extension value with trailing bytes': [
      'IDENTITY_DER_INVALID',
      { extensions: [plain(oids.keyUsage, Buffer.from('0302078000', 'hex'))] },
    ],
    'an authority key identifier by issuer and serial': [
      'IDENTITY_DER_INVALID',
      { extensions: [plain(oids.authorityKeyIdentifier, sequence(Buffer.from('820101', 'hex')))] },
    ],
    'a URI with a control character': [
      'IDENTITY_CERTIFICATE_INVALID',
      { extensions: [subjectAltUri('spiffe://plant.example/device/a\0', true)] },
    ],
  };
  for (const [name, [code, changes]] of Object.entries(cases)) {
    test(name, () => assert.throws(() => parseCertificate(forge(changes)), { code }));
  }

  test('nothing in the unchanged forgery', () => {
    assert.equal(parseCertificate(forge({})).spiffeId?.name, 'a');
  });
});
