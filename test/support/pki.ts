// A throw-away authority for tests: root, lock-down intermediate, and SVIDs of any name, made by identity/ itself.
import { randomBytes } from 'node:crypto';
import {
  certificatesToPem,
  exportPkcs8Pem,
  generateKey,
  issueCertificate,
  type KeyPair,
  newSerial,
  parseCertificate,
  validityFor,
} from '../../identity/index.ts';

export interface TestSvid {
  readonly keys: KeyPair;
  readonly der: Buffer;
  /** Leaf and intermediate. */
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface TestAuthority {
  readonly trustDomain: string;
  readonly root: Buffer;
  readonly intermediate: Buffer;
  readonly rootPem: string;
  issue(spiffeUri: string, options?: { now?: number; ttlSeconds?: number }): TestSvid;
}

export function createTestAuthority(trustDomain: string, now: number = Date.now()): TestAuthority {
  const rootKeys = generateKey();
  const caKeys = generateKey();
  const year = 365 * 86_400;
  const root = issueCertificate(
    {
      profile: 'root',
      trustDomain,
      publicKey: rootKeys.publicKey,
      serialHex: newSerial(randomBytes),
      ...validityFor(now, 10 * year),
    },
    rootKeys.privateKey,
  );
  const intermediate = issueCertificate(
    {
      profile: 'intermediate',
      trustDomain,
      publicKey: caKeys.publicKey,
      issuer: parseCertificate(root),
      serialHex: newSerial(randomBytes),
      ...validityFor(now, year, parseCertificate(root)),
    },
    rootKeys.privateKey,
  );
  return {
    trustDomain,
    root,
    intermediate,
    rootPem: certificatesToPem([root]),
    issue: (spiffeUri, options = {}) => {
      const keys = generateKey();
      const der = issueCertificate(
        {
          profile: 'leaf',
          spiffeId: spiffeUri,
          publicKey: keys.publicKey,
          issuer: parseCertificate(intermediate),
          serialHex: newSerial(randomBytes),
          ...validityFor(options.now ?? now, options.ttlSeconds ?? 86_400, parseCertificate(intermediate)),
        },
        caKeys.privateKey,
      );
      return { keys, der, chainPem: certificatesToPem([der, intermediate]), keyPem: exportPkcs8Pem(keys.privateKey) };
    },
  };
}
