// The closed table of codes of the store.
import { errorTable } from '../runtime/errors.ts';

export const storeErrors = errorTable({
  DATABASE_URL_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Use sqlite:///absolute/path/file.db or postgres://user@host/database',
  },
  DATABASE_UNAVAILABLE: {
    status: 'UNAVAILABLE',
    remedy: 'Check that the database runs and can be reached; Edgeward goes on by itself when it is back',
  },
  DATABASE_BUSY: { status: 'ABORTED', remedy: 'Try again; too many writers met at the same rows' },
  DATABASE_FULL: { status: 'RESOURCE_EXHAUSTED', remedy: 'Free space on the disk of the database' },
  DATABASE_CORRUPT: { status: 'DATA_LOSS', remedy: 'Stop, keep a copy of the file, and restore the last backup' },
  DATABASE_NEWER: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Run a version of Edgeward at least as new as the database',
  },
  DATABASE_MISUSED: { status: 'INTERNAL', remedy: 'Report this with the log; it is a fault in the program' },
  INSTANCE_RUNNING: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Stop the program that runs on this state directory, or give this one a directory of its own',
  },
  FILE_SYSTEM_FULL: { status: 'RESOURCE_EXHAUSTED', remedy: 'Free space on the disk, or move the state directory' },
  FILE_SYSTEM_FAILED: { status: 'INTERNAL', remedy: 'Check the disk and the permissions of the path' },
  FILE_MISSING: { status: 'NOT_FOUND', remedy: 'Check the path' },
  FILE_EXPOSED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Run chmod 600 on the file; if others could read it, replace the key',
  },
  SEALED_FILE_INVALID: { status: 'DATA_LOSS', remedy: 'Restore the file from a backup' },
  SEALED_FILE_LOCKED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Check the passphrase; if it is right, restore the file from a backup',
  },
} as const);
