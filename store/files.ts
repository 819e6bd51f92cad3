// The file system as an argument. Only what durable code needs, so that the power-cut simulation can be exact.
// Nothing is durable before `sync` of the file and, for names (create, rename, remove), `syncDirectory` of the folder.
// Failures are Node's errno errors (`code`: ENOENT, EEXIST, ENOSPC, EIO …), from every implementation.
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

export interface FileInfo {
  readonly size: number;
  /** Permission bits only. */
  readonly mode: number;
  readonly uid: number;
  readonly kind: 'file' | 'directory' | 'other';
  readonly modifiedMs: number;
}

export interface OpenFile {
  /** Writes all of `bytes` at the end of the file. After an error an unknown part of them may be in the file. */
  append(bytes: Uint8Array): Promise<void>;
  /** Up to `length` bytes from `position`; shorter only at the end of the file. */
  read(position: number, length: number): Promise<Buffer>;
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  /** fsync. When it fails, what was written since the last success may be lost, and a later success does not bring it back. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** `read`: must exist. `append`: reads too; made if missing. `create`: must not exist. No mode follows a symbolic link. */
export type OpenMode = 'read' | 'append' | 'create';

export interface FileSystem {
  open(path: string, how: OpenMode, mode?: number): Promise<OpenFile>;
  /** The whole file; refuses with EFBIG when it is larger than `maxBytes`. */
  readFile(path: string, maxBytes: number): Promise<Buffer>;
  /** Replaces `to` at once, or not at all. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Makes missing parents too; is content when it exists. */
  mkdir(path: string, mode?: number): Promise<void>;
  /** Names in a folder, sorted. */
  list(path: string): Promise<string[]>;
  /** undefined when nothing is there. Does not follow symbolic links. */
  stat(path: string): Promise<FileInfo | undefined>;
  syncDirectory(path: string): Promise<void>;
  /** Names a place in the code where a simulation may cut the power. Absent on a real disk. */
  point?(name: string): void;
}

export const privateFileMode = 0o600;
export const privateDirectoryMode = 0o700;

export const nodeFiles: FileSystem = {
  async open(path, how, mode = privateFileMode) {
    const flags = {
      read: constants.O_RDONLY,
      append: constants.O_RDWR | constants.O_CREAT | constants.O_APPEND,
      create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND,
    }[how];
    return openFile(await fs.open(path, flags | constants.O_NOFOLLOW, mode));
  },

  async readFile(path, maxBytes) {
    const file = await nodeFiles.open(path, 'read');
    try {
      // One byte more than allowed tells a file that grew while it was read.
      const bytes = await file.read(0, Math.min(await file.size(), maxBytes) + 1);
      if (bytes.length > maxBytes) throw errno('EFBIG', `file is larger than ${maxBytes} bytes`, path);
      return bytes;
    } finally {
      await file.close();
    }
  },

  rename: (from, to) => fs.rename(from, to),
  unlink: (path) => fs.unlink(path),

  async mkdir(path, mode = privateDirectoryMode) {
    const first = await fs.mkdir(path, { recursive: true, mode });
    if (first === undefined) return;
    // The new names must survive too: sync every folder that got a new entry.
    const top = dirname(resolve(first));
    for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
      await nodeFiles.syncDirectory(folder);
      if (folder === top || folder === '/') return;
    }
  },

  list: async (path) => (await fs.readdir(path)).sort(),

  async stat(path) {
    try {
      const found = await fs.lstat(path);
      return {
        size: found.size,
        mode: found.mode & 0o7777,
        uid: found.uid,
        kind: found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other',
        modifiedMs: found.mtimeMs,
      };
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  },

  async syncDirectory(path) {
    const handle = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

function openFile(handle: fs.FileHandle): OpenFile {
  return {
    async append(bytes) {
      let written = 0;
      while (written < bytes.length) {
        const result = await handle.write(bytes, written, bytes.length - written, null);
        written += result.bytesWritten;
      }
    },
    async read(position, length) {
      const buffer = Buffer.allocUnsafe(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return buffer.subarray(0, filled);
    },
    truncate: (size) => handle.truncate(size),
    size: async () => (await handle.stat()).size,
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

export function errno(code: string, message: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}, '${path}'`), { code, path });
}
