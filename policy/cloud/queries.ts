// The one narrow query file of published policy: everything it asks of the database. Portable over both databases;
// lists go in batches below the bind limits.
import type { Insertable, Kysely } from 'kysely';
import { QUERY_BATCH } from '../limits.ts';
import type { AcknowledgementRow, ManifestRow, PolicyTables, ReleaseRow } from './tables.ts';

type Db = Kysely<PolicyTables>;

// ---- versions ------------------------------------------------------------------------------------------------------

export async function lastVersion(db: Db, trustDomain: string): Promise<number> {
  const row = await db
    .selectFrom('policy_versions')
    .select('last_version')
    .where('trust_domain', '=', trustDomain)
    .executeTakeFirst();
  return row?.last_version ?? 0;
}

/**
 * Takes the version if it is the next one, and holds the row until the transaction ends. A second publication waits
 * here, then finds that the version has moved.
 */
export async function takeVersion(db: Db, trustDomain: string, version: number): Promise<boolean> {
  await db
    .insertInto('policy_versions')
    .values({ trust_domain: trustDomain, last_version: 0 })
    .onConflict((conflict) => conflict.column('trust_domain').doNothing())
    .execute();
  const taken = await db
    .updateTable('policy_versions')
    .set({ last_version: version })
    .where('trust_domain', '=', trustDomain)
    .where('last_version', '=', version - 1)
    .executeTakeFirst();
  return taken.numUpdatedRows === 1n;
}

// ---- chunks --------------------------------------------------------------------------------------------------------

export async function putChunk(db: Db, row: Insertable<PolicyTables['policy_chunks']>): Promise<void> {
  await db
    .insertInto('policy_chunks')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['trust_domain', 'digest']).doUpdateSet({ uploaded_at: row.uploaded_at }),
    )
    .execute();
}

/** Of the chunks those that are there, each held on to as if it had been uploaded now. */
export async function keepChunks(
  db: Db,
  trustDomain: string,
  digests: readonly string[],
  now: number,
): Promise<ReadonlySet<string>> {
  for (const batch of batches(digests)) {
    await db
      .updateTable('policy_chunks')
      .set({ uploaded_at: now })
      .where('trust_domain', '=', trustDomain)
      .where('digest', 'in', batch)
      .execute();
  }
  // Asked after that: what was forgotten in between counts as missing.
  return new Set((await chunkSizes(db, trustDomain, digests)).keys());
}

export async function readChunk(db: Db, trustDomain: string, digest: string): Promise<Uint8Array | undefined> {
  const row = await db
    .selectFrom('policy_chunks')
    .select('content')
    .where('trust_domain', '=', trustDomain)
    .where('digest', '=', digest)
    .executeTakeFirst();
  return row?.content;
}

/** Sizes of those of the chunks that are there. */
export async function chunkSizes(
  db: Db,
  trustDomain: string,
  digests: readonly string[],
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const batch of batches(digests)) {
    const rows = await db
      .selectFrom('policy_chunks')
      .select(['digest', 'size'])
      .where('trust_domain', '=', trustDomain)
      .where('digest', 'in', batch)
      .execute();
    for (const row of rows) sizes.set(row.digest, row.size);
  }
  return sizes;
}

export async function markChunks(
  db: Db,
  trustDomain: string,
  digests: readonly string[],
  version: number,
): Promise<void> {
  for (const batch of batches(digests)) {
    await db
      .updateTable('policy_chunks')
      .set({ last_version: version })
      .where('trust_domain', '=', trustDomain)
      .where('digest', 'in', batch)
      .execute();
  }
}

// ---- releases and manifests ------------------------------------------------------------------------------------------

export async function insertRelease(db: Db, release: ReleaseRow, manifests: readonly ManifestRow[]): Promise<void> {
  await db.insertInto('policy_releases').values(release).execute();
  for (const batch of batches(manifests)) await db.insertInto('policy_manifests').values(batch).execute();
}

export async function currentRelease(db: Db, trustDomain: string): Promise<ReleaseRow | undefined> {
  return await db
    .selectFrom('policy_releases')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Of the version in force alone: a device that the newest release left out has none. */
export async function currentManifest(db: Db, trustDomain: string, deviceId: string): Promise<ManifestRow | undefined> {
  return await db
    .selectFrom('policy_manifests')
    .innerJoin('policy_versions', (join) =>
      join
        .onRef('policy_versions.trust_domain', '=', 'policy_manifests.trust_domain')
        .onRef('policy_versions.last_version', '=', 'policy_manifests.version'),
    )
    .selectAll('policy_manifests')
    .where('policy_manifests.trust_domain', '=', trustDomain)
    .where('policy_manifests.device_id', '=', deviceId)
    .executeTakeFirst();
}

export async function manifestDigest(
  db: Db,
  trustDomain: string,
  deviceId: string,
  version: number,
): Promise<string | undefined> {
  const row = await db
    .selectFrom('policy_manifests')
    .select('digest')
    .where('trust_domain', '=', trustDomain)
    .where('version', '=', version)
    .where('device_id', '=', deviceId)
    .executeTakeFirst();
  return row?.digest;
}

/** Manifests of a device that were in force at `since` (milliseconds since the epoch) or came later. */
export async function digestsSince(db: Db, trustDomain: string, deviceId: string, since: number): Promise<string[]> {
  const rows = await db
    .selectFrom('policy_manifests')
    .select('digest')
    .where('trust_domain', '=', trustDomain)
    .where('device_id', '=', deviceId)
    // A version ends with the publication of the next; the newest has none.
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('policy_releases')
            .select('version')
            .where('policy_releases.trust_domain', '=', trustDomain)
            .where('policy_releases.published_at', '<=', since)
            .whereRef('policy_releases.version', '>', 'policy_manifests.version'),
        ),
      ),
    )
    .execute();
  return rows.map((row) => row.digest);
}

/** Forgets manifests and chunks that no release after `before` names. Releases stay: they are the record. */
export async function prune(db: Db, trustDomain: string, before: number, uploadedBefore: number): Promise<void> {
  await db
    .deleteFrom('policy_manifests')
    .where('trust_domain', '=', trustDomain)
    .where('version', '<=', before)
    .execute();
  await db
    .deleteFrom('policy_chunks')
    .where('trust_domain', '=', trustDomain)
    // 0 is what was uploaded and never published.
    .where('last_version', '<=', Math.max(before, 0))
    .where('uploaded_at', '<', uploadedBefore)
    .execute();
}

// ---- acknowledgements ------------------------------------------------------------------------------------------------

export async function readAcknowledgement(
  db: Db,
  trustDomain: string,
  deviceId: string,
): Promise<AcknowledgementRow | undefined> {
  return await db
    .selectFrom('policy_acknowledgements')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('device_id', '=', deviceId)
    .executeTakeFirst();
}

export async function writeAcknowledgement(db: Db, row: AcknowledgementRow): Promise<void> {
  const { trust_domain: _, device_id: __, ...said } = row;
  await db
    .insertInto('policy_acknowledgements')
    .values(row)
    .onConflict((conflict) => conflict.columns(['trust_domain', 'device_id']).doUpdateSet(said))
    .execute();
}

export async function listAcknowledgements(db: Db, trustDomain: string): Promise<AcknowledgementRow[]> {
  return await db
    .selectFrom('policy_acknowledgements')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .orderBy('device_id')
    .execute();
}

function* batches<T>(items: readonly T[]): Generator<T[]> {
  for (let start = 0; start < items.length; start += QUERY_BATCH) yield items.slice(start, start + QUERY_BATCH);
}
