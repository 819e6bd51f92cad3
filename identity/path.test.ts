import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { CodedError } from '../runtime/errors.ts';
import { parseCertificate } from './certificate.ts';
import { boolean, context, contextPrimitive, octetString, oid, sequence } from './der.ts';
import {
  authorityKeyId,
  basicConstraints,
  extKeyUsage,
  keyUsage,
  lockDown,
  subjectAltUri,
  subjectKeyId,
} from './extensions.ts';
import { generateKey } from './keys.ts';
import { oids } from './oids.ts';
import { type ChainOptions, verifyChain, verifyChainInBundles } from './path.ts';
import { subjectKeyIdentifier } from './public-key.ts';
import {
  days,
  type Forgery,
  forgeCertificate,
  sampleAuthority,
  sampleIntermediate,
  type SampleIssuer,
  sampleNow,
} from './sample-authority.ts';

const authority = sampleAuthority();
const { root, intermediate } = authority;
const other = sampleAuthority('grid.example');
const goodUri = 'spiffe://plant.example/device/plc-1';

interface Case {
  readonly clause: string;
  readonly code: string;
  readonly message?: RegExp;
  readonly leaf?: Buffer;
  readonly intermediates?: readonly Buffer[];
  readonly roots?: readonly Buffer[];
  readonly options?: Partial<ChainOptions>;
}

const leafKeys = generateKey();
type Part = 'constraints' | 'usage' | 'purposes' | 'keyId' | 'issuerKeyId' | 'name';

/** Extensions of a good leaf, each replaceable or (null) left out. */
function leafExtensions(
  changes: Partial<Record<Part, Buffer | null>>,
  extra: Buffer[] = [],
  issuer = intermediate,
): Buffer[] {
  const good: Record<Part, Buffer> = {
    constraints: basicConstraints(undefined),
    usage: keyUsage(0),
    purposes: extKeyUsage(oids.serverAuth, oids.clientAuth),
    keyId: subjectKeyId(subjectKeyIdentifier(leafKeys.publicKey)),
    issuerKeyId: authorityKeyId(subjectKeyIdentifier(issuer.keys.publicKey)),
    name: subjectAltUri(goodUri, true),
  };
  return [...Object.values({ ...good, ...changes }), ...extra].filter((part) => part !== null);
}

function forgeLeaf(extensions: Buffer[], changes: Partial<Forgery> = {}, issuer: SampleIssuer = intermediate): Buffer {
  const base = { issuer: issuer.certificate.subject, publicKey: leafKeys.publicKey, extensions };
  return forgeCertificate({ ...base, ...changes }, issuer.keys.privateKey);
}

/** An authority below `above` with free extensions. */
function forgeIssuer(above: SampleIssuer, extensions: (keyId: Buffer, issuerKeyId: Buffer) => Buffer[]): SampleIssuer {
  const keys = generateKey();
  const own = subjectKeyIdentifier(keys.publicKey);
  const der = forgeCertificate(
    {
      issuer: above.certificate.subject,
      subject: sequence(element31(`forged ${own.toString('hex', 0, 4)}`)),
      publicKey: keys.publicKey,
      extensions: [...extensions(own, subjectKeyIdentifier(above.keys.publicKey))],
    },
    above.keys.privateKey,
  );
  return { keys, certificate: parseCertificate(der) };
}

function element31(text: string): Buffer {
  const attribute = sequence(
    oid(oids.commonName),
    Buffer.concat([Buffer.from([0x0c, text.length]), Buffer.from(text)]),
  );
  return Buffer.concat([Buffer.from([0x31, attribute.length]), attribute]);
}

function authorityParts(own: Buffer, issuer: Buffer, name = 'spiffe://plant.example'): Buffer[] {
  return [subjectKeyId(own), authorityKeyId(issuer), subjectAltUri(name, false)];
}

function names(...parts: Buffer[]): Buffer {
  return sequence(oid(oids.subjectAltName), boolean(true), octetString(sequence(...parts)));
}
const uriName = (uri: string) => contextPrimitive(6, Buffer.from(uri));
const dnsName = (name: string) => contextPrimitive(2, Buffer.from(name));

const foreignCritical = sequence(oid('1.3.6.1.4.1.99999.1'), boolean(true), octetString(Buffer.from([5, 0])));
const constrained = forgeIssuer(root, (own, issuer) => [
  basicConstraints({ pathLen: 0 }),
  keyUsage(5),
  ...authorityParts(own, issuer),
  lockDown('other.example'),
]);
const unsupported = forgeIssuer(root, (own, issuer) => [
  basicConstraints({ pathLen: 0 }),
  keyUsage(5),
  ...authorityParts(own, issuer),
  sequence(
    oid(oids.nameConstraints),
    boolean(true),
    octetString(sequence(context(0, sequence(contextPrimitive(1, Buffer.from('example.org')))))),
  ),
]);
const notAuthority = forgeIssuer(root, (own, issuer) => [
  basicConstraints(undefined),
  keyUsage(5),
  ...authorityParts(own, issuer),
]);
const noCertSign = forgeIssuer(root, (own, issuer) => [
  basicConstraints({ pathLen: 0 }),
  keyUsage(6),
  ...authorityParts(own, issuer),
]);
const noKeyUsage = forgeIssuer(root, (own, issuer) => [
  basicConstraints({ pathLen: 0 }),
  ...authorityParts(own, issuer),
]);
const foreignAuthority = forgeIssuer(root, (own, issuer) => [
  basicConstraints({ pathLen: 0 }),
  keyUsage(5),
  ...authorityParts(own, issuer, 'spiffe://grid.example'),
]);
const deviceAuthority = forgeIssuer(root, (own, issuer) => [
  basicConstraints({ pathLen: 0 }),
  keyUsage(5),
  ...authorityParts(own, issuer, 'spiffe://plant.example/device/a'),
]);
const forgedByStranger = forgeIssuer({ keys: generateKey(), certificate: root.certificate }, (own) => [
  basicConstraints({ pathLen: 0 }),
  keyUsage(5),
  ...authorityParts(own, subjectKeyIdentifier(root.keys.publicKey)),
]);
const belowIntermediate = sampleIntermediate(intermediate, 'plant.example');
const imposter: SampleIssuer = { keys: generateKey(), certificate: intermediate.certificate };

const under = (issuer: SampleIssuer): Pick<Case, 'leaf' | 'intermediates'> => ({
  leaf: forgeLeaf(leafExtensions({}, [], issuer), {}, issuer),
  intermediates: [issuer.certificate.raw],
});

const good = authority.issueLeaf().der;
const cases: readonly Case[] = [
  { clause: 'leaf expired', code: 'IDENTITY_EXPIRED', options: { now: sampleNow + days(14) * 1000 } },
  { clause: 'leaf not yet valid', code: 'IDENTITY_NOT_YET_VALID', options: { now: sampleNow - 301_000 } },
  {
    clause: 'intermediate expired under a leaf that outlives it',
    code: 'IDENTITY_EXPIRED',
    leaf: forgeLeaf(leafExtensions({}), { notAfter: sampleNow + days(700) * 1000 }),
    options: { now: sampleNow + days(400) * 1000 },
  },
  { clause: 'wrong issuer', code: 'IDENTITY_ISSUER_UNKNOWN', intermediates: [other.intermediate.certificate.raw] },
  { clause: 'intermediate missing', code: 'IDENTITY_ISSUER_UNKNOWN', intermediates: [] },
  { clause: 'root missing', code: 'IDENTITY_ISSUER_UNKNOWN', roots: [] },
  { clause: 'root of another trust domain', code: 'IDENTITY_ISSUER_UNKNOWN', roots: [other.root.certificate.raw] },
  { clause: 'bad signature', code: 'IDENTITY_SIGNATURE_INVALID', leaf: forgeLeaf(leafExtensions({}), {}, imposter) },
  { clause: 'bad signature of the intermediate', code: 'IDENTITY_SIGNATURE_INVALID', ...under(forgedByStranger) },
  {
    clause: 'issuer name that differs although the key identifier is right',
    code: 'IDENTITY_ISSUER_UNKNOWN',
    leaf: forgeLeaf(leafExtensions({}), { issuer: root.certificate.subject }),
  },
  {
    clause: 'authority key identifier missing',
    code: 'IDENTITY_ISSUER_UNKNOWN',
    leaf: forgeLeaf(leafExtensions({ issuerKeyId: null })),
  },
  { clause: 'SAN missing', code: 'IDENTITY_SVID_INVALID', leaf: forgeLeaf(leafExtensions({ name: null })) },
  {
    clause: 'two URI SANs',
    code: 'IDENTITY_SVID_INVALID',
    message: /2 URIs/,
    leaf: forgeLeaf(leafExtensions({ name: names(uriName(goodUri), uriName('spiffe://plant.example/device/b')) })),
  },
  {
    clause: 'DNS name besides the URI',
    code: 'IDENTITY_SVID_INVALID',
    message: /besides/,
    leaf: forgeLeaf(leafExtensions({ name: names(uriName(goodUri), dnsName('evil.example')) })),
  },
  {
    clause: 'DNS name alone',
    code: 'IDENTITY_SVID_INVALID',
    leaf: forgeLeaf(leafExtensions({ name: names(dnsName('a.b')) })),
  },
  {
    clause: 'URI without path',
    code: 'IDENTITY_SVID_INVALID',
    leaf: forgeLeaf(leafExtensions({ name: subjectAltUri('spiffe://plant.example', true) })),
  },
  {
    clause: 'URI of another scheme',
    code: 'IDENTITY_SVID_INVALID',
    leaf: forgeLeaf(leafExtensions({ name: subjectAltUri('https://plant.example/device/plc-1', true) })),
  },
  {
    clause: 'SPIFFE ID outside the grammar',
    code: 'IDENTITY_SPIFFE_ID_INVALID',
    leaf: forgeLeaf(leafExtensions({ name: subjectAltUri('spiffe://plant.example/device/../x', true) })),
  },
  {
    clause: 'wrong trust domain in the SVID',
    code: 'IDENTITY_TRUST_DOMAIN_MISMATCH',
    leaf: forgeLeaf(leafExtensions({ name: subjectAltUri('spiffe://grid.example/device/plc-1', true) })),
  },
  {
    clause: 'wrong trust domain expected',
    code: 'IDENTITY_TRUST_DOMAIN_MISMATCH',
    options: { trustDomain: 'grid.example' },
  },
  { clause: 'authority of another trust domain', code: 'IDENTITY_TRUST_DOMAIN_MISMATCH', ...under(foreignAuthority) },
  {
    clause: 'authority with the identity of a device',
    code: 'IDENTITY_TRUST_DOMAIN_MISMATCH',
    ...under(deviceAuthority),
  },
  { clause: 'name constraint violated', code: 'IDENTITY_NAME_CONSTRAINED', ...under(constrained) },
  { clause: 'name constraint of an unknown kind', code: 'IDENTITY_NAME_CONSTRAINED', ...under(unsupported) },
  {
    clause: 'leaf is an authority',
    code: 'IDENTITY_SVID_INVALID',
    leaf: forgeLeaf(leafExtensions({ constraints: basicConstraints({ pathLen: 0 }) })),
  },
  {
    clause: 'leaf may sign certificates',
    code: 'IDENTITY_SVID_INVALID',
    leaf: forgeLeaf(leafExtensions({ usage: keyUsage(0, 5) })),
  },
  {
    clause: 'leaf may sign revocations',
    code: 'IDENTITY_SVID_INVALID',
    leaf: forgeLeaf(leafExtensions({ usage: keyUsage(0, 6) })),
  },
  {
    clause: 'leaf may not sign',
    code: 'IDENTITY_SVID_INVALID',
    leaf: forgeLeaf(leafExtensions({ usage: keyUsage(4) })),
  },
  { clause: 'leaf without key usage', code: 'IDENTITY_SVID_INVALID', leaf: forgeLeaf(leafExtensions({ usage: null })) },
  {
    clause: 'leaf for one side of TLS',
    code: 'IDENTITY_SVID_INVALID',
    leaf: forgeLeaf(leafExtensions({ purposes: extKeyUsage(oids.clientAuth) })),
  },
  { clause: 'issuer is no authority', code: 'IDENTITY_NOT_AN_AUTHORITY', ...under(notAuthority) },
  { clause: 'issuer without keyCertSign', code: 'IDENTITY_NOT_AN_AUTHORITY', ...under(noCertSign) },
  { clause: 'issuer without key usage', code: 'IDENTITY_NOT_AN_AUTHORITY', ...under(noKeyUsage) },
  {
    clause: 'path length',
    code: 'IDENTITY_PATH_LENGTH_EXCEEDED',
    leaf: forgeLeaf(leafExtensions({}, [], belowIntermediate), {}, belowIntermediate),
    intermediates: [belowIntermediate.certificate.raw, intermediate.certificate.raw],
  },
  {
    clause: 'unknown critical extension',
    code: 'IDENTITY_CRITICAL_EXTENSION',
    leaf: forgeLeaf(leafExtensions({}, [foreignCritical])),
  },
  {
    clause: 'leaf revoked',
    code: 'IDENTITY_REVOKED',
    options: { revoked: (serial) => serial === parseCertificate(good).serialHex },
  },
  {
    clause: 'intermediate revoked',
    code: 'IDENTITY_REVOKED',
    options: { revoked: (serial) => serial === intermediate.certificate.serialHex },
  },
  {
    clause: 'root revoked',
    code: 'IDENTITY_REVOKED',
    options: { revoked: (serial) => serial === root.certificate.serialHex },
  },
  {
    clause: 'more roots than a trust domain may have',
    code: 'IDENTITY_ANCHORS_INVALID',
    roots: Array.from({ length: 9 }, () => root.certificate.raw),
  },
  {
    clause: 'more certificates than a chain may have',
    code: 'IDENTITY_CHAIN_TOO_LONG',
    intermediates: Array.from({ length: 9 }, () => intermediate.certificate.raw),
  },
  { clause: 'not a certificate', code: 'IDENTITY_DER_INVALID', leaf: randomBytes(64) },
  { clause: 'too large', code: 'IDENTITY_TOO_LARGE', leaf: Buffer.alloc(20_000) },
];

function run(one: Partial<Case>): ReturnType<typeof verifyChain> {
  const { leaf = good, intermediates = [intermediate.certificate.raw], roots = [root.certificate.raw] } = one;
  return verifyChain(leaf, intermediates, roots, { now: sampleNow, trustDomain: 'plant.example', ...one.options });
}

describe('path validation refuses', () => {
  for (const one of cases) {
    test(one.clause, () => {
      assert.throws(
        () => run(one),
        (error) =>
          error instanceof CodedError && error.code === one.code && (one.message ?? /.{15}/).test(error.message),
        one.code,
      );
    });
  }
});

describe('path validation accepts', () => {
  test('a chain of ours and tells who it is', () => {
    const svid = run({});
    assert.equal(svid.id.uri, goodUri);
    assert.equal(svid.id.kind, 'device');
    assert.equal(svid.serialHex, parseCertificate(good).serialHex);
    assert.ok(svid.der.equals(good));
  });

  test('the forged leaf when nothing is wrong with it, so that the table proves its own clauses', () => {
    assert.equal(run({ leaf: forgeLeaf(leafExtensions({})) }).id.uri, goodUri);
  });

  test('the first and the last second of the validity, both inclusive', () => {
    const { notBefore, notAfter } = parseCertificate(good);
    assert.equal(notBefore, sampleNow - 300_000);
    run({ options: { now: notBefore } });
    run({ options: { now: notAfter + 999 } });
    assert.throws(() => run({ options: { now: notBefore - 1 } }), { code: 'IDENTITY_NOT_YET_VALID' });
    assert.throws(() => run({ options: { now: notAfter + 1000 } }), { code: 'IDENTITY_EXPIRED' });
  });

  test('a leaf without extended key usage, which the standard leaves open', () => {
    run({ leaf: forgeLeaf(leafExtensions({ purposes: null })) });
  });

  test('an unknown extension that is not critical', () => {
    const extra = sequence(oid('1.3.6.1.4.1.99999.1'), octetString(Buffer.from([5, 0])));
    run({ leaf: forgeLeaf(leafExtensions({}, [extra])) });
  });

  test('intermediates that do not belong to the chain, in any order, and the root among them', () => {
    const chain = [other.intermediate.certificate.raw, root.certificate.raw, intermediate.certificate.raw];
    run({ intermediates: chain });
    run({ intermediates: chain.toReversed() });
  });

  test('old and new root side by side during a rollover', () => {
    run({ roots: [sampleAuthority().root.certificate.raw, root.certificate.raw] });
  });
});

describe('path validation is bounded', () => {
  test('a chain of four authorities is too long whatever their path lengths say', () => {
    const open = (above: SampleIssuer) =>
      forgeIssuer(above, (own, issuer) => [
        basicConstraints({ pathLen: 9 }),
        keyUsage(5),
        ...authorityParts(own, issuer),
      ]);
    const first = open(root);
    const second = open(first);
    const third = open(second);
    const leaf = forgeLeaf(leafExtensions({}, [], third), {}, third);
    const intermediates = [first, second, third].map((issuer) => issuer.certificate.raw);
    assert.throws(() => run({ leaf, intermediates }), { code: 'IDENTITY_CHAIN_TOO_LONG' });
  });
});

describe('the search for a path is bounded', () => {
  test('in a net of authorities that all claim to be the root', () => {
    const key = generateKey();
    const { subject } = root.certificate;
    const rootKeyId = subjectKeyIdentifier(root.keys.publicKey);
    const extensions = [basicConstraints({ pathLen: 9 }), keyUsage(5), ...authorityParts(rootKeyId, rootKeyId)];
    const forge = () =>
      forgeCertificate({ issuer: subject, subject, publicKey: key.publicKey, extensions }, key.privateKey);
    const claimant: SampleIssuer = { keys: key, certificate: parseCertificate(forge()) };
    const leaf = forgeLeaf(leafExtensions({ issuerKeyId: authorityKeyId(rootKeyId) }), {}, claimant);
    assert.throws(() => run({ leaf, intermediates: [forge(), forge(), forge()] }), {
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
  const verify = (leaf: Buffer, issuer: SampleIssuer) =>
    verifyChainInBundles(leaf, [issuer.certificate.raw], bundles, { now: sampleNow });

  test('each domain verifies against its own roots', () => {
    assert.equal(verify(good, intermediate).id.trustDomain, 'plant.example');
    const foreign = other.issueLeaf('spiffe://grid.example/device/x').der;
    assert.equal(verify(foreign, other.intermediate).id.trustDomain, 'grid.example');
  });

  test('an authority that is trusted for one domain cannot speak for another', () => {
    const forged = forgeLeaf(
      leafExtensions({ issuerKeyId: null }, [authorityKeyId(subjectKeyIdentifier(other.intermediate.keys.publicKey))]),
      {},
      other.intermediate,
    );
    assert.throws(() => verify(forged, other.intermediate), { code: 'IDENTITY_ISSUER_UNKNOWN' });
  });

  test('a domain without a bundle is refused', () => {
    const stranger = sampleAuthority('unknown.example');
    const leaf = stranger.issueLeaf('spiffe://unknown.example/device/x').der;
    assert.throws(() => verify(leaf, stranger.intermediate), { code: 'IDENTITY_TRUST_DOMAIN_MISMATCH' });
  });
});
