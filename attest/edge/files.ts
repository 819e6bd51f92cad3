// The part of a file system that measuring needs, and the real one. Reading follows links, as the kernel does when it
// executes; opening never blocks on a pipe or a device.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { MAX_MEASURED_FILE_BYTES, READ_BYTES } from '../limits.ts';

export interface MeasuredFiles {
  /** Hex SHA-256 of the regular file that the path leads to; undefined when there is none or it cannot be read whole. */
  digest(path: string, signal: AbortSignal | undefined): Promise<string | undefined>;
  /** What the path itself is; undefined when nothing is there. */
  kind(path: string): Promise<'file' | 'executable' | 'folder' | 'link' | 'other' | undefined>;
  /** Names in a folder. */
  list(path: string): Promise<string[]>;
  /** Where a link points, as written. */
  target(path: string): Promise<string>;
}

export const nodeMeasuredFiles: MeasuredFiles = {
  async digest(path, signal) {
    try {
      await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const status = await handle.stat();
      if (!status.isFile() || status.size > MAX_MEASURED_FILE_BYTES) return undefined;
      const hash = createHash('sha256');
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (let position = 0; position <= MAX_MEASURED_FILE_BYTES;) {
        signal?.throwIfAborted();
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
        if (bytesRead === 0) return hash.digest('hex');
        hash.update(buffer.subarray(0, bytesRead));
        position += bytesRead;
      }
      // It grew while it was read.
      return undefined;
    } catch {
      signal?.throwIfAborted();
      // Not there, not allowed, a folder, a loop of links, a broken disk: all of them count as missing.
      return undefined;
    }
  },
  async kind(path) {
    const status = await lstat(path).catch(() => undefined);
    if (status === undefined) return undefined;
    if (status.isFile()) return (status.mode & 0o111) === 0 ? 'file' : 'executable';
    if (status.isDirectory()) return 'folder';
    return status.isSymbolicLink() ? 'link' : 'other';
  },
  list: async (path) => await readdir(path),
  target: async (path) => await readlink(path),
};
