// Published policy of one trust domain: versions are allotted one after the other, a publication is taken whole or not
// at all, and of two publishers at the same time one wins.
import type { Kysely } from 'kysely';
import type { Clock } from '../../runtime/clock.ts';
import type { Database } from '../../store/database.ts';
import { digestOf } from '../bundle/index.ts';
import type { PublisherPublicKey, Release } from '../bundle/index.ts';
import { joinPublication } from '../bundle/publication-parts.ts';
import { policyErrors } from '../errors.ts';
import {
  KEPT_VERSIONS,
  MAX_CHUNK_BYTES,
  MAX_DIGESTS_ASKED,
  REPLACED_BUNDLE_GRACE_MS,
  UPLOAD_GRACE_MS,
} from '../limits.ts';
import { createAcknowledgements } from './acknowledgements.ts';
import type { Acknowledgements, PolicyStatus } from './acknowledgements.ts';
import * as queries from './queries.ts';
import type { PolicyTables } from './tables.ts';
import { verifyPublication, verifyRelease } from './verify-publication.ts';
import type { Publication, VerifiedPublication } from './verify-publication.ts';

export interface PublicationsOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly trustDomain: string;
  /** The pinned publishers, as the operators keep them. */
  readonly publisherKeys: () => Promise<readonly PublisherPublicKey[]>;
  /**
   * Refuses, by throwing a CodedError, a release whose detections or playbooks the rooms that run them cannot read.
   * Called after the signatures hold and before anything is stored.
   */
  readonly checkRelease?: (release: Release) => void | Promise<void>;
  /** After the commit; a failure here does not undo the publication. */
  readonly onPublished?: (published: Published) => void | Promise<void>;
}

export interface Published {
  readonly version: number;
  readonly commit: string;
  readonly author: string;
  /** SHA-256 of the release JWS, lower case hex. */
  readonly digest: string;
  readonly publisherKeyId: string;
  readonly publishedAt: number;
  readonly devices: number;
}

export interface CurrentRelease extends Published {
  readonly release: Release;
}

export interface CurrentManifest {
  readonly version: number;
  readonly manifestJws: string;
  readonly digest: string;
}

export interface Publications extends Acknowledgements {
  /** The version a publication has to sign; valid until another one completes. */
  begin(): Promise<{ version: number; trustDomain: string }>;
  /**
   * Those of the digests (lower case hex) whose content is not stored. What is stored stays long enough for the
   * publication that asks.
   */
  missingChunks(digests: readonly string[]): Promise<string[]>;
  /** Stores by content; the same chunk again is no error. Returns the lower case hex digest. */
  uploadChunk(content: Uint8Array): Promise<string>;
  complete(publication: Publication): Promise<Published>;
  /** The release in force, verified again; undefined before the first. */
  release(): Promise<CurrentRelease | undefined>;
  /** Undefined when the release in force has no such device. */
  manifestFor(deviceId: string): Promise<CurrentManifest | undefined>;
  /**
   * Digests of the bundles that an honest device may have in force now: the newest, one that was replaced a moment ago,
   * and the one it acknowledged last, for a device that refused what came after. Empty when the release in force has
   * no such device.
   */
  acceptedBundles(deviceId: string): Promise<string[]>;
  chunk(digest: string): Promise<Uint8Array | undefined>;
  status(): Promise<PolicyStatus>;
}

export function createPublications(options: PublicationsOptions): Publications {
  const { db, clock, trustDomain } = options;
  const tables: Kysely<PolicyTables> = db.withTables<PolicyTables>();
  const release = releaseReader(options, tables);
  const acknowledgements = createAcknowledgements({ db, clock, trustDomain });
  return {
    ...acknowledgements,
    release,
    async begin() {
      return { version: (await queries.lastVersion(tables, trustDomain)) + 1, trustDomain };
    },
    async missingChunks(digests) {
      if (digests.length > MAX_DIGESTS_ASKED || digests.some((digest) => !/^[0-9a-f]{64}$/.test(digest))) {
        const message = `${digests.length} digests, at most ${MAX_DIGESTS_ASKED} of 32 bytes each`;
        throw policyErrors.error('POLICY_DIGESTS_INVALID', message);
      }
      const stored = await queries.keepChunks(tables, trustDomain, digests, clock.now());
      return [...new Set(digests)].filter((digest) => !stored.has(digest));
    },
    async uploadChunk(content) {
      if (content.length === 0) throw policyErrors.error('POLICY_CHUNK_EMPTY', 'a chunk of 0 bytes');
      if (content.length > MAX_CHUNK_BYTES) {
        throw policyErrors.error('POLICY_CHUNK_TOO_LARGE', `a chunk of ${content.length} bytes`);
      }
      const digest = digestOf(content);
      const row = { trust_domain: trustDomain, digest, content, size: content.length, last_version: 0 };
      await queries.putChunk(tables, { ...row, uploaded_at: clock.now() });
      return digest;
    },
    complete: (publication) => complete(options, publication),
    async manifestFor(deviceId) {
      const row = await queries.currentManifest(tables, trustDomain, deviceId);
      return row && { version: row.version, manifestJws: row.manifest_jws, digest: row.digest };
    },
    async acceptedBundles(deviceId) {
      if ((await queries.currentManifest(tables, trustDomain, deviceId)) === undefined) return [];
      const since = clock.now() - REPLACED_BUNDLE_GRACE_MS;
      const published = await queries.digestsSince(tables, trustDomain, deviceId, since);
      const said = (await queries.readAcknowledgement(tables, trustDomain, deviceId))?.enforced_digest ?? '';
      return [...new Set([...published, ...(said === '' ? [] : [said])])];
    },
    chunk: (digest) => queries.readChunk(tables, trustDomain, digest),
    async status() {
      return await acknowledgements.statusOf(await release());
    },
  };
}

async function complete(options: PublicationsOptions, publication: Publication): Promise<Published> {
  const { db, clock, trustDomain } = options;
  const next = (await queries.lastVersion(db.withTables<PolicyTables>(), trustDomain)) + 1;
  // Said before the costly part, and decided again under the lock.
  if (publication.version !== next) throw conflict(publication.version, next);
  const publisherKeys = await options.publisherKeys();
  const whole = await wholeOf(options, publication);
  const verified = await verifyPublication(whole, { trustDomain, publisherKeys, now: clock.now() });
  await options.checkRelease?.(verified.release.value);
  const published = describe(verified, clock.now());
  await db.transaction<PolicyTables, void>((trx) => store(trx, trustDomain, verified, published), {
    // The lock on the version row orders publications; a serializable snapshot would be older than the lock.
    isolation: 'read committed',
  });
  await options.onPublished?.(published);
  return published;
}

async function wholeOf({ db, trustDomain }: PublicationsOptions, publication: Publication): Promise<Publication> {
  const { version, release, manifests, parts } = publication;
  if (parts === undefined) return publication;
  if (release !== '' || manifests.length > 0) {
    throw policyErrors.error('POLICY_RELEASE_INVALID', 'a publication in parts and in the message itself');
  }
  const tables = db.withTables<PolicyTables>();
  const document = await joinPublication(parts, (digest) => queries.readChunk(tables, trustDomain, digest));
  return { version, ...document };
}

async function store(
  trx: Kysely<PolicyTables>,
  trustDomain: string,
  verified: VerifiedPublication,
  published: Published,
): Promise<void> {
  const { version } = published;
  if (!(await queries.takeVersion(trx, trustDomain, version))) {
    throw conflict(version, (await queries.lastVersion(trx, trustDomain)) + 1);
  }
  const digests = [...verified.chunks.keys()];
  const sizes = await queries.chunkSizes(trx, trustDomain, digests);
  const missing = digests.filter((digest) => sizes.get(digest) !== verified.chunks.get(digest));
  if (missing.length > 0) {
    const message = `${missing.length} chunks are not there, first ${missing[0]}`;
    throw policyErrors.error('POLICY_CHUNK_MISSING', message);
  }
  const release = {
    trust_domain: trustDomain,
    version,
    digest: published.digest,
    release_jws: verified.releaseJws,
    commit_id: published.commit,
    author: published.author,
    publisher_key_id: published.publisherKeyId,
    published_at: published.publishedAt,
  };
  const manifests = verified.manifests.map(({ manifest, jws, digest }) => ({
    trust_domain: trustDomain,
    version,
    device_id: manifest.device,
    digest,
    manifest_jws: jws,
  }));
  await queries.insertRelease(trx, release, manifests);
  await queries.markChunks(trx, trustDomain, digests, version);
  await queries.prune(trx, trustDomain, version - KEPT_VERSIONS, published.publishedAt - UPLOAD_GRACE_MS);
}

function describe({ release, manifests }: VerifiedPublication, publishedAt: number): Published {
  return {
    version: release.value.version,
    commit: release.value.commit,
    author: release.value.author,
    digest: release.digest,
    publisherKeyId: release.keyId,
    publishedAt,
    devices: manifests.length,
  };
}

function conflict(version: number, next: number): Error {
  return policyErrors.error('POLICY_VERSION_CONFLICT', `version ${version} was signed, the next one is ${next}`);
}

/**
 * Reads the release in force. Its signature is checked whenever it is new to this process: reference values and
 * detections are believed because a publisher signed them, not because they are in the database.
 */
function releaseReader(
  options: PublicationsOptions,
  tables: Kysely<PolicyTables>,
): () => Promise<CurrentRelease | undefined> {
  let current: CurrentRelease | undefined;
  return async () => {
    const row = await queries.currentRelease(tables, options.trustDomain);
    if (row === undefined) return undefined;
    if (current?.digest === row.digest) return current;
    const { value, keyId, digest } = await verifyRelease(row.release_jws, await options.publisherKeys());
    current = {
      version: value.version,
      commit: value.commit,
      author: value.author,
      digest,
      publisherKeyId: keyId,
      publishedAt: row.published_at,
      devices: value.devices.length,
      release: value,
    };
    return current;
  };
}
