// What path validation accepts, that its work is bounded, and whose roots it uses.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseCertificate } from './certificate.ts';
import { octetString, oid, sequence } from './der.ts';
import { authorityKeyId, basicConstraints, keyUsage, subjectAltUri, subjectKeyId } from './extensions.ts';
import { generateKey } from './keys.ts';
import { verifyChain, verifyChainInBundles } from './path.ts';
import { subjectKeyIdentifier } from './public-key.ts';
import { forgeCertificate, sampleAuthority, type SampleIssuer, sampleNow } from './sample-authority.ts';
import { forgeAuthority, forgeLeaf } from './sample-forgeries.ts';

const authority = sampleAuthority();
const { root, intermediate } = authority;
const other = sampleAuthority('grid.example');
const good = authority.issueLeaf().der;

function verify(
  leaf: Buffer,
  intermediates = [intermediate.certificate.raw],
  roots = [root.certificate.raw],
  now = sampleNow,
) {
  return verifyChain(leaf, intermediates, roots, { now, trustDomain: 'plant.example' });
}

describe('path validation accepts', () => {
  test('a chain of ours and tells who it is', () => {
    const svid = verify(good);
    assert.equal(svid.id.uri, 'spiffe://plant.example/device/plc-1');
    assert.equal(svid.id.kind, 'device');
    assert.equal(svid.serialHex, parseCertificate(good).serialHex);
    assert.equal(svid.notAfter, parseCertificate(good).notAfter);
    assert.ok(svid.publicKey.equals(parseCertificate(good).publicKey));
    assert.ok(svid.der.equals(good));
  });

  test('the first and the last second of the validity, both inclusive', () => {
    const at = (now: number) => verify(good, undefined, undefined, now);
    const { notBefore, notAfter } = parseCertificate(good);
    assert.equal(notBefore, sampleNow - 300_000);
    at(notBefore);
    at(notAfter + 999);
    assert.throws(() => at(notBefore - 1), { code: 'IDENTITY_NOT_YET_VALID' });
    assert.throws(() => at(notAfter + 1000), { code: 'IDENTITY_EXPIRED' });
  });

  test('a leaf without extended key usage, which the standard leaves open', () => {
    verify(forgeLeaf(intermediate, { purposes: null }));
  });

  test('an unknown extension that is not critical', () => {
    verify(forgeLeaf(intermediate, { extra: sequence(oid('1.3.6.1.4.1.99999.1'), octetString(Buffer.from([5, 0]))) }));
  });

  test('intermediates that do not belong to the chain, in any order, and the root among them', () => {
    const chain = [other.intermediate.certificate.raw, root.certificate.raw, intermediate.certificate.raw];
    verify(good, chain);
    verify(good, chain.toReversed());
  });

  test('old and new root side by side during a rollover', () => {
    verify(good, undefined, [sampleAuthority().root.certificate.raw, root.certificate.raw]);
  });
});

describe('the search for a path is bounded', () => {
  test('four authorities are too many, whatever their path lengths say', () => {
    const open = (above: SampleIssuer) => forgeAuthority(above, { constraints: basicConstraints({ pathLen: 9 }) });
    const first = open(root);
    const second = open(first);
    const third = open(second);
    const intermediates = [first, second, third].map((issuer) => issuer.certificate.raw);
    assert.throws(() => verify(forgeLeaf(third), intermediates), {
      code: 'IDENTITY_CHAIN_TOO_LONG',
      message: /more than 4/,
    });
  });

  test('in a net of authorities that all claim to be the root', () => {
    const keys = generateKey();
    const { subject } = root.certificate;
    const rootKeyId = subjectKeyIdentifier(root.keys.publicKey);
    const extensions = [
      basicConstraints({ pathLen: 9 }),
      keyUsage(5),
      subjectKeyId(rootKeyId),
      authorityKeyId(rootKeyId),
      subjectAltUri('spiffe://plant.example', false),
    ];
    const forge = () =>
      forgeCertificate({ issuer: subject, subject, publicKey: keys.publicKey, extensions }, keys.privateKey);
    const claimant: SampleIssuer = { keys, certificate: parseCertificate(forge()) };
    const leaf = forgeLeaf(claimant, { issuerKeyId: authorityKeyId(rootKeyId) });
    assert.throws(() => verify(leaf, [forge(), forge(), forge()]), {
      code: 'IDENTITY_CHAIN_TOO_LONG',
      message: /given up/,
    });
  });
});

describe('the bundle is chosen by the trust domain in the SVID', () => {
  const bundles = new Map([
    ['plant.example', [root.certificate.raw]],
    ['grid.example', [other.root.certificate.raw]],
  ]);
  const verifyBy = (leaf: Buffer, issuer: SampleIssuer) =>
    verifyChainInBundles(leaf, [issuer.certificate.raw], bundles, { now: sampleNow });

  test('each domain verifies against its own roots', () => {
    assert.equal(verifyBy(good, intermediate).id.trustDomain, 'plant.example');
    const foreign = other.issueLeaf('spiffe://grid.example/device/x').der;
    assert.equal(verifyBy(foreign, other.intermediate).id.trustDomain, 'grid.example');
  });

  test('an authority that is trusted for one domain cannot speak for another', () => {
    // Names plant.example, signed by the authority of grid.example.
    const forged = forgeLeaf(other.intermediate);
    assert.throws(() => verifyBy(forged, other.intermediate), { code: 'IDENTITY_ISSUER_UNKNOWN' });
  });

  test('a domain without a bundle, and a leaf without a name, are refused', () => {
    const stranger = sampleAuthority('unknown.example');
    const leaf = stranger.issueLeaf('spiffe://unknown.example/device/x').der;
    assert.throws(() => verifyBy(leaf, stranger.intermediate), { code: 'IDENTITY_TRUST_DOMAIN_MISMATCH' });
    const nameless = forgeLeaf(intermediate, { name: null });
    assert.throws(() => verifyBy(nameless, intermediate), { code: 'IDENTITY_TRUST_DOMAIN_MISMATCH' });
  });
});
