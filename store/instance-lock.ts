// One program a state directory: two would write the same files. The lock is SQLite's on an empty file, so the kernel
// drops it with the process, however that ends; nothing stale stays behind.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { storeErrors } from './errors.ts';

export interface InstanceLock {
  release(): void;
}

/** Takes the lock or throws INSTANCE_RUNNING at once. Makes the directory. */
export function lockInstance(stateDirectory: string, program: string): InstanceLock {
  const file = join(stateDirectory, 'instance.lock');
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    database?.close();
    if (cause instanceof Error && /locked|busy/.test(cause.message)) {
      throw storeErrors.error('INSTANCE_RUNNING', `${program} runs on ${stateDirectory} already`, {
        remedy: `Stop it first (fuser ${file} names it), or give this one a state directory of its own`,
        cause,
      });
    }
    throw storeErrors.error('FILE_SYSTEM_FAILED', `cannot lock ${file}`, { cause });
  }
  const held = database;
  return { release: () => held.close() };
}
