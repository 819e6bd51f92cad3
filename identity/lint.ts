// Lints a certificate against the profile it was asked for. Runs on what the strict parser read back, so a template
// that writes something else than it means is found before the authority signs it.
import { type Certificate, keyUsageBits } from './certificate.ts';
import { MAX_CERTIFICATE_BYTES, SERIAL_BYTES } from './limits.ts';
import { oids } from './oids.ts';
import type { IssueRequest } from './profile.ts';
import { encodePublicKey, subjectKeyIdentifier } from './public-key.ts';
import { parseSpiffeId, trustDomainId } from './spiffe-id.ts';

const EMPTY_NAME = Buffer.from([0x30, 0x00]);

const expectedExtensions: Record<IssueRequest['profile'], Readonly<Record<string, boolean>>> = {
  root: {
    [oids.basicConstraints]: true,
    [oids.keyUsage]: true,
    [oids.subjectKeyIdentifier]: false,
    [oids.authorityKeyIdentifier]: false,
    [oids.subjectAltName]: false,
  },
  intermediate: {
    [oids.basicConstraints]: true,
    [oids.keyUsage]: true,
    [oids.subjectKeyIdentifier]: false,
    [oids.authorityKeyIdentifier]: false,
    [oids.subjectAltName]: false,
    [oids.nameConstraints]: true,
  },
  leaf: {
    [oids.basicConstraints]: true,
    [oids.keyUsage]: true,
    [oids.extKeyUsage]: false,
    [oids.subjectKeyIdentifier]: false,
    [oids.authorityKeyIdentifier]: false,
    [oids.subjectAltName]: true,
  },
};

/** Every rule that the certificate breaks, in words; empty when it is what was asked for. */
export function lintCertificate(certificate: Certificate, request: IssueRequest): string[] {
  const findings = [...lintCommon(certificate, request), ...lintExtensions(certificate, request)];
  switch (request.profile) {
    case 'root':
      findings.push(...lintAuthority(certificate, request.trustDomain, 1));
      if (!certificate.issuer.equals(certificate.subject)) findings.push('a root is its own issuer');
      if (certificate.authorityKeyId?.equals(certificate.subjectKeyId ?? EMPTY_NAME) !== true)
        findings.push('a root names its own key as issuer');
      break;
    case 'intermediate':
      findings.push(...lintAuthority(certificate, request.trustDomain, 0), ...lintIssuer(certificate, request.issuer));
      findings.push(...lintLockDown(certificate, request.trustDomain));
      break;
    case 'leaf':
      findings.push(...lintLeaf(certificate, request.spiffeId), ...lintIssuer(certificate, request.issuer));
      break;
  }
  return findings;
}

function* lintCommon(certificate: Certificate, request: IssueRequest): Generator<string> {
  if (certificate.raw.length > MAX_CERTIFICATE_BYTES) yield 'the certificate is too large';
  if (certificate.serialHex !== request.serialHex) yield 'the serial is not the one that was asked for';
  if (certificate.serialHex.length !== SERIAL_BYTES * 2) yield 'the serial does not have 19 bytes';
  if (certificate.notBefore !== request.notBefore || certificate.notAfter !== request.notAfter) {
    yield 'the validity is not the one that was asked for';
  }
  if (!certificate.publicKeyDer.equals(encodePublicKey(request.publicKey)))
    yield 'the key is not the one that was asked for';
  if (certificate.subjectKeyId?.equals(subjectKeyIdentifier(request.publicKey)) !== true)
    yield 'the key identifier is not derived from the key';
}

function* lintExtensions(certificate: Certificate, request: IssueRequest): Generator<string> {
  const expected = expectedExtensions[request.profile];
  for (const { oid, critical } of certificate.extensions) {
    if (expected[oid] === undefined) yield `extension ${oid} does not belong into this profile`;
    else if (expected[oid] !== critical) yield `extension ${oid} has the wrong criticality`;
  }
  for (const oid of Object.keys(expected)) {
    if (!certificate.extensions.some((extension) => extension.oid === oid)) yield `extension ${oid} is missing`;
  }
}

function* lintIssuer(certificate: Certificate, issuer: Certificate): Generator<string> {
  if (!certificate.issuer.equals(issuer.subject))
    yield 'the issuer is not the subject of the issuing certificate, byte for byte';
  if (!issuer.isCa) yield 'the issuing certificate is no authority';
  if (issuer.subjectKeyId === undefined || certificate.authorityKeyId?.equals(issuer.subjectKeyId) !== true) {
    yield 'the authority key identifier is not that of the issuing certificate';
  }
  if (certificate.notBefore < issuer.notBefore) yield 'it begins before its issuer';
  if (certificate.notAfter > issuer.notAfter) yield 'it outlives its issuer';
  if (issuer.trustDomain !== certificate.trustDomain) yield 'the issuer belongs to another trust domain';
}

function* lintAuthority(certificate: Certificate, trustDomain: string, pathLen: number): Generator<string> {
  if (!certificate.isCa || certificate.pathLen !== pathLen) yield `basicConstraints is not CA:true, pathlen:${pathLen}`;
  if (!sameNumbers(certificate.keyUsage, [keyUsageBits.keyCertSign, keyUsageBits.cRLSign]))
    yield 'keyUsage is not keyCertSign, cRLSign';
  if (certificate.subject.equals(EMPTY_NAME)) yield 'an authority has a subject';
  if (!hasOnlyUri(certificate, trustDomainId(trustDomain))) yield 'the only name is not the ID of the trust domain';
}

function* lintLockDown(certificate: Certificate, trustDomain: string): Generator<string> {
  const { permitted, excluded } = certificate.nameConstraints ?? {};
  const locked =
    permitted?.uris.join() === trustDomain &&
    permitted.dnsNames.join() === 'invalid' &&
    permitted.ipRanges.length === 0 &&
    !permitted.others &&
    excluded?.uris.length === 0 &&
    excluded.dnsNames.length === 0 &&
    excluded.ipRanges.map((range) => range.toString('hex')).join() === `${'00'.repeat(8)},${'00'.repeat(32)}` &&
    !excluded.others;
  if (!locked) yield 'the name constraints are not the lock-down';
}

function* lintLeaf(certificate: Certificate, spiffeId: string): Generator<string> {
  if (certificate.isCa || certificate.pathLen !== undefined) yield 'a leaf is no authority';
  if (!sameNumbers(certificate.keyUsage, [keyUsageBits.digitalSignature]))
    yield 'keyUsage is not digitalSignature alone';
  if (certificate.extKeyUsage?.join() !== `${oids.serverAuth},${oids.clientAuth}`)
    yield 'extKeyUsage is not serverAuth, clientAuth';
  if (!certificate.subject.equals(EMPTY_NAME)) yield 'a leaf has an empty subject';
  if (!hasOnlyUri(certificate, parseSpiffeId(spiffeId).uri))
    yield 'the only name is not the SPIFFE ID that was asked for';
  if (certificate.spiffeId === undefined) yield 'the SPIFFE ID names no kind that we know';
}

function hasOnlyUri(certificate: Certificate, uri: string): boolean {
  const names = certificate.subjectAltName;
  return names !== undefined && names.count === 1 && names.uris[0] === uri;
}

function sameNumbers(actual: readonly number[] | undefined, expected: readonly number[]): boolean {
  return actual !== undefined && actual.join() === expected.join();
}
