// Room on the disk: the quota, and a reserve of zeros that is given back when the disk is full, so that the cursor,
// loss records and the gravest events still find a place.
import { join } from 'node:path';
import type { FileSystem } from '../../store/files.ts';
import { reserveFile } from './layout.ts';
import { isFull, removeIfThere } from './segments.ts';

export class Room {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #totalBytes: number;
  readonly #reserveBytes: number;
  #held = false;

  constructor(
    fs: FileSystem,
    directory: string,
    limits: { readonly totalBytes: number; readonly reserveBytes: number },
  ) {
    this.#fs = fs;
    this.#directory = directory;
    this.#totalBytes = limits.totalBytes;
    this.#reserveBytes = limits.reserveBytes;
  }

  /** Whether `more` bytes beside `used` stay within the quota; only what is urgent may use the reserve's part of it. */
  fits(used: number, more: number, urgent: boolean): boolean {
    return used + more + (urgent ? 0 : this.#reserveBytes) <= this.#totalBytes;
  }

  /** False when the disk has no room for the reserve; then it counts as full. */
  async hold(): Promise<boolean> {
    if (this.#held) return true;
    const path = join(this.#directory, reserveFile);
    const info = await this.#fs.stat(path);
    if (info?.kind === 'file' && info.size === this.#reserveBytes) {
      this.#held = true;
      return true;
    }
    try {
      await removeIfThere(this.#fs, path);
      const file = await this.#fs.open(path, 'create');
      try {
        await file.append(Buffer.alloc(this.#reserveBytes));
        await file.sync();
      } finally {
        await file.close();
      }
      this.#held = true;
      return true;
    } catch (error) {
      await this.release();
      if (isFull(error)) return false;
      throw error;
    }
  }

  async release(): Promise<void> {
    this.#held = false;
    await removeIfThere(this.#fs, join(this.#directory, reserveFile)).catch(() => undefined);
  }
}
