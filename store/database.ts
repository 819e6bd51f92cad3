// One door to SQLite (default) and PostgreSQL (by URL): Kysely for queries, the same types and errors from both.
// Portable columns: text, bigint (JavaScript numbers; unsafe ones are refused), binary(). Booleans are 0 and 1.
import { AsyncLocalStorage } from 'node:async_hooks';
import { Kysely, PostgresAdapter, sql, type Dialect, type ColumnDataType } from 'kysely';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { backoff } from '../runtime/tasks.ts';
import type { Logger } from '../runtime/log.ts';
import { conflictRetries, conflictBackoff } from './limits.ts';
import { isConflict, translateDatabaseError } from './database-errors.ts';
import { openPostgres } from './postgres.ts';
import { openSqlite } from './sqlite.ts';
import { storeErrors } from './errors.ts';

export type DialectName = 'sqlite' | 'postgres';

export interface TransactionOptions {
  /** PostgreSQL only; SQLite has one writer. Default serializable. */
  readonly isolation?: 'serializable' | 'read committed';
}

export type Database = {
  readonly dialect: DialectName;
  readonly kysely: Kysely<Record<string, never>>;
  /** The same connection, seen as holding the tables of `T`. */
  withTables<T>(): Kysely<T>;
  /**
   * All of `fn`, or nothing. When concurrent writers conflict, `fn` runs again (bounded), so it must have no effects
   * outside the database. Inside it, use only `trx`: the outer handle is refused there.
   */
  transaction<T, R>(fn: (trx: Kysely<T>) => Promise<R>, options?: TransactionOptions): Promise<R>;
  close(): Promise<void>;
};

export interface DatabaseOptions {
  readonly log?: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** Where a transaction runs, its queries must go through `trx`; anything else would wait for itself (SQLite) or escape it. */
export interface TransactionScope {
  open: boolean;
}
export type Scopes = AsyncLocalStorage<TransactionScope>;

/** `sqlite:///path/file.db`, `sqlite::memory:` or `postgres://…`. Resolves when the database has answered once. */
export async function openDatabase(url: string, options: DatabaseOptions = {}): Promise<Database> {
  const scopes: Scopes = new AsyncLocalStorage();
  const [dialect, kyselyDialect] = dialectOf(url, scopes, options);
  const kysely = new Kysely<Record<string, never>>({ dialect: kyselyDialect });
  const database = createDatabase(dialect, kysely, scopes, options);
  try {
    await sql`select 1`.execute(kysely);
  } catch (error) {
    await kysely.destroy().catch(() => undefined);
    throw translateDatabaseError(error);
  }
  return database;
}

function dialectOf(url: string, scopes: Scopes, options: DatabaseOptions): [DialectName, Dialect] {
  if (url.startsWith('sqlite:')) return ['sqlite', openSqlite(url, scopes, options.clock ?? systemClock)];
  if (/^postgres(ql)?:\/\//.test(url)) return ['postgres', openPostgres(url, scopes, options.log)];
  const scheme = /^[a-z]+:/i.exec(url)?.[0] ?? 'no scheme';
  throw storeErrors.error('DATABASE_URL_INVALID', `expected a sqlite: or postgres: URL, found ${scheme}`);
}

function createDatabase(
  dialect: DialectName,
  kysely: Kysely<Record<string, never>>,
  scopes: Scopes,
  options: DatabaseOptions,
): Database {
  const { clock = systemClock, random = Math.random } = options;

  async function once<T, R>(
    fn: (trx: Kysely<T>) => Promise<R>,
    isolation: TransactionOptions['isolation'],
  ): Promise<R> {
    let builder = kysely.transaction();
    if (dialect === 'postgres') builder = builder.setIsolationLevel(isolation ?? 'serializable');
    return builder.execute(async (trx) => {
      const scope = { open: true };
      try {
        return await scopes.run(scope, () => fn(trx as unknown as Kysely<T>));
      } finally {
        scope.open = false;
      }
    });
  }

  return {
    dialect,
    kysely,
    withTables: <T>() => kysely as unknown as Kysely<T>,
    async transaction(fn, transactionOptions = {}) {
      for (let attempt = 0; ; attempt++) {
        try {
          return await once(fn, transactionOptions.isolation);
        } catch (error) {
          // SQLite has waited for its lock already.
          if (dialect === 'sqlite' || !isConflict(error) || attempt >= conflictRetries) throw error;
          await clock.sleep(backoff(attempt, conflictBackoff, random));
        }
      }
    },
    close: () => kysely.destroy(),
  };
}

/** Throws when called inside a transaction of the same database: the caller used the outer handle. */
export function refuseInsideTransaction(scopes: Scopes): void {
  if (scopes.getStore()?.open) {
    throw storeErrors.error('DATABASE_MISUSED', 'a query inside a transaction did not go through its trx');
  }
}

/** Column type for bytes; rows carry Buffers. */
export function binary(db: Pick<Kysely<never>, 'getExecutor'> | { readonly dialect: DialectName }): ColumnDataType {
  const postgres = 'dialect' in db ? db.dialect === 'postgres' : db.getExecutor().adapter instanceof PostgresAdapter;
  return postgres ? 'bytea' : 'blob';
}
