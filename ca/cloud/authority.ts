// The authority of one trust domain in memory: root, lock-down intermediate, orders key, log key, and the control
// plane's own server certificate. Made once, later read from its key file (authority-file.ts).
import type { KeyObject } from 'node:crypto';
import {
  type Certificate,
  controlId,
  fingerprint,
  formatVerifierKey,
  generateKey,
  generateNoteKey,
  issueCertificate,
  keyId,
  newSerial,
  parseCertificate,
  type PreparedCertificate,
  type PublicJwk,
  jwkOf,
  type RandomBytes,
  signCertificate,
  validityFor,
} from '../../identity/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { caErrors } from '../errors.ts';
import { limits } from '../limits.ts';

/** A certificate and the private key of its subject. */
export interface Credential {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

export interface AuthorityKeys {
  readonly trustDomain: string;
  readonly root: { readonly certificate: Certificate; /** Absent when in offline custody. */ readonly key?: KeyObject };
  readonly intermediate: Credential;
  /** P-256; signs orders, states, revocations and time. */
  readonly orders: KeyObject;
  /** Ed25519; signs checkpoints. */
  readonly log: KeyObject;
  /** `spiffe://<trust-domain>/control/server`. */
  readonly server: Credential;
}

export interface Authority extends AuthorityKeys {
  /** Signs a linted certificate with the intermediate. An argument of every issuance, so that tests can let it fail. */
  readonly sign: (certificate: PreparedCertificate) => Promise<Buffer>;
  /** `sha256:<hex>` of the root, as join lines pin it. */
  readonly rootFingerprint: string;
  readonly ordersKeyId: string;
  readonly ordersJwk: PublicJwk;
  /** Name of the log's key in signed notes. */
  readonly logName: string;
  /** C2SP verifier key of the log. */
  readonly logVerifierKey: string;
  /** What the control plane's listeners present: server, intermediate, root. The root lets an enrolling edge find its pin. */
  readonly serverChain: readonly Buffer[];
}

export function authorityOf(keys: AuthorityKeys): Authority {
  // The origin of the checkpoints that it signs (audit/cloud/checkpoints.ts).
  const logName = `${keys.trustDomain}/audit`;
  return {
    ...keys,
    sign: async (certificate) => signCertificate(certificate, keys.intermediate.key),
    rootFingerprint: fingerprint(keys.root.certificate.raw),
    ordersKeyId: keyId(keys.orders),
    ordersJwk: jwkOf(keys.orders),
    logName,
    logVerifierKey: formatVerifierKey(logName, keys.log),
    serverChain: [keys.server.certificate.raw, keys.intermediate.certificate.raw, keys.root.certificate.raw],
  };
}

/** New keys and certificates for a trust domain. Nothing is stored. */
export function makeAuthority(trustDomain: string, clock: Clock, random: RandomBytes): Authority {
  const rootKeys = generateKey();
  const root = parseCertificate(
    issueCertificate(
      {
        profile: 'root',
        serialHex: newSerial(random),
        trustDomain,
        publicKey: rootKeys.publicKey,
        ...validityFor(clock.now(), limits.rootTtlSeconds),
      },
      rootKeys.privateKey,
    ),
  );
  const keys = generateKey();
  const intermediate = parseCertificate(
    issueCertificate(
      {
        profile: 'intermediate',
        serialHex: newSerial(random),
        trustDomain,
        publicKey: keys.publicKey,
        issuer: root,
        ...validityFor(clock.now(), limits.intermediateTtlSeconds, root),
      },
      rootKeys.privateKey,
    ),
  );
  const issuing = { certificate: intermediate, key: keys.privateKey };
  return authorityOf({
    trustDomain,
    root: { certificate: root, key: rootKeys.privateKey },
    intermediate: issuing,
    orders: generateKey().privateKey,
    log: generateNoteKey().privateKey,
    server: makeServer(trustDomain, issuing, clock, random),
  });
}

function makeServer(trustDomain: string, issuer: Credential, clock: Clock, random: RandomBytes): Credential {
  const keys = generateKey();
  const der = issueCertificate(
    {
      profile: 'leaf',
      serialHex: newSerial(random),
      publicKey: keys.publicKey,
      issuer: issuer.certificate,
      spiffeId: controlId(trustDomain, 'server').uri,
      ...validityFor(clock.now(), limits.serverTtlSeconds, issuer.certificate),
    },
    issuer.key,
  );
  return { certificate: parseCertificate(der), key: keys.privateKey };
}

/** Whether half of the server certificate's life is over. */
export function serverRenewalDue(authority: AuthorityKeys, now: number): boolean {
  const { notBefore, notAfter } = authority.server.certificate;
  return now >= notBefore + (notAfter - notBefore) / 2;
}

/** The same authority with a new key and certificate for its server. */
export function withNewServer(authority: Authority, clock: Clock, random: RandomBytes): Authority {
  const { trustDomain, intermediate } = authority;
  return authorityOf({ ...keysOf(authority), server: makeServer(trustDomain, intermediate, clock, random) });
}

/** The same authority after its root key went into offline custody. */
export function withoutRootKey(authority: Authority): Authority {
  return authorityOf({ ...keysOf(authority), root: { certificate: authority.root.certificate } });
}

export function requireRootKey(authority: AuthorityKeys): KeyObject {
  const { key } = authority.root;
  if (key === undefined) {
    throw caErrors.error('CA_ROOT_KEY_ABSENT', `the root key of ${authority.trustDomain} is not in this key file`);
  }
  return key;
}

function keysOf(authority: Authority): AuthorityKeys {
  const { trustDomain, root, intermediate, orders, log, server } = authority;
  return { trustDomain, root, intermediate, orders, log, server };
}
