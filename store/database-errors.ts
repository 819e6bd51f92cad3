// Foreign database errors become one of ours: gone, busy, full, corrupt. Others (constraints, syntax) pass unchanged.
import { CodedError } from '../runtime/errors.ts';
import { storeErrors } from './errors.ts';

type Class = 'DATABASE_UNAVAILABLE' | 'DATABASE_BUSY' | 'DATABASE_FULL' | 'DATABASE_CORRUPT';

/** SQLite primary result codes (sqlite.org/rescode.html). */
const sqliteClasses: Readonly<Record<number, Class>> = {
  5: 'DATABASE_BUSY', // BUSY
  6: 'DATABASE_BUSY', // LOCKED
  8: 'DATABASE_UNAVAILABLE', // READONLY: file or folder lost its permission
  10: 'DATABASE_UNAVAILABLE', // IOERR
  11: 'DATABASE_CORRUPT', // CORRUPT
  13: 'DATABASE_FULL', // FULL
  14: 'DATABASE_UNAVAILABLE', // CANTOPEN
  26: 'DATABASE_CORRUPT', // NOTADB
};

/** PostgreSQL SQLSTATE (Appendix A), by code or by class of two characters. */
const postgresClasses: Readonly<Record<string, Class>> = {
  '08': 'DATABASE_UNAVAILABLE', // connection exception
  '25006': 'DATABASE_UNAVAILABLE', // read only: a standby after a failover
  '40001': 'DATABASE_BUSY', // serialization failure
  '40P01': 'DATABASE_BUSY', // deadlock detected
  '53': 'DATABASE_UNAVAILABLE', // insufficient resources
  '53100': 'DATABASE_FULL', // disk full
  '55P03': 'DATABASE_BUSY', // lock not available
  '57P': 'DATABASE_UNAVAILABLE', // shut down, crash, starting up, database dropped
  '58': 'DATABASE_UNAVAILABLE', // system error
  XX001: 'DATABASE_CORRUPT',
  XX002: 'DATABASE_CORRUPT',
};

const networkCodes = new Set(
  'ECONNREFUSED ECONNRESET ENOENT EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH ENOTFOUND EAI_AGAIN EACCES'.split(' '),
);

/** What node-postgres says without any code. */
const postgresMessages =
  /^(Connection terminated|Client has encountered a connection error|timeout expired|Query read timeout|timeout exceeded when trying to connect|Client was closed|the database system is)/;

interface Foreign extends Error {
  readonly code?: unknown;
  readonly errcode?: unknown;
}

export function translateDatabaseError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof CodedError) return error;
  const found = classify(error);
  if (found === undefined) return error;
  return storeErrors.error(found, describe(found, error), { cause: error });
}

function classify(error: Foreign): Class | undefined {
  // Extended SQLite codes carry the primary code in the low byte.
  if (typeof error.errcode === 'number') return sqliteClasses[error.errcode & 0xff];
  if (typeof error.code === 'string') {
    if (networkCodes.has(error.code)) return 'DATABASE_UNAVAILABLE';
    if (/^[0-9A-Z]{5}$/.test(error.code)) {
      const { code } = error;
      return postgresClasses[code] ?? postgresClasses[code.slice(0, 3)] ?? postgresClasses[code.slice(0, 2)];
    }
  }
  return postgresMessages.test(error.message) ? 'DATABASE_UNAVAILABLE' : undefined;
}

function describe(found: Class, error: Error): string {
  switch (found) {
    case 'DATABASE_UNAVAILABLE':
      return `the database does not answer: ${error.message}`;
    case 'DATABASE_BUSY':
      return `the database is held by another writer: ${error.message}`;
    case 'DATABASE_FULL':
      return `the disk of the database is full: ${error.message}`;
    case 'DATABASE_CORRUPT':
      return `the database is damaged: ${error.message}`;
  }
}

/** Another writer was in the way; the same transaction may succeed when it runs again. */
export function isConflict(error: unknown): boolean {
  return error instanceof CodedError && error.code === 'DATABASE_BUSY';
}

/** A unique or primary key already holds the value, on either database. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, errcode } = error as Foreign;
  // SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY; SQLSTATE unique_violation.
  return errcode === 2067 || errcode === 1555 || code === '23505';
}
