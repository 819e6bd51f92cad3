// Every bound of identity in one place, with its unit and reason.

/** Characters of a SPIFFE ID (SPIFFE-ID section 2.3). */
export const MAX_SPIFFE_ID_CHARACTERS = 2048;
/** Characters of a trust domain name (SPIFFE-ID section 2.1). */
export const MAX_TRUST_DOMAIN_CHARACTERS = 255;
/** Characters of a device, workload, operator or control-plane name; the same bound as inventory ids. */
export const MAX_NAME_CHARACTERS = 64;

/** Levels of nesting in DER; the deepest thing we read (name constraints) has 6. */
export const MAX_DER_DEPTH = 12;
/** Elements in one DER value; our certificates have about 100, a CSR at most a few hundred. */
export const MAX_DER_ELEMENTS = 2048;
/** Bytes of one DER value of any kind. */
export const MAX_DER_BYTES = 65_536;

/** Bytes of a certificate; ours have 400 to 700, an IDevID about 2 KiB. */
export const MAX_CERTIFICATE_BYTES = 16_384;
/** Bytes of a certificate request (identity note, CSR handling). */
export const MAX_CSR_BYTES = 16_384;
/** Certificates in a chain, leaf and root included: leaf, at most two intermediates, root. */
export const MAX_CHAIN_LENGTH = 4;
/** Issuers to search for a chain: what a peer sent (at most a chain) and what the verifier knows (two slots, twice). */
export const MAX_INTERMEDIATES = 8;
/** Roots of one trust domain: two slots, old with new, new with old, and as many again in reserve. */
export const MAX_ROOTS = 8;
/** Signature checks in one path search; more than any honest chain of 4 needs, so that cross-signed nets cannot burn CPU. */
export const MAX_SIGNATURE_CHECKS = 16;

/** Random bytes of a serial; 20 with the top bit set would encode as 21 (RFC 5280 section 4.1.2.2). */
export const SERIAL_BYTES = 19;
/** A certificate begins this long before it is made, for edges without a battery-backed clock. */
export const BACKDATE_SECONDS = 300;

/** Bytes of a compact JWS: a release of a fleet with its rules; a manifest has about 120 KiB at most. */
export const MAX_JWS_BYTES = 8 * 1024 * 1024;
/** Bytes of a private key file; a P-256 PKCS#8 PEM has about 240. */
export const MAX_KEY_FILE_BYTES = 16_384;
/** Bytes of a signed note (C2SP signed-note asks for a bound). */
export const MAX_NOTE_BYTES = 65_536;
/** Signatures of a note that are looked at (C2SP signed-note: at least 16 has to be supported). */
export const MAX_NOTE_SIGNATURES = 64;
/** Keys of one role in the trust anchors: current, next, and a few publishers. */
export const MAX_ANCHOR_KEYS = 32;

/** Bytes of a SPIFFE trust bundle document: some dozens of certificates and keys. */
export const MAX_JWT_BUNDLE_BYTES = 256 * 1024;
/** Keys of all uses in it. */
export const MAX_JWT_AUTHORITIES = 128;
/** Bits of an RSA key (NIST SP 800-131A). */
export const MIN_RSA_BITS = 2048;
/** Characters of a JWT-SVID; those of SPIRE have some 600, with RSA 900. */
export const MAX_JWT_SVID_CHARACTERS = 8_192;
/** Seconds of validity: a stolen token is good for no longer; SPIRE issues them for 300. */
export const MAX_JWT_SVID_LIFETIME_SECONDS = 3_600;
/** Seconds that the clock of the issuer may be ahead of ours. */
export const JWT_SVID_SKEW_SECONDS = 30;
