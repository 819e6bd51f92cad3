// A slice, keys and an edge for the tests of the bundle.
import { createPublicKey } from 'node:crypto';
import { generateKey, keyId } from '../../identity/index.ts';
import type { OpenBundleOptions } from './open.ts';
import type { BundleMeta, SealedBundle } from './seal.ts';
import type { PublisherKey } from './signed-json.ts';
import type { Slice, SliceGrant } from './slice.ts';
import { knownFeatures } from './features.ts';

export const issuedAt: number = Date.UTC(2026, 10, 22, 12);

export const sampleMeta: BundleMeta = {
  version: 7,
  issuedAt,
  softExpiry: issuedAt + 86_400_000,
  hardExpiry: issuedAt + 7 * 86_400_000,
  commit: '0123456789abcdef0123456789abcdef01234567',
};

export function newPublisher(): PublisherKey {
  const { privateKey } = generateKey();
  return { key: privateKey, keyId: keyId(privateKey) };
}

/** `grants` of them, so that a large slice has many chunks. */
export function sampleSlice(grants = 2): Slice {
  return {
    format: 1,
    trustDomain: 'plant.example',
    device: 'plc-1',
    devices: [
      { id: 'plc-1', labels: { role: 'plc' }, interfaces: [{ name: 'eth0', network: 'cell', address: '10.77.0.12' }] },
    ],
    interfaces: [
      {
        name: 'plc-modbus',
        device: 'plc-1',
        protocol: 'modbus',
        transport: 'tcp',
        port: 502,
        operations: [
          {
            name: 'read-process',
            protocol: 'modbus',
            functionCodes: [3],
            units: [],
            addresses: [[0, 99]],
            class: 'normal',
            island: false,
          },
        ],
        onEnforcerDeath: 'closed',
        auditDurable: false,
        place: 'interfaces/plc.yaml:3',
      },
    ],
    grants: Array.from({ length: grants }, (_, index) => sampleGrant(index)),
    denies: [],
    firewall: [],
    casbin: [],
    selfTest: [],
  };
}

export function sampleGrant(index: number): SliceGrant {
  return {
    id: `grant-${index}`,
    subjects: [`reader-${index}`],
    interface: 'plc-modbus',
    device: 'plc-1',
    operations: ['read-process'],
    binding: 'ip',
    conditions: {},
    place: `grants/cell.yaml:${index + 2}`,
  };
}

/** What the edge plc-1 would ask with, holding the chunks of `sealed`. */
export function openOptions(sealed: SealedBundle, publisher: PublisherKey): OpenBundleOptions {
  const chunks = new Map(sealed.chunks.map((chunk) => [chunk.digest, chunk.content]));
  return {
    manifestJws: sealed.manifestJws,
    chunkByDigest: (digest) => Promise.resolve(chunks.get(digest)),
    publisherKeys: [createPublicKey(publisher.key)],
    trustDomain: 'plant.example',
    deviceId: 'plc-1',
    minimumVersion: 6,
    now: issuedAt + 1000,
    knownFeatures,
  };
}
