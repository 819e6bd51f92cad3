// Gives openBundle its chunks: those on disk from there, the missing ones fetched, each durable as soon as it came, so
// that an interrupted transfer goes on where it stopped.
import type { PolicyStore } from './policy-store.ts';

/**
 * Fetches chunks by lower case hex SHA-256 and hands each, with its digest checked, to `store`; rejects with the first
 * failure, after which nothing more is stored. The stream's client provides it.
 */
export type FetchChunks = (
  digests: readonly string[],
  store: (digest: string, content: Uint8Array) => Promise<void>,
) => Promise<void>;

/**
 * The first chunk asked for starts the transfer of all that are missing. Before it, chunks that neither the offered nor
 * the last good manifest names are removed: what earlier, refused bundles left behind must not fill the disk.
 */
export function collectChunks(
  store: PolicyStore,
  wanted: () => readonly string[],
  keep: readonly (string | undefined)[],
  fetchChunks: FetchChunks,
): (digest: string) => Promise<Uint8Array | undefined> {
  let transfer: Promise<void> | undefined;
  const fetchMissing = async (): Promise<void> => {
    const previous = await store.manifest('previous');
    await store.keepChunksOf([...keep, previous]);
    const missing: string[] = [];
    for (const digest of new Set(wanted())) if ((await store.chunk(digest)) === undefined) missing.push(digest);
    if (missing.length > 0) await fetchChunks(missing, (digest, content) => store.putChunk(digest, content));
  };
  return async (digest) => {
    transfer ??= fetchMissing();
    await transfer;
    return store.chunk(digest);
  };
}
