// The database of the control plane is gone or full: answers with a code, edges that go on, and everything there when
// it is back.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSite, type Site } from '../scenario/site.ts';
import { until } from '../support/until.ts';
import { checkByEnvoy } from '../scenario/proxies.ts';
import { requires } from '../support/capabilities.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { mountSmallDisk } from './disk.ts';
import { delivered, startLoad, storedOnce } from './load.ts';

async function startEdge(site: Site): Promise<void> {
  await Promise.all([site.enroll('hmi-1'), site.enroll('gateway-1')]);
  await site.startEdge('hmi-1');
  const question = { interface: 'hmi-web', path: '/status', chain: site.paths.chain('gateway-1') };
  await until('the edge decides', async () => (await checkByEnvoy(site.paths.grpcSocket('hmi-1'), question)).allow);
}

/** Exit code of a command that needs the database, and its error. */
async function commandRefused(site: Site): Promise<[number, string | undefined]> {
  const args = ['token', 'create', 'plc-1', '--identity', site.paths.admin];
  const { code, document } = await site.tryCommand<{ error?: { code: string } }>(args);
  return [code, document.error?.code];
}

const createToken = async (site: Site): Promise<boolean> =>
  (await site.operators.createToken({ deviceId: 'plc-1' })).joinLine !== '';

test('PostgreSQL stopped and started again: UNAVAILABLE with its code, edges go on, nothing is lost', async (t) => {
  if (!requires(t, 'postgres')) return;
  const server = await startPostgres();
  await server.execute('create database control');
  await using site = await createSite({ database: server.url('control') });
  await startEdge(site);
  const load = startLoad(site, 'hmi-1');
  await until('deliveries are under way', async () => (await site.status('hmi-1')).spool.acknowledged > 20);

  await server.stop();
  assert.deepEqual(await commandRefused(site), [3, 'DATABASE_UNAVAILABLE']);
  await assert.rejects(site.operators.listTokens({}), { code: 'DATABASE_UNAVAILABLE', status: 'UNAVAILABLE' });
  const { acknowledged } = (await site.status('hmi-1')).spool;
  const before = load.decided.length;
  await until('the edge goes on deciding', async () => load.decided.length > before + 50);
  assert.equal(
    (await site.status('hmi-1')).spool.acknowledged,
    acknowledged,
    'nothing is acknowledged that is not committed',
  );

  await server.start();
  await until('operators are served again', async () => await createToken(site));
  const decided = await load.stop();
  await delivered(site, 'hmi-1');
  await storedOnce(site, 'hmi-1', decided);
  assert.equal((await site.status('hmi-1')).spool.lost, 0);
  await site.enroll('plc-1');
  await server.stop();
});

test('SQLite on a full disk: a code that says so, edges go on, nothing is lost', async (t) => {
  if (!requires(t, 'root', 'tmpfs')) return;
  await using disks = new AsyncDisposableStack();
  const folder = join('/tmp', `ews-db-${process.pid}`);
  const disk = disks.use(await mountSmallDisk(folder, '24m'));
  await using site = await createSite({ database: `sqlite://${join(folder, 'control.db')}` });
  await startEdge(site);
  const load = startLoad(site, 'hmi-1');
  await until('deliveries are under way', async () => (await site.status('hmi-1')).spool.acknowledged > 20);

  disk.fill();
  // What fits into pages that are there already may still succeed; the next ones do not.
  await until('the full disk is said', async () => {
    try {
      await createToken(site);
      return false;
    } catch (error) {
      return (error as { code?: string }).code === 'DATABASE_FULL';
    }
  });
  assert.deepEqual(await commandRefused(site), [1, 'DATABASE_FULL']);
  const before = load.decided.length;
  await until('the edge goes on deciding', async () => load.decided.length > before + 50);
  assert.ok((await site.operators.listTokens({})).tokens.length > 0, 'what is stored can be read');

  disk.empty();
  await until('operators are served again', async () => await createToken(site));
  const decided = await load.stop();
  await delivered(site, 'hmi-1');
  await storedOnce(site, 'hmi-1', decided);
  assert.equal((await site.status('hmi-1')).spool.lost, 0);
});
