// Seals a slice: chunks, a manifest that names them in order, the publisher's signature over the manifest.
import { policyErrors } from '../errors.ts';
import { MAX_CHUNKS, MAX_SLICE_BYTES } from '../limits.ts';
import { cutChunks } from './chunks.ts';
import type { BundleChunk } from './chunks.ts';
import { requiredFeatures } from './features.ts';
import { digestOf, MANIFEST_TYPE, signDocument } from './signed-json.ts';
import type { PublisherKey } from './signed-json.ts';
import type { Manifest, Slice } from './slice.ts';

/** What the manifest says beside the slice. Times in milliseconds since the epoch. */
export interface BundleMeta {
  readonly version: number;
  readonly issuedAt: number;
  readonly softExpiry: number;
  readonly hardExpiry: number;
  readonly commit: string;
  /** Of the commit. */
  readonly author?: string;
}

export interface SealedBundle {
  readonly manifest: Manifest;
  readonly manifestJws: string;
  /** SHA-256 of the manifest JWS, lower case hex. */
  readonly digest: string;
  readonly chunks: readonly BundleChunk[];
}

/** Throws POLICY_SLICE_TOO_LARGE when an edge would refuse to open it. */
export async function sealBundle(slice: Slice, meta: BundleMeta, publisher: PublisherKey): Promise<SealedBundle> {
  const chunks = cutChunks(slice);
  const size = chunks.reduce((sum, chunk) => sum + chunk.content.length, 0);
  if (chunks.length > MAX_CHUNKS || size > MAX_SLICE_BYTES) {
    throw policyErrors.error('POLICY_SLICE_TOO_LARGE', `the slice of ${slice.device} has ${size} bytes`);
  }
  const manifest: Manifest = {
    format: 1,
    trustDomain: slice.trustDomain,
    device: slice.device,
    version: meta.version,
    issuedAt: meta.issuedAt,
    softExpiry: meta.softExpiry,
    hardExpiry: meta.hardExpiry,
    requires: requiredFeatures(slice),
    commit: meta.commit,
    ...(meta.author === undefined ? {} : { author: meta.author }),
    chunks: chunks.map((chunk) => ({ digest: chunk.digest, size: chunk.content.length })),
  };
  const manifestJws = await signDocument(manifest, MANIFEST_TYPE, publisher);
  return { manifest, manifestJws, digest: digestOf(manifestJws), chunks };
}
