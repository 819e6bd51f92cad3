// Who is speaking: SPIFFE IDs, keys, certificates, chains, requests, signed messages and notes.
export { type Certificate, isSignedBy, keyUsageBits, parseCertificate } from './certificate.ts';
export { type Checkpoint, formatCheckpoint, parseCheckpoint, signCheckpoint, verifyCheckpoint } from './checkpoint.ts';
export { controlVerifier } from './control-verifier.ts';
export { createCsr, type ParsedCsr, parseCsr } from './csr.ts';
export { type IdentityErrorCode, identityErrors } from './errors.ts';
export { issueCertificate, type PreparedCertificate, prepareCertificate, signCertificate } from './issue.ts';
export { type JwsExpectation, type JwsSigner, signJws, verifyJws, type VerifiedJws } from './jws.ts';
export { type JwtAuthority, type JwtBundle, parseJwtBundle } from './jwt-bundle.ts';
export { authorityOf, type JwtSvidExpectation, type VerifiedJwtSvid, verifyJwtSvid } from './jwt-svid.ts';
export {
  exportPkcs8Pem,
  generateKey,
  importPkcs8Pem,
  jwkOf,
  keyId,
  type KeyPair,
  loadPrivateKey,
  type PublicJwk,
  publicKeyFromJwk,
} from './keys.ts';
export {
  formatVerifierKey,
  generateNoteKey,
  type NoteSigner,
  type NoteVerifier,
  parseVerifierKey,
  signNote,
  type VerifiedNote,
  verifyNote,
} from './note.ts';
export {
  type ChainOptions,
  type TrustBundles,
  type VerifiedSvid,
  verifyAgain,
  verifyChain,
  verifyChainInBundles,
} from './path.ts';
export { certificatesFromPem, certificatesToPem } from './pem.ts';
export {
  type IntermediateRequest,
  type IssueRequest,
  type LeafRequest,
  newSerial,
  type RandomBytes,
  type RootRequest,
  type Validity,
  validityFor,
} from './profile.ts';
export { encodePublicKey } from './public-key.ts';
export {
  controlId,
  deviceId,
  operatorId,
  parseSpiffeId,
  parseSpiffeUri,
  parseTrustDomainId,
  type SpiffeId,
  type SpiffeKind,
  type SpiffeUri,
  trustDomainId,
  workloadId,
} from './spiffe-id.ts';
export {
  fingerprint,
  type ParsedTrustAnchors,
  trustAnchorsFromJson,
  trustAnchorsFromWire,
  trustAnchorsToJson,
  trustAnchorsToWire,
} from './trust-anchors.ts';
