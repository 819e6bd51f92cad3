// Kysely over node-postgres: a bounded pool that survives the loss of the server, and the same value types as SQLite.
import { PostgresDialect, type Dialect, type PostgresPool, type PostgresPoolClient } from 'kysely';
import pg from 'pg';
import type { Logger } from '../runtime/log.ts';
import { refuseInsideTransaction, type Scopes } from './database.ts';
import { translateDatabaseError } from './database-errors.ts';
import { storeErrors } from './errors.ts';
import { postgresConnections, postgresConnectMs, postgresQueryMs, postgresStatementMs } from './limits.ts';

/** pg_type OIDs. */
const oidInt8 = 20;
const oidNumeric = 1700;

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format: 'text' | 'binary') => {
    if (oid === oidInt8 || oid === oidNumeric) return safeNumber;
    return format === 'binary' ? pg.types.getTypeParser(oid, 'binary') : pg.types.getTypeParser(oid, 'text');
  }) as pg.CustomTypesConfig['getTypeParser'],
};

function safeNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw storeErrors.error('DATABASE_MISUSED', `${text} is not a safe integer`);
  }
  return value;
}

export function openPostgres(url: string, scopes: Scopes, log: Logger | undefined): Dialect {
  // The URL parser of node-postgres would put the URL, with its password, into its error.
  if (!URL.canParse(url)) throw storeErrors.error('DATABASE_URL_INVALID', 'the postgres: URL cannot be read');
  const pool = new pg.Pool({
    connectionString: url,
    types,
    max: postgresConnections,
    connectionTimeoutMillis: postgresConnectMs,
    statement_timeout: postgresStatementMs,
    query_timeout: postgresQueryMs,
    keepAlive: true,
    application_name: 'edgeward',
  });
  // Without listeners the loss of a connection would end the process; the pool replaces it on the next query.
  pool.on('error', (err) => log?.warn({ err }, 'lost an idle database connection'));
  pool.on('connect', (client) => {
    client.on('error', (err: unknown) => log?.debug({ err }, 'database connection failed'));
  });
  return new PostgresDialect({ pool: translating(pool, scopes) });
}

/** The part of the pool that Kysely uses, with our errors. */
function translating(pool: pg.Pool, scopes: Scopes): PostgresPool {
  const known = new WeakMap<pg.PoolClient, PostgresPoolClient>();
  return {
    async connect() {
      refuseInsideTransaction(scopes);
      let client: pg.PoolClient;
      try {
        client = await pool.connect();
      } catch (error) {
        throw translateDatabaseError(error);
      }
      // Kysely keeps state per client object, so a client has one face.
      const face = known.get(client) ?? translatingClient(client);
      known.set(client, face);
      return face;
    },
    end: () => pool.end(),
    options: pool.options,
  };
}

function translatingClient(client: pg.PoolClient): PostgresPoolClient {
  return {
    async query(text: string, parameters: readonly unknown[]) {
      try {
        return await client.query(text, parameters.map(toPostgres));
      } catch (error) {
        throw translateDatabaseError(error);
      }
    },
    release: (error?: boolean | Error) => client.release(error),
  } as unknown as PostgresPoolClient;
}

function toPostgres(value: unknown): unknown {
  // Bytes of any view; node-postgres sends only Buffers as bytea without a detour.
  if (value instanceof Uint8Array && !Buffer.isBuffer(value)) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  return value;
}
