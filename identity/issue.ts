// Issuance in two steps, so that serial and linted form can be stored before the authority signs (boulder
// ISSUANCE-CYCLE): prepare (build, sign with a throw-away key, parse, lint), then sign exactly those bytes.
import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { isSignedBy, parseCertificate } from './certificate.ts';
import { bitString, sequence } from './der.ts';
import { identityError } from './errors.ts';
import { generateKey } from './keys.ts';
import { lintCertificate } from './lint.ts';
import { encodeTbs, type IssueRequest, signatureAlgorithm } from './profile.ts';
import { encodePublicKey } from './public-key.ts';

/** A linted part to be signed. Only `prepareCertificate` makes one. */
export interface PreparedCertificate {
  readonly request: IssueRequest;
  readonly tbs: Buffer;
}

const prepared = new WeakSet<PreparedCertificate>();

/** Signs what gets linted and is thrown away; trusted by nobody. */
let throwAwayKey: KeyObject | undefined;

function assemble(tbs: Buffer, key: KeyObject): Buffer {
  return sequence(tbs, signatureAlgorithm, bitString(sign('sha256', tbs, key)));
}

/** Builds and lints the certificate. Throws IDENTITY_PROFILE_VIOLATED with every finding. */
export function prepareCertificate(request: IssueRequest): PreparedCertificate {
  const tbs = encodeTbs(request);
  throwAwayKey ??= generateKey().privateKey;
  const rehearsal = parseCertificate(assemble(tbs, throwAwayKey));
  const findings = lintCertificate(rehearsal, request);
  if (!rehearsal.tbs.equals(tbs)) findings.push('what was parsed is not what was built');
  if (findings.length > 0) {
    throw identityError('IDENTITY_PROFILE_VIOLATED', `certificate not issued: ${findings.join('; ')}`);
  }
  const result = Object.freeze({ request, tbs });
  prepared.add(result);
  return result;
}

/** Signs a prepared certificate and checks the result: same bytes as linted, signature by the issuer's certified key. */
export function signCertificate(certificate: PreparedCertificate, issuerKey: KeyObject): Buffer {
  if (!prepared.has(certificate))
    throw identityError('IDENTITY_PROFILE_VIOLATED', 'certificate not issued: it was not linted');
  const { request, tbs } = certificate;
  const publicKey = request.profile === 'root' ? request.publicKey : request.issuer.publicKey;
  if (!encodePublicKey(createPublicKey(issuerKey)).equals(encodePublicKey(publicKey))) {
    throw identityError('IDENTITY_ISSUER_UNUSABLE', 'the signing key is not the key of the issuing certificate');
  }
  const der = assemble(tbs, issuerKey);
  const signed = parseCertificate(der);
  if (!signed.tbs.equals(tbs) || !isSignedBy(signed, { publicKey })) {
    throw identityError(
      'IDENTITY_PROFILE_VIOLATED',
      'certificate not issued: the signed bytes are not the linted bytes',
    );
  }
  return der;
}

/** Both steps, for certificates whose serial is already accounted for. */
export function issueCertificate(request: IssueRequest, issuerKey: KeyObject): Buffer {
  return signCertificate(prepareCertificate(request), issuerKey);
}
