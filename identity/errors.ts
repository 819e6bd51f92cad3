// The closed table of what identity refuses. Chain and signature faults are UNAUTHENTICATED: the caller has not shown
// who it is; malformed input of our own making is INVALID_ARGUMENT.
import { type CodedError, type ErrorDetails, type ErrorTable, errorTable } from '../runtime/errors.ts';

const codes = {
  IDENTITY_SPIFFE_ID_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Use a SPIFFE ID like spiffe://<trust-domain>/device/<id>',
  },
  IDENTITY_TOO_LARGE: { status: 'INVALID_ARGUMENT', remedy: 'Send a message within the documented size' },
  IDENTITY_DER_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Send strict DER (X.690 section 10), nothing before or after it',
  },
  IDENTITY_KEY_UNSUPPORTED: { status: 'INVALID_ARGUMENT', remedy: 'Use an ECDSA key on the curve P-256' },
  IDENTITY_KEY_INVALID: { status: 'INVALID_ARGUMENT', remedy: 'Provide a PKCS#8 PEM private key or a public JWK' },
  IDENTITY_KEY_FILE_EXPOSED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Set the mode of the key file to 0600 and replace the key if others could read it',
  },
  IDENTITY_KEY_FILE_UNREADABLE: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Check that the key file exists and belongs to the user of this process',
  },
  IDENTITY_CERTIFICATE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Present a certificate as this authority issues them',
  },
  IDENTITY_ALGORITHM_REFUSED: { status: 'UNAUTHENTICATED', remedy: 'Use P-256 keys and ecdsa-with-SHA256 throughout' },
  IDENTITY_PROFILE_VIOLATED: {
    status: 'INTERNAL',
    remedy: 'Do not use this certificate; report the lint that failed, nothing was signed by the authority',
  },
  IDENTITY_ISSUER_UNUSABLE: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Rotate the issuing certificate, or correct the clock of the control plane',
  },
  IDENTITY_CHAIN_TOO_LONG: {
    status: 'UNAUTHENTICATED',
    remedy: 'Send the leaf and only the intermediates up to the root',
  },
  IDENTITY_ISSUER_UNKNOWN: {
    status: 'UNAUTHENTICATED',
    remedy: 'Send the whole chain; if it is complete, enrol with the authority of this trust domain',
  },
  IDENTITY_SIGNATURE_INVALID: {
    status: 'UNAUTHENTICATED',
    remedy: 'Enrol again; the certificate is not from this authority',
  },
  IDENTITY_EXPIRED: { status: 'UNAUTHENTICATED', remedy: 'Renew the certificate, or correct the clock' },
  IDENTITY_NOT_YET_VALID: { status: 'UNAUTHENTICATED', remedy: 'Correct the clock of this machine' },
  IDENTITY_REVOKED: {
    status: 'UNAUTHENTICATED',
    remedy: 'Ask an operator why the certificate was revoked; enrol again',
  },
  IDENTITY_TRUST_DOMAIN_MISMATCH: {
    status: 'UNAUTHENTICATED',
    remedy: 'Connect to the trust domain that issued the identity',
  },
  IDENTITY_NAME_CONSTRAINED: {
    status: 'UNAUTHENTICATED',
    remedy: 'Use a name inside the constraints of the issuing authority',
  },
  IDENTITY_NOT_AN_AUTHORITY: {
    status: 'UNAUTHENTICATED',
    remedy: 'Use a chain whose issuers are authorities (CA:true, keyCertSign)',
  },
  IDENTITY_PATH_LENGTH_EXCEEDED: {
    status: 'UNAUTHENTICATED',
    remedy: 'Use a leaf issued directly by the constrained authority',
  },
  IDENTITY_SVID_INVALID: {
    status: 'UNAUTHENTICATED',
    remedy: 'Use an X.509-SVID: one SPIFFE URI, CA:false, digitalSignature',
  },
  IDENTITY_CRITICAL_EXTENSION: {
    status: 'UNAUTHENTICATED',
    remedy: 'Use a certificate without foreign critical extensions',
  },
  IDENTITY_CSR_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Send a PKCS#10 request with a P-256 key, DER, at most 16 KiB',
  },
  IDENTITY_CSR_NOT_PROVEN: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Sign the request with the private half of the key in it',
  },
  IDENTITY_JWS_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Send a compact JWS with the header {alg: ES256, kid, typ} alone',
  },
  IDENTITY_JWS_KEY_UNKNOWN: { status: 'UNAUTHENTICATED', remedy: 'Sign with a key that is pinned for this purpose' },
  IDENTITY_JWS_SIGNATURE_INVALID: {
    status: 'UNAUTHENTICATED',
    remedy: 'Fetch the message again; its bytes are not what was signed',
  },
  IDENTITY_JWT_SVID_INVALID: {
    status: 'UNAUTHENTICATED',
    remedy: 'Present an unexpired JWT-SVID of this trust domain for one of the audiences of this edge (authz.jwtSvid)',
  },
  IDENTITY_JWT_SVID_KEY_UNKNOWN: {
    status: 'UNAUTHENTICATED',
    remedy: 'Present a token of this trust domain; after a key rotation see that the bundle file is up to date',
  },
  IDENTITY_JWT_BUNDLE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Provide the SPIFFE trust bundle document of this trust domain (spire-server bundle show -format spiffe)',
  },
  IDENTITY_NOTE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Provide a signed note as C2SP describes it (c2sp.org/signed-note)',
  },
  IDENTITY_NOTE_SIGNATURE_INVALID: {
    status: 'UNAUTHENTICATED',
    remedy: 'Do not trust this note; compare it with one held elsewhere',
  },
  IDENTITY_ANCHORS_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Fetch the trust anchors again over an authenticated connection',
  },
} as const;

export type IdentityErrorCode = keyof typeof codes;

export const identityErrors: ErrorTable<IdentityErrorCode> = errorTable(codes);

/** Makes (does not throw) an identity error. */
export function identityError(code: IdentityErrorCode, message: string, details?: ErrorDetails): CodedError {
  return identityErrors.error(code, message, details);
}
