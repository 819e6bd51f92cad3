// Kysely over node:sqlite. One connection, taken by one query or transaction at a time: all writes are serialised here,
// and no stray statement lands inside somebody else's transaction.
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import {
  CompiledQuery,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
} from 'kysely';
import type { Clock } from '../runtime/clock.ts';
import { backoff } from '../runtime/tasks.ts';
import { refuseInsideTransaction, type Scopes } from './database.ts';
import { isConflict, translateDatabaseError } from './database-errors.ts';
import { storeErrors } from './errors.ts';
import { conflictBackoff, preparedStatements, sqliteBlockMs, sqliteBusyMs } from './limits.ts';

export function openSqlite(url: string, scopes: Scopes, clock: Clock): Dialect {
  const path = pathOf(url);
  return {
    // The driver has its own lock, which also notices a transaction that waits for itself.
    createAdapter: () =>
      new (class extends SqliteAdapter {
        override get supportsMultipleConnections(): boolean {
          return true;
        }
      })(),
    createDriver: () => createDriver(path, scopes, clock),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** `sqlite:///a/b.db` and `sqlite:/a/b.db` are absolute, `sqlite:a.db` is relative, `sqlite::memory:` is gone on close. */
function pathOf(url: string): string {
  const path = url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, '');
  if (path === '' || path.startsWith('//') || path.includes('\0')) {
    throw storeErrors.error('DATABASE_URL_INVALID', 'expected sqlite:///absolute/path/file.db');
  }
  return path;
}

function createDriver(path: string, scopes: Scopes, clock: Clock): Driver {
  let connection: SqliteConnection | undefined;
  let last: Promise<void> = Promise.resolve();
  const releases = new WeakMap<DatabaseConnection, () => void>();
  const run =
    (statement: string) =>
    async (held: DatabaseConnection): Promise<void> => {
      await held.executeQuery(CompiledQuery.raw(statement), {});
    };
  return {
    async init() {
      connection = new SqliteConnection(open(path), clock);
    },
    async acquireConnection() {
      refuseInsideTransaction(scopes);
      const before = last;
      const { promise, resolve } = Promise.withResolvers<void>();
      last = promise;
      await before;
      if (connection === undefined) {
        resolve();
        throw storeErrors.error('DATABASE_MISUSED', 'the database is closed');
      }
      releases.set(connection, resolve);
      return connection;
    },
    // IMMEDIATE takes the write lock at once, so a transaction never fails half-way because another process wrote.
    beginTransaction: run('begin immediate'),
    commitTransaction: run('commit'),
    // On a full disk SQLite has rolled back by itself; "no transaction is active" would hide why.
    rollbackTransaction: async (held) => {
      if (connection?.inTransaction) await run('rollback')(held);
    },
    async releaseConnection(held) {
      releases.get(held)?.();
    },
    async destroy() {
      await last;
      connection?.close();
      connection = undefined;
    },
  };
}

function open(path: string): DatabaseSync {
  try {
    // Token hashes and the log are nobody else's business; SQLite gives its other files the mode of this one.
    if (path !== ':memory:') closeSync(openSync(path, 'a', 0o600));
    const database = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: sqliteBlockMs });
    database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma trusted_schema = off;');
    return database;
  } catch (error) {
    throw translateDatabaseError(error);
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  /** In order of last use. */
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const deadline = this.#clock.monotonic() + sqliteBusyMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return this.#execute<R>(query);
      } catch (error) {
        const coded = translateDatabaseError(error);
        // Only the SQLite lock of another process; a transaction of ours never meets itself.
        if (!isConflict(coded) || this.#clock.monotonic() > deadline) throw coded;
        await this.#clock.sleep(backoff(attempt, conflictBackoff));
      }
    }
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    // A statement of its own: a cached one could be started again while this one is read.
    const statement = this.#database.prepare(query.sql);
    for (const row of statement.iterate(...query.parameters.map(toSqlite))) yield { rows: [fromSqlite(row) as R] };
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #execute<R>(query: CompiledQuery): QueryResult<R> {
    const statement = this.#prepare(query.sql);
    const parameters = query.parameters.map(toSqlite);
    if (statement.columns().length > 0) {
      return { rows: statement.all(...parameters).map((row) => fromSqlite(row) as R) };
    }
    const { changes, lastInsertRowid } = statement.run(...parameters);
    return { insertId: BigInt(lastInsertRowid), numAffectedRows: BigInt(changes), rows: [] };
  }

  #prepare(text: string): StatementSync {
    const cached = this.#statements.get(text);
    const statement = cached ?? this.#database.prepare(text);
    this.#statements.delete(text);
    this.#statements.set(text, statement);
    if (this.#statements.size > preparedStatements) {
      for (const oldest of this.#statements.keys()) {
        this.#statements.delete(oldest);
        break;
      }
    }
    return statement;
  }
}

function toSqlite(value: unknown): SQLInputValue {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value === undefined) return null;
  // SQLite would store 1.0 for a number out of the integer range; PostgreSQL refuses it, so do we.
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw storeErrors.error('DATABASE_MISUSED', `${value} cannot be stored`);
  }
  return value as SQLInputValue;
}

/** Rows look as those of node-postgres: plain objects, bytes as Buffer. */
function fromSqlite(row: Record<string, unknown>): Record<string, unknown> {
  const plain: Record<string, unknown> = { ...row };
  for (const name in plain) {
    const value = plain[name];
    if (value instanceof Uint8Array) plain[name] = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  return plain;
}
