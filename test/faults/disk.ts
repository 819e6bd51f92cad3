// A disk of a few hundred KiB that can be filled: a tmpfs.
import { mkdirSync, rmSync, writeSync, openSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { must } from '../support/netns-process.ts';

export interface SmallDisk extends AsyncDisposable {
  /** Leaves not a byte. */
  fill(): void;
  /** Removes what `fill` wrote. */
  empty(): void;
}

/** Mounts at `path`, which is made. */
export async function mountSmallDisk(path: string, size: string): Promise<SmallDisk> {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  await must(['mount', '-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'edgeward-test', path]);
  const unmount = (): void => {
    spawnSync('umount', ['--lazy', path]);
    rmSync(path, { recursive: true, force: true });
  };
  process.once('exit', unmount);
  const ballast = join(path, 'ballast');
  return {
    fill() {
      const file = openSync(ballast, 'a');
      try {
        for (const bytes of [65_536, 4_096, 512, 1]) {
          for (;;) if (!written(file, bytes)) break;
        }
      } finally {
        closeSync(file);
      }
    },
    empty: () => rmSync(ballast, { force: true }),
    [Symbol.asyncDispose]() {
      process.off('exit', unmount);
      unmount();
      return Promise.resolve();
    },
  };
}

function written(file: number, bytes: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(bytes)) === bytes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
