// A small working authority for tests, and a way to write certificates that it would never issue. Not used by programs.
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { type Certificate, parseCertificate } from './certificate.ts';
import { bitString, context, integer, sequence, time } from './der.ts';
import { issueCertificate } from './issue.ts';
import { generateKey, type KeyPair } from './keys.ts';
import { newSerial, signatureAlgorithm, validityFor } from './profile.ts';
import { encodePublicKey } from './public-key.ts';
import { deviceId } from './spiffe-id.ts';

/** A Sunday in 2026, so that tests do not depend on today. */
export const sampleNow: number = Date.UTC(2026, 10, 22, 12, 0, 0);

export const days = (count: number): number => count * 86_400;

export interface SampleIssuer {
  readonly keys: KeyPair;
  readonly certificate: Certificate;
}

export interface SampleAuthority {
  readonly trustDomain: string;
  readonly root: SampleIssuer;
  readonly intermediate: SampleIssuer;
  /** Leaf for a device, valid 14 days from `sampleNow`. */
  issueLeaf(spiffeId?: string, ttlSeconds?: number): { der: Buffer; keys: KeyPair };
}

export function sampleAuthority(trustDomain = 'plant.example', now = sampleNow): SampleAuthority {
  const rootKeys = generateKey();
  const root = parseCertificate(
    issueCertificate(
      {
        profile: 'root',
        trustDomain,
        publicKey: rootKeys.publicKey,
        serialHex: newSerial(randomBytes),
        ...validityFor(now, days(3650)),
      },
      rootKeys.privateKey,
    ),
  );
  const intermediate = sampleIntermediate({ keys: rootKeys, certificate: root }, trustDomain, now);
  return {
    trustDomain,
    root: { keys: rootKeys, certificate: root },
    intermediate,
    issueLeaf(spiffeId = deviceId(trustDomain, 'plc-1').uri, ttlSeconds = days(14)) {
      const keys = generateKey();
      const der = issueCertificate(
        {
          profile: 'leaf',
          issuer: intermediate.certificate,
          spiffeId,
          publicKey: keys.publicKey,
          serialHex: newSerial(randomBytes),
          ...validityFor(now, ttlSeconds, intermediate.certificate),
        },
        intermediate.keys.privateKey,
      );
      return { der, keys };
    },
  };
}

export function sampleIntermediate(root: SampleIssuer, trustDomain: string, now: number = sampleNow): SampleIssuer {
  const keys = generateKey();
  const der = issueCertificate(
    {
      profile: 'intermediate',
      trustDomain,
      issuer: root.certificate,
      publicKey: keys.publicKey,
      serialHex: newSerial(randomBytes),
      ...validityFor(now, days(365), root.certificate),
    },
    root.keys.privateKey,
  );
  return { keys, certificate: parseCertificate(der) };
}

/** Every field free to be wrong. */
export interface Forgery {
  readonly issuer: Buffer;
  readonly subject?: Buffer;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly publicKey: KeyObject;
  readonly publicKeyDer?: Buffer;
  readonly extensions: readonly Buffer[];
  /** DER INTEGER. */
  readonly serial?: Buffer;
  readonly algorithm?: Buffer;
  readonly version?: number;
}

/** A certificate as `forgery` says, signed by `key`: no lint, no rules. */
export function forgeCertificate(forgery: Forgery, key: KeyObject): Buffer {
  const algorithm = forgery.algorithm ?? signatureAlgorithm;
  const tbs = sequence(
    context(0, integer(forgery.version ?? 2)),
    forgery.serial ?? integer(Buffer.from(newSerial(randomBytes), 'hex')),
    algorithm,
    forgery.issuer,
    sequence(time(forgery.notBefore ?? sampleNow - 300_000), time(forgery.notAfter ?? sampleNow + days(14) * 1000)),
    forgery.subject ?? sequence(),
    forgery.publicKeyDer ?? encodePublicKey(forgery.publicKey),
    context(3, sequence(...forgery.extensions)),
  );
  return sequence(tbs, algorithm, bitString(sign('sha256', tbs, key)));
}
