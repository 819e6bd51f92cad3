// Runs one suite on every database we support: SQLite in a file, and a throw-away PostgreSQL.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase, type Database } from '../../store/database.ts';
import { hasCapability } from './capabilities.ts';
import { startPostgres, type PostgresServer } from './postgres-server.ts';

export type OpenDatabase = () => Promise<Database>;
/** URL of a fresh, empty database; for suites that open it more than once. */
export type FreshUrl = () => Promise<string>;

export function forEachDatabase(
  suite: (name: 'SQLite' | 'PostgreSQL', open: OpenDatabase, freshUrl: FreshUrl) => void,
): void {
  suite(
    'SQLite',
    async () => openDatabase(sqliteUrl()),
    async () => sqliteUrl(),
  );
  if (!hasCapability('postgres')) {
    test('the same on PostgreSQL', (t) => t.skip('requires postgres'));
    return;
  }
  suite('PostgreSQL', async () => openDatabase(await postgresUrl()), postgresUrl);
}

let folder: string | undefined;
let count = 0;

function sqliteUrl(): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'edgeward-sqlite-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return `sqlite://${join(folder, `${++count}.db`)}`;
}

let server: Promise<PostgresServer> | undefined;

/** The PostgreSQL of this test process, started when first asked for. */
export function sharedPostgres(): Promise<PostgresServer> {
  return (server ??= startPostgres());
}

async function postgresUrl(): Promise<string> {
  const postgres = await sharedPostgres();
  const name = `t${++count}`;
  // Copying the template is faster than logging it, where nothing is synced.
  await postgres.execute(`create database ${name} strategy=file_copy`);
  return postgres.url(name);
}
