// The part of a file system that measuring needs, and the real one. Reading follows links, as the kernel does when it
// executes; opening never blocks on a pipe or a device.
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';
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

/**
 * Reads synchronously, which costs a seventh for thousands of small files; an enforcement point measures on a thread of
 * its own (`measureAside`).
 */
export const nodeMeasuredFiles: MeasuredFiles = {
  async digest(path, signal) {
    signal?.throwIfAborted();
    try {
      return digestOf(path);
    } catch {
      // Not there, not allowed, a folder, a loop of links, a broken disk: all of them count as missing.
      return undefined;
    }
  },
  async kind(path) {
    const status = statusOf(path);
    if (status === undefined) return undefined;
    if (status.isFile()) return (status.mode & 0o111) === 0 ? 'file' : 'executable';
    if (status.isDirectory()) return 'folder';
    return status.isSymbolicLink() ? 'link' : 'other';
  },
  list: async (path) => readdirSync(path),
  target: async (path) => readlinkSync(path),
};

function digestOf(path: string): string | undefined {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.size > MAX_MEASURED_FILE_BYTES) return undefined;
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(Math.min(status.size + 1, READ_BYTES));
    for (let position = 0; position <= MAX_MEASURED_FILE_BYTES;) {
      const read = readSync(descriptor, buffer, 0, buffer.length, position);
      if (read === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, read));
      position += read;
    }
    // It grew while it was read.
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}

function statusOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}
