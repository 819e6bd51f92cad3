// One row for each clause of path validation (RFC 5280 section 6, SPIFFE X509-SVID sections 2 to 5). What is accepted
// and how the search is bounded: path-search.test.ts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { CodedError } from '../runtime/errors.ts';
import { parseCertificate } from './certificate.ts';
import { boolean, context, contextPrimitive, octetString, oid, sequence } from './der.ts';
import { authorityKeyId, basicConstraints, extKeyUsage, keyUsage, lockDown, subjectAltUri } from './extensions.ts';
import { generateKey } from './keys.ts';
import { oids } from './oids.ts';
import { type ChainOptions, verifyChain } from './path.ts';
import { subjectKeyIdentifier } from './public-key.ts';
import { days, sampleAuthority, sampleIntermediate, type SampleIssuer, sampleNow } from './sample-authority.ts';
import { type AuthorityChanges, forgeAuthority, forgeLeaf, type LeafChanges } from './sample-forgeries.ts';

const authority = sampleAuthority();
const { root, intermediate } = authority;
const other = sampleAuthority('grid.example');
const good = authority.issueLeaf().der;

interface Row {
  readonly clause: string;
  readonly code: string;
  readonly message?: RegExp;
  readonly leaf?: Buffer;
  readonly intermediates?: readonly Buffer[];
  readonly roots?: readonly Buffer[];
  readonly options?: Partial<ChainOptions>;
}

const names = (...parts: Buffer[]) =>
  sequence(oid(oids.subjectAltName), boolean(true), octetString(sequence(...parts)));
const uriName = (uri: string) => contextPrimitive(6, Buffer.from(uri));
const dnsName = (name: string) => contextPrimitive(2, Buffer.from(name));
const uriOnly = (uri: string) => ({ name: subjectAltUri(uri, true) });
const goodUri = 'spiffe://plant.example/device/plc-1';

/** A leaf of the good intermediate with something wrong. */
const leaf = (changes: LeafChanges): Pick<Row, 'leaf'> => ({ leaf: forgeLeaf(intermediate, changes) });
/** A good leaf below an issuer. */
const under = (issuer: SampleIssuer): Pick<Row, 'leaf' | 'intermediates'> => ({
  leaf: forgeLeaf(issuer),
  intermediates: [issuer.certificate.raw],
});
/** A good leaf below an authority of the good root with something wrong. */
const underForged = (changes: AuthorityChanges) => under(forgeAuthority(root, changes));
const revokes = (serialHex: string): Pick<Row, 'options'> => ({
  options: { revoked: (serial) => serial === serialHex },
});

const foreignCritical = sequence(oid('1.3.6.1.4.1.99999.1'), boolean(true), octetString(Buffer.from([5, 0])));
const emailConstraint = sequence(
  oid(oids.nameConstraints),
  boolean(true),
  octetString(sequence(context(0, sequence(contextPrimitive(1, Buffer.from('example.org')))))),
);
const belowIntermediate = sampleIntermediate(intermediate, 'plant.example');
const rootByStranger: SampleIssuer = { keys: generateKey(), certificate: root.certificate };
const intermediateByStranger: SampleIssuer = { keys: generateKey(), certificate: intermediate.certificate };
const keyIdOf = (issuer: SampleIssuer) => authorityKeyId(subjectKeyIdentifier(issuer.keys.publicKey));

const validity: readonly Row[] = [
  { clause: 'leaf expired', code: 'IDENTITY_EXPIRED', options: { now: sampleNow + days(14) * 1000 } },
  { clause: 'leaf not yet valid', code: 'IDENTITY_NOT_YET_VALID', options: { now: sampleNow - 301_000 } },
  {
    clause: 'intermediate expired under a leaf that outlives it',
    code: 'IDENTITY_EXPIRED',
    leaf: forgeLeaf(intermediate, {}, { notAfter: sampleNow + days(700) * 1000 }),
    options: { now: sampleNow + days(400) * 1000 },
  },
  { clause: 'leaf revoked', code: 'IDENTITY_REVOKED', ...revokes(parseCertificate(good).serialHex) },
  { clause: 'intermediate revoked', code: 'IDENTITY_REVOKED', ...revokes(intermediate.certificate.serialHex) },
  { clause: 'root revoked', code: 'IDENTITY_REVOKED', ...revokes(root.certificate.serialHex) },
];

const chain: readonly Row[] = [
  { clause: 'wrong issuer', code: 'IDENTITY_ISSUER_UNKNOWN', intermediates: [other.intermediate.certificate.raw] },
  { clause: 'intermediate missing', code: 'IDENTITY_ISSUER_UNKNOWN', intermediates: [] },
  { clause: 'root missing', code: 'IDENTITY_ISSUER_UNKNOWN', roots: [] },
  { clause: 'root of another trust domain', code: 'IDENTITY_ISSUER_UNKNOWN', roots: [other.root.certificate.raw] },
  {
    clause: 'issuer name that differs although the key identifier is right',
    code: 'IDENTITY_ISSUER_UNKNOWN',
    leaf: forgeLeaf(intermediate, {}, { issuer: root.certificate.subject }),
  },
  { clause: 'authority key identifier missing', code: 'IDENTITY_ISSUER_UNKNOWN', ...leaf({ issuerKeyId: null }) },
  {
    clause: 'bad signature of the leaf',
    code: 'IDENTITY_SIGNATURE_INVALID',
    leaf: forgeLeaf(intermediateByStranger, { issuerKeyId: keyIdOf(intermediate) }),
  },
  {
    clause: 'bad signature of the intermediate',
    code: 'IDENTITY_SIGNATURE_INVALID',
    ...under(forgeAuthority(rootByStranger, { issuerKeyId: keyIdOf(root) })),
  },
  {
    clause: 'issuer is no authority',
    code: 'IDENTITY_NOT_AN_AUTHORITY',
    ...underForged({ constraints: basicConstraints(undefined) }),
  },
  { clause: 'issuer without keyCertSign', code: 'IDENTITY_NOT_AN_AUTHORITY', ...underForged({ usage: keyUsage(6) }) },
  { clause: 'issuer without key usage', code: 'IDENTITY_NOT_AN_AUTHORITY', ...underForged({ usage: null }) },
  {
    clause: 'path length',
    code: 'IDENTITY_PATH_LENGTH_EXCEEDED',
    leaf: forgeLeaf(belowIntermediate),
    intermediates: [belowIntermediate.certificate.raw, intermediate.certificate.raw],
  },
  {
    clause: 'more issuers than are searched',
    code: 'IDENTITY_CHAIN_TOO_LONG',
    intermediates: Array.from({ length: 9 }, () => intermediate.certificate.raw),
  },
  {
    clause: 'more roots than a trust domain may have',
    code: 'IDENTITY_ANCHORS_INVALID',
    roots: Array.from({ length: 9 }, () => root.certificate.raw),
  },
];

const nameRows: readonly Row[] = [
  { clause: 'SAN missing', code: 'IDENTITY_SVID_INVALID', message: /no subject alternative/, ...leaf({ name: null }) },
  {
    clause: 'two URI SANs',
    code: 'IDENTITY_SVID_INVALID',
    message: /2 URIs/,
    ...leaf({ name: names(uriName(goodUri), uriName('spiffe://plant.example/device/b')) }),
  },
  {
    clause: 'DNS name besides the URI',
    code: 'IDENTITY_SVID_INVALID',
    message: /besides/,
    ...leaf({ name: names(uriName(goodUri), dnsName('evil.example')) }),
  },
  { clause: 'DNS name alone', code: 'IDENTITY_SVID_INVALID', ...leaf({ name: names(dnsName('a.b')) }) },
  { clause: 'URI without path', code: 'IDENTITY_SVID_INVALID', ...leaf(uriOnly('spiffe://plant.example')) },
  {
    clause: 'URI of another scheme',
    code: 'IDENTITY_SVID_INVALID',
    ...leaf(uriOnly('https://plant.example/device/a')),
  },
  {
    clause: 'SPIFFE ID outside the grammar',
    code: 'IDENTITY_SPIFFE_ID_INVALID',
    ...leaf(uriOnly('spiffe://plant.example/device/../x')),
  },
  {
    clause: 'wrong trust domain in the SVID',
    code: 'IDENTITY_TRUST_DOMAIN_MISMATCH',
    ...leaf(uriOnly('spiffe://grid.example/device/plc-1')),
  },
  {
    clause: 'wrong trust domain expected',
    code: 'IDENTITY_TRUST_DOMAIN_MISMATCH',
    options: { trustDomain: 'grid.example' },
  },
  {
    clause: 'authority of another trust domain',
    code: 'IDENTITY_TRUST_DOMAIN_MISMATCH',
    ...underForged(uriOnly('spiffe://grid.example')),
  },
  {
    clause: 'authority with the identity of a device',
    code: 'IDENTITY_TRUST_DOMAIN_MISMATCH',
    ...underForged(uriOnly('spiffe://plant.example/device/a')),
  },
  {
    clause: 'name constraint violated',
    code: 'IDENTITY_NAME_CONSTRAINED',
    ...underForged({ extra: lockDown('other.example') }),
  },
  {
    clause: 'name constraint of an unknown kind',
    code: 'IDENTITY_NAME_CONSTRAINED',
    ...underForged({ extra: emailConstraint }),
  },
];

const usage: readonly Row[] = [
  {
    clause: 'leaf is an authority',
    code: 'IDENTITY_SVID_INVALID',
    message: /an authority/,
    ...leaf({ constraints: basicConstraints({ pathLen: 0 }) }),
  },
  { clause: 'leaf may sign certificates', code: 'IDENTITY_SVID_INVALID', ...leaf({ usage: keyUsage(0, 5) }) },
  { clause: 'leaf may sign revocations', code: 'IDENTITY_SVID_INVALID', ...leaf({ usage: keyUsage(0, 6) }) },
  { clause: 'leaf may not sign', code: 'IDENTITY_SVID_INVALID', ...leaf({ usage: keyUsage(4) }) },
  { clause: 'leaf without key usage', code: 'IDENTITY_SVID_INVALID', ...leaf({ usage: null }) },
  {
    clause: 'leaf for clients only',
    code: 'IDENTITY_SVID_INVALID',
    ...leaf({ purposes: extKeyUsage(oids.clientAuth) }),
  },
  {
    clause: 'leaf for servers only',
    code: 'IDENTITY_SVID_INVALID',
    ...leaf({ purposes: extKeyUsage(oids.serverAuth) }),
  },
  { clause: 'unknown critical extension', code: 'IDENTITY_CRITICAL_EXTENSION', ...leaf({ extra: foreignCritical }) },
  {
    clause: 'unknown critical extension in an authority',
    code: 'IDENTITY_CRITICAL_EXTENSION',
    ...underForged({ extra: foreignCritical }),
  },
  { clause: 'not a certificate', code: 'IDENTITY_DER_INVALID', leaf: randomBytes(64) },
  { clause: 'too large', code: 'IDENTITY_TOO_LARGE', leaf: Buffer.alloc(20_000) },
];

function run(row: Omit<Row, 'clause' | 'code'>): ReturnType<typeof verifyChain> {
  const { intermediates = [intermediate.certificate.raw], roots = [root.certificate.raw], options } = row;
  return verifyChain(row.leaf ?? good, intermediates, roots, {
    now: sampleNow,
    trustDomain: 'plant.example',
    ...options,
  });
}

for (const [topic, rows] of Object.entries({ validity, chain, names: nameRows, usage })) {
  describe(`path validation refuses, by ${topic}`, () => {
    for (const row of rows) {
      test(row.clause, () => {
        assert.throws(
          () => run(row),
          (error) =>
            error instanceof CodedError && error.code === row.code && (row.message ?? /.{15}/).test(error.message),
          row.code,
        );
      });
    }
  });
}

test('path validation accepts the forgeries when nothing is wrong, so that the table proves its own clauses', () => {
  assert.equal(run({}).id.uri, goodUri);
  assert.equal(run(leaf({})).id.uri, goodUri);
  assert.equal(run(underForged({})).id.uri, goodUri);
});
