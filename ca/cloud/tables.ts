// Rows of the authority's tables. Every table is keyed by trust domain; times are milliseconds since the epoch,
// hashes and serials lower case hex.
import type { Insertable, Selectable } from 'kysely';

/** A join token. Open while `used_at` and `revoked_at` are null and `expires_at` lies ahead. */
interface TokenTable {
  trust_domain: string;
  token_id: string;
  /** SHA-256 of the secret; the secret itself is nowhere. */
  secret_hash: string;
  device_id: string;
  created_at: number;
  created_by: string;
  expires_at: number;
  /** 1 when the device may hold valid certificates, which redemption then revokes. */
  reimage: number;
  /** SHA-256 of the SubjectPublicKeyInfo that redeemed it. */
  used_key_hash: string | null;
  used_at: number | null;
  revoked_at: number | null;
  /** Serial of the certificate it was redeemed for. */
  serial: string | null;
  /** When `onEnrolled` had done its work; null after a crash in between, and repeated at the next start. */
  announced_at: number | null;
}

/**
 * reserved: serial and linted TBS are committed, no signature exists that anybody has seen.
 * interrupted: was `reserved` when a process started, so the one that reserved it is gone; can still be completed.
 * issued: `der` is the only signature that ever leaves the authority for this serial.
 */
export type CertificateState = 'reserved' | 'interrupted' | 'issued';

interface CertificateTable {
  trust_domain: string;
  serial: string;
  /** SPIFFE ID. */
  subject: string;
  key_hash: string;
  not_before: number;
  not_after: number;
  state: CertificateState;
  /** What will be signed, byte for byte; null once `der` holds it. */
  tbs: Uint8Array | null;
  der: Uint8Array | null;
  /** Serial of the certificate that authenticated its renewal. */
  replaces: string | null;
  reserved_at: number;
  issued_at: number | null;
  revoked_at: number | null;
  reason: string | null;
}

/** One row a subject: locked by whoever changes its certificates. */
interface SubjectTable {
  trust_domain: string;
  subject: string;
  revision: number;
}

/** Whose key a key is; also of keys whose certificates are long gone. */
interface KeyTable {
  trust_domain: string;
  key_hash: string;
  subject: string;
}

interface OperatorTable {
  trust_domain: string;
  name: string;
  /** Comma-separated, in the order of `operatorRoles`. */
  roles: string;
  updated_at: number;
  updated_by: string;
}

interface PublisherTable {
  trust_domain: string;
  /** RFC 7638 thumbprint. */
  key_id: string;
  /** Public JWK, canonical JSON. */
  jwk: string;
  added_at: number;
  added_by: string;
}

/** Monotonic per trust domain, allotted under a row lock. */
interface VersionTable {
  trust_domain: string;
  name: VersionName;
  version: number;
  /** When this version was made. */
  at: number;
}
export type VersionName = 'revocations' | 'anchors';

export interface CaTables {
  ca_tokens: TokenTable;
  ca_certificates: CertificateTable;
  ca_subjects: SubjectTable;
  ca_keys: KeyTable;
  ca_operators: OperatorTable;
  ca_publishers: PublisherTable;
  ca_versions: VersionTable;
}

export type TokenRow = Selectable<TokenTable>;
export type CertificateRow = Selectable<CertificateTable>;
export type NewCertificateRow = Insertable<CertificateTable>;
