// A publisher with the sample repository, for the tests of the control plane's side.
import { createPublicKey } from 'node:crypto';
import { generateKey, keyId } from '../../identity/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { Database } from '../../store/database.ts';
import { migrate } from '../../store/migrations.ts';
import type { PublisherKey, PublisherPublicKey } from '../bundle/index.ts';
import { buildSlices } from '../repository/build.ts';
import { loadRepository } from '../repository/load.ts';
import { sealRelease } from '../repository/publish.ts';
import type { SealedRelease, SealRequest } from '../repository/publish.ts';
import { sampleFiles, sampleNow, treeOf } from '../repository/sample-tree.ts';
import { policyMigrations } from './migrations.ts';
import { createPublications } from './publications.ts';
import type { Publications, PublicationsOptions } from './publications.ts';

export function newPublisher(): { key: PublisherKey; publicKey: PublisherPublicKey } {
  const { privateKey } = generateKey();
  return { key: { key: privateKey, keyId: keyId(privateKey) }, publicKey: createPublicKey(privateKey) };
}

export const publisher = newPublisher();

/** The sample sealed as `version`. */
export function sealSample(version: number, change: Partial<SealRequest> = {}): Promise<SealedRelease> {
  const { repository } = loadRepository(treeOf(sampleFiles), sampleNow);
  if (repository === undefined) throw new Error('the sample does not load');
  const tree = { files: new Map(), commit: 'c'.repeat(40), author: 'Ada <ada@plant.example>', committedAt: sampleNow };
  const slices = buildSlices(repository);
  return sealRelease({ repository, slices, tree, version, issuedAt: sampleNow, key: publisher.key, ...change });
}

export async function uploadAll(publications: Publications, sealed: SealedRelease): Promise<void> {
  for (const { content } of sealed.chunks) await publications.uploadChunk(content);
}

/** Uploads and completes. */
export async function publishSample(publications: Publications, version: number): Promise<SealedRelease> {
  const sealed = await sealSample(version);
  await uploadAll(publications, sealed);
  await publications.complete({ version, release: sealed.releaseJws, manifests: sealed.manifests });
  return sealed;
}

export async function openPublications(
  db: Database,
  change: Partial<PublicationsOptions> = {},
): Promise<{ publications: Publications; clock: FakeClock }> {
  const clock = new FakeClock(sampleNow);
  await migrate(db, 'policy', policyMigrations);
  const publisherKeys = (): Promise<PublisherPublicKey[]> => Promise.resolve([publisher.publicKey]);
  return {
    publications: createPublications({ db, clock, trustDomain: 'plant.example', publisherKeys, ...change }),
    clock,
  };
}
