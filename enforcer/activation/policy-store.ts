// The bundles of this edge on disk: manifests, chunks by digest, and the highest version ever accepted. Written so that
// a crash at any point leaves a bundle that opens: chunks first, then the floor, then the last good, then the pointer.
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { type FileSystem, isErrno } from '../../store/files.ts';
import { storeFault, writeDurably } from '../../store/sealed-file.ts';
import { digestOf, type Manifest, manifestSchema } from '../../policy/bundle/index.ts';
import { MAX_CHUNK_BYTES, MAX_MANIFEST_BYTES, MAX_MARK_BYTES } from './limits.ts';

/** `current` is the pointer; `previous` is the bundle that was in force before it, the last good. */
export type Slot = 'current' | 'previous';

export interface Floor {
  /** Highest version ever accepted, and the digest of its manifest. */
  readonly version: number;
  readonly digest: string;
}

export interface PolicyStore {
  manifest(slot: Slot): Promise<string | undefined>;
  /** Content whose digest holds; undefined when it is missing or damaged. */
  chunk(digest: string): Promise<Uint8Array | undefined>;
  /** Durable when it resolves. */
  putChunk(digest: string, content: Uint8Array): Promise<void>;
  floor(): Floor | undefined;
  /** Makes a bundle whose chunks are stored the current one; `lastGood` is the manifest in force until now. */
  promote(manifestJws: string, floor: Floor, lastGood: string | undefined): Promise<void>;
  /** Takes a promotion back: `lastGood` is current again, or nothing is. */
  demote(lastGood: string | undefined): Promise<void>;
  /** Removes chunks that none of these manifests names, and half-written files. */
  keepChunksOf(manifests: readonly (string | undefined)[]): Promise<void>;
}

const files: Readonly<Record<Slot, string>> = { current: 'manifest.jws', previous: 'manifest.previous.jws' };
const floorSchema = z.strictObject({
  version: z.int().positive(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
});

/** Opens `<stateDir>/policy`. A floor that cannot be read is reported and counts as none. */
export async function openPolicyStore(
  fs: FileSystem,
  stateDir: string,
  damaged: (what: string, error: unknown) => void,
): Promise<PolicyStore> {
  const folder = join(stateDir, 'policy');
  const chunks = join(folder, 'chunks');
  try {
    await fs.mkdir(chunks);
  } catch (error) {
    throw storeFault(error, `cannot make ${chunks}`);
  }
  const pathOf = (slot: Slot): string => join(folder, files[slot]);
  const read = async (path: string, maxBytes: number): Promise<Buffer | undefined> => {
    try {
      return await fs.readFile(path, maxBytes);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw storeFault(error, `cannot read ${path}`);
    }
  };
  let floor = await readFloor(join(folder, 'floor.json'), read, damaged);

  return {
    manifest: async (slot) => (await read(pathOf(slot), MAX_MANIFEST_BYTES))?.toString('latin1'),
    async chunk(digest) {
      const content = await read(join(chunks, digest), MAX_CHUNK_BYTES);
      return content !== undefined && digestOf(content) === digest ? content : undefined;
    },
    putChunk: (digest, content) => writeDurably(fs, join(chunks, digest), content),
    floor: () => floor,
    async promote(manifestJws, next, lastGood) {
      fs.point?.('chunks-stored');
      await writeDurably(fs, join(folder, 'floor.json'), Buffer.from(canonicalJson(next)));
      floor = next;
      if (lastGood !== undefined) await writeDurably(fs, pathOf('previous'), Buffer.from(lastGood, 'latin1'));
      fs.point?.('last-good-kept');
      await writeDurably(fs, pathOf('current'), Buffer.from(manifestJws, 'latin1'));
    },
    async demote(lastGood) {
      if (lastGood !== undefined) return writeDurably(fs, pathOf('current'), Buffer.from(lastGood, 'latin1'));
      await fs.unlink(pathOf('current'));
      await fs.syncDirectory(folder);
    },
    async keepChunksOf(manifests) {
      const named = new Set(manifests.flatMap((jws) => (jws === undefined ? [] : chunksOf(jws))));
      for (const name of await fs.list(chunks)) if (!named.has(name)) await fs.unlink(join(chunks, name));
    },
  };
}

async function readFloor(
  path: string,
  read: (path: string, maxBytes: number) => Promise<Buffer | undefined>,
  damaged: (what: string, error: unknown) => void,
): Promise<Floor | undefined> {
  try {
    const bytes = await read(path, MAX_MARK_BYTES);
    return bytes === undefined ? undefined : floorSchema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    damaged(path, error);
    return undefined;
  }
}

/** Digests that a manifest names, read without verifying: for housekeeping, and for chunks of a manifest that was verified. */
export function chunksOf(manifestJws: string): string[] {
  const payload = Buffer.from(manifestJws.split('.')[1] ?? '', 'base64url').toString('utf8');
  let manifest: Manifest;
  try {
    manifest = manifestSchema.parse(JSON.parse(payload));
  } catch {
    return [];
  }
  return manifest.chunks.map(({ digest }) => digest);
}
