// The control plane's side of the authority.
export { type Authority, type AuthorityKeys, type Credential } from './authority.ts';
export {
  type AuthorityFile,
  createAuthority,
  moveRootKeyOffline,
  openAuthority,
  openRootKey,
  renewServerWhenDue,
  type SealedPlace,
} from './authority-file.ts';
export {
  type CertificateAuthority,
  type CurrentCertificate,
  openCertificateAuthority,
} from './certificate-authority.ts';
export { caMigrations } from './migrations.ts';
export { type IssuedOperator, type NewOperator, type OperatorRole, operatorRoles } from './operators.ts';
export type {
  CaEvent,
  CaPorts,
  EmitCaEvent,
  Enrolled,
  Inventory,
  MayEnroll,
  MayRenew,
  OnEnrolled,
  OnRevoked,
  Verdict,
} from './ports.ts';
export type { IssuedSvid, Redemption } from './redeem-token.ts';
export type { Renewal } from './renew.ts';
export type { Revocation, RevocationList, Revocations } from './revocations.ts';
export type { CreatedToken, NewToken, Token, TokenState } from './tokens.ts';
export type { Publisher } from './trust-anchors.ts';
