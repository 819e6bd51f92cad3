import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Certificate, parseCertificate } from './certificate.ts';
import { issueCertificate, prepareCertificate, signCertificate } from './issue.ts';
import { generateKey } from './keys.ts';
import { lintCertificate } from './lint.ts';
import { certificatesToPem } from './pem.ts';
import { type LeafRequest, newSerial, validityFor } from './profile.ts';
import { sampleAuthority, sampleNow } from './sample-authority.ts';

const authority = sampleAuthority();
const issuer = authority.intermediate.certificate;

function leafRequest(changes: Partial<LeafRequest> = {}): LeafRequest {
  return {
    profile: 'leaf',
    issuer,
    spiffeId: 'spiffe://plant.example/device/plc-1',
    publicKey: generateKey().publicKey,
    serialHex: newSerial(randomBytes),
    ...validityFor(sampleNow, 3600, issuer),
    ...changes,
  };
}

describe('openssl verify -x509_strict agrees', () => {
  function opensslVerify(leaf: Buffer, from = authority, at = sampleNow): string {
    const folder = mkdtempSync(join(tmpdir(), 'edgeward-issue-'));
    try {
      const file = (name: string, der: Buffer): string => {
        const path = join(folder, name);
        writeFileSync(path, certificatesToPem([der]));
        return path;
      };
      const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-attime', String(at / 1000)];
      args.push('-CAfile', file('root.pem', from.root.certificate.raw));
      args.push('-untrusted', file('intermediate.pem', from.intermediate.certificate.raw), file('leaf.pem', leaf));
      return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
    } catch (error) {
      return String((error as { stderr?: Buffer }).stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test('with every kind of identity', () => {
    for (const path of ['device/a', 'device/a/workload/b', 'operator/Alice', 'control/stream']) {
      const { der } = authority.issueLeaf(`spiffe://plant.example/${path}`);
      assert.match(opensslVerify(der), /: OK/);
    }
  });

  test('that a lock-down intermediate cannot issue for another trust domain', () => {
    const keys = { ...authority.intermediate, trustDomain: 'plant.example' };
    const foreign = sampleAuthority('grid.example').intermediate.certificate;
    // Signed by our intermediate, built as if the issuer were of the other domain.
    const pretender: Certificate = { ...keys.certificate, trustDomain: foreign.trustDomain };
    const der = issueCertificate(
      leafRequest({ issuer: pretender, spiffeId: 'spiffe://grid.example/device/a' }),
      keys.keys.privateKey,
    );
    assert.match(opensslVerify(der), /permitted subtree violation/);
  });

  test('that a leaf is over when it is over', () => {
    const { der } = authority.issueLeaf(undefined, 3600);
    // RFC 5280 counts the last second (3599) in, OpenSSL does not: look one second before it.
    assert.match(opensslVerify(der, authority, sampleNow + 3_598_000), /: OK/);
    assert.match(opensslVerify(der, authority, sampleNow + 3_600_000), /expired/);
  });
});

describe('validity', () => {
  const window = { notBefore: sampleNow - 1000, notAfter: sampleNow + 100_000 };

  test('begins five minutes early and ends inclusively', () => {
    assert.deepEqual(validityFor(sampleNow + 7, 3600), {
      notBefore: sampleNow - 300_000,
      notAfter: sampleNow + 3_599_000,
    });
  });

  test('never leaves the validity of the issuer', () => {
    assert.deepEqual(validityFor(sampleNow, 3600, window), window);
    fc.assert(
      fc.property(
        fc.integer({ min: window.notBefore, max: window.notAfter }),
        fc.integer({ min: 1, max: 10_000 }),
        (now, ttl) => {
          const made = validityFor(now, ttl, window);
          assert.ok(
            made.notBefore >= window.notBefore && made.notAfter <= window.notAfter && made.notBefore <= made.notAfter,
          );
          assert.equal(made.notBefore % 1000, 0);
          assert.equal(made.notAfter % 1000, 0);
        },
      ),
    );
  });

  test('there is none under an issuer that is over or has not begun', () => {
    for (const now of [window.notBefore - 1000, window.notAfter + 1000]) {
      assert.throws(() => validityFor(now, 60, window), { code: 'IDENTITY_ISSUER_UNUSABLE' });
    }
  });
});

describe('serials', () => {
  test('are positive, 19 bytes long, and differ', () => {
    const serials = Array.from({ length: 500 }, () => newSerial(randomBytes));
    assert.equal(new Set(serials).size, 500);
    for (const serial of serials) assert.match(serial, /^[4-7][0-9a-f]{37}$/);
  });

  test('read back as they were asked for, at both ends of the random range', () => {
    for (const byte of [0x00, 0xff]) {
      const serialHex = newSerial((count) => Buffer.alloc(count, byte));
      const der = issueCertificate(leafRequest({ serialHex }), authority.intermediate.keys.privateKey);
      assert.equal(parseCertificate(der).serialHex, serialHex);
    }
  });
});

describe('nothing is signed that the lint does not know', () => {
  const violation = { code: 'IDENTITY_PROFILE_VIOLATED' };

  test('a name of another trust domain', () => {
    assert.throws(() => prepareCertificate(leafRequest({ spiffeId: 'spiffe://grid.example/device/a' })), {
      ...violation,
      message: /another trust domain/,
    });
  });

  test('a validity that leaves the issuer, or has fractions of a second', () => {
    assert.throws(() => prepareCertificate(leafRequest({ notAfter: issuer.notAfter + 1000 })), violation);
    assert.throws(() => prepareCertificate(leafRequest({ notBefore: issuer.notBefore - 1000 })), violation);
    assert.throws(() => prepareCertificate(leafRequest({ notAfter: sampleNow + 500 })), violation);
  });

  test('a serial that is short, in upper case or not hex', () => {
    for (const serialHex of ['01', 'AB'.repeat(19), '41'.repeat(18)]) {
      assert.throws(() => prepareCertificate(leafRequest({ serialHex })), violation, serialHex);
    }
    assert.throws(() => prepareCertificate(leafRequest({ serialHex: 'zz' })), { code: 'IDENTITY_CERTIFICATE_INVALID' });
  });

  test('an issuer that is no authority', () => {
    const leaf = parseCertificate(authority.issueLeaf().der);
    const request = leafRequest({ issuer: leaf, notAfter: leaf.notAfter });
    assert.throws(() => prepareCertificate(request), violation);
  });

  test('a part that was not prepared', () => {
    const prepared = prepareCertificate(leafRequest());
    const { privateKey } = authority.intermediate.keys;
    assert.throws(() => signCertificate({ ...prepared }, privateKey), violation);
    assert.ok(parseCertificate(signCertificate(prepared, privateKey)).tbs.equals(prepared.tbs));
  });

  test('a key that is not the one in the issuing certificate', () => {
    assert.throws(() => issueCertificate(leafRequest(), generateKey().privateKey), {
      code: 'IDENTITY_ISSUER_UNUSABLE',
    });
  });

  test('every rule of the lint finds its fault', () => {
    const request = leafRequest();
    const good = parseCertificate(issueCertificate(request, authority.intermediate.keys.privateKey));
    assert.deepEqual(lintCertificate(good, request), []);
    const [first, ...rest] = good.extensions;
    const san = good.subjectAltName;
    assert.ok(first && san);
    const faults: readonly Partial<Certificate>[] = [
      { raw: Buffer.alloc(20_000) },
      { serialHex: newSerial(randomBytes) },
      { notBefore: good.notBefore + 1000 },
      { notAfter: good.notAfter + 1000 },
      { publicKeyDer: issuer.publicKeyDer },
      { subjectKeyId: issuer.subjectKeyId },
      { authorityKeyId: undefined },
      { issuer: good.subject },
      { subject: issuer.subject },
      { trustDomain: 'grid.example' },
      { isCa: true },
      { pathLen: 0 },
      { keyUsage: [0, 5] },
      { keyUsage: undefined },
      { extKeyUsage: good.extKeyUsage?.slice(0, 1) },
      { spiffeId: undefined },
      { subjectAltName: { ...san, count: 2 } },
      { subjectAltName: { ...san, uris: ['spiffe://plant.example/device/b'] } },
      { extensions: rest },
      { extensions: [{ ...first, critical: !first.critical }, ...rest] },
      { extensions: [...good.extensions, { oid: '1.2.3', critical: false, value: Buffer.alloc(2) }] },
    ];
    for (const fault of faults) {
      assert.notDeepEqual(lintCertificate({ ...good, ...fault }, request), [], Object.keys(fault).join());
    }
  });

  test('every rule for authorities finds its fault', () => {
    const { certificate } = authority.intermediate;
    const request = {
      profile: 'intermediate',
      issuer: authority.root.certificate,
      trustDomain: 'plant.example',
      publicKey: certificate.publicKey,
      serialHex: certificate.serialHex,
      notBefore: certificate.notBefore,
      notAfter: certificate.notAfter,
    } as const;
    assert.deepEqual(lintCertificate(certificate, request), []);
    const locks = certificate.nameConstraints;
    assert.ok(locks);
    const faults: readonly Partial<Certificate>[] = [
      { isCa: false },
      { pathLen: 1 },
      { pathLen: undefined },
      { keyUsage: [5] },
      { nameConstraints: undefined },
      { nameConstraints: { ...locks, permitted: { ...locks.permitted, uris: [] } } },
      { nameConstraints: { ...locks, permitted: { ...locks.permitted, uris: ['plant.example', 'grid.example'] } } },
      { nameConstraints: { ...locks, permitted: { ...locks.permitted, dnsNames: [] } } },
      { nameConstraints: { ...locks, excluded: { ...locks.excluded, ipRanges: locks.excluded.ipRanges.slice(0, 1) } } },
      { subject: Buffer.from([0x30, 0]) },
      { subjectAltName: undefined },
    ];
    for (const fault of faults) {
      assert.notDeepEqual(lintCertificate({ ...certificate, ...fault }, request), [], Object.keys(fault).join());
    }
    const rootRequest = { ...request, profile: 'root', publicKey: authority.root.certificate.publicKey } as const;
    const { serialHex, notBefore, notAfter } = authority.root.certificate;
    const good = { ...rootRequest, serialHex, notBefore, notAfter };
    assert.deepEqual(lintCertificate(authority.root.certificate, good), []);
    assert.notDeepEqual(
      lintCertificate({ ...authority.root.certificate, issuer: certificate.issuer.subarray(1) }, good),
      [],
    );
    assert.notDeepEqual(lintCertificate({ ...authority.root.certificate, authorityKeyId: Buffer.alloc(20) }, good), []);
  });
});
