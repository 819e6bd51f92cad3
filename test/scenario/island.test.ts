// Island mode on real programs, without root: a site by order, a device by hand, also while its edge is dead or the cloud
// is away; in the answers, in the status, in the list of devices and in the log.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../support/until.ts';
import { checkByEnvoy } from './proxies.ts';
import { createSite, type EdgeName, edgeNames, type Site } from './site.ts';

/** The panel's /status becomes a safety operation; / stays what it was. */
const withSafety = (text: string): string =>
  text.replace(
    '        paths: [/, /status]\n',
    '        paths: [/]\n      watch:\n        methods: [GET]\n        paths: [/status]\n        class: safety\n',
  );
const both = (text: string): string => text.replace('    operations: [view]\n', '    operations: [view, watch]\n');
const local = (name: EdgeName, site: Site, action: 'on' | 'off', reason = 'smoke') =>
  ['edge', 'island', action, '--config', site.paths.edgeConfig(name), '--reason', reason] as const;

interface IslandAnswer {
  readonly running: boolean;
  readonly island: { readonly active: boolean; readonly entries: readonly { cause: string; reason: string }[] };
}

test('a site is cut and comes back, by order and by hand', { timeout: 240_000 }, async () => {
  await using site = await createSite({
    policy: { 'interfaces/hmi.yaml': withSafety, 'grants/cell.yaml': both },
  });
  for (const name of edgeNames) await site.enroll(name);
  await Promise.all(edgeNames.map(site.startEdge));
  const gateway = site.paths.chain('gateway-1');
  const asks = async (socket: string, path: string): Promise<boolean> =>
    // A socket that nobody answers on yet is a denial, to a proxy too.
    await checkByEnvoy(socket, { interface: 'hmi-web', path, chain: gateway }).then(
      ({ allow }) => allow,
      () => false,
    );
  const allowed = async (): Promise<string> => {
    const socket = site.paths.grpcSocket('hmi-1');
    const answers = [await asks(socket, '/'), await asks(socket, '/status')];
    return answers.map((allow) => (allow ? 'yes' : 'no')).join(' ');
  };
  const [open, island] = ['yes yes', 'no yes'];
  const becomes = async (wanted: string): Promise<void> =>
    void (await until(`answers are ${wanted}`, async () => (await allowed()) === wanted));
  const listed = async (name: EdgeName) => (await site.operators.listDevices({ deviceId: name })).devices[0];
  const lists = async (name: EdgeName, wanted: string): Promise<void> =>
    void (await until(`${name} is listed as ${wanted}`, async () => (await listed(name))?.island === wanted, 40_000));
  await becomes(open);

  // By order, for the site; the edge denies before it acknowledges.
  const ordered = await site.admin<{ deviceIds: string[] }>(
    'site',
    'island',
    '--site',
    'plant-a',
    '--reason',
    'attack',
  );
  assert.deepEqual(ordered.deviceIds, ['gateway-1', 'hmi-1', 'plc-1']);
  assert.equal((await listed('hmi-1'))?.islandOrdered, true);
  await becomes(island);
  await lists('hmi-1', 'ordered');
  const refused = await site.tryCommand<{ error: { code: string } }>(local('hmi-1', site, 'off'));
  assert.deepEqual([refused.code, refused.document.error.code], [1, 'ISLAND_ORDERED']);
  await site.stop('hmi-1', 'SIGKILL');
  const dead = await site.tryCommand<{ error: { code: string } }>(local('hmi-1', site, 'off'));
  assert.equal(dead.document.error.code, 'ISLAND_ORDERED', 'nor while the edge is dead');
  await site.startEdge('hmi-1');
  await becomes(island);
  await site.admin('site', 'rejoin', '--device', 'hmi-1', '--reason', 'over');
  await becomes(open);
  await lists('hmi-1', '');

  // By hand, with the cloud away.
  await site.stop('control');
  const on = await site.command<IslandAnswer>(local('hmi-1', site, 'on'));
  assert.deepEqual([on.running, on.island.entries[0]?.cause], [true, 'local']);
  assert.equal(await allowed(), island, 'when the command ends');
  const status = (await site.status('hmi-1')) as unknown as { island: IslandAnswer['island'] };
  assert.equal(status.island.entries[0]?.reason, 'smoke');
  await site.stop('hmi-1', 'SIGKILL');
  const off = await site.command<IslandAnswer>(local('hmi-1', site, 'off', 'false alarm'));
  assert.deepEqual([off.running, off.island.active], [false, false]);
  await site.command(local('hmi-1', site, 'on', 'no, it burns'));
  await site.startEdge('hmi-1');
  await becomes(island);

  // The cloud hears who, why and when, and ends it.
  await site.startControl();
  await lists('hmi-1', 'local');
  const events = (await site.events({ device: 'hmi-1', kind: 'order' })).filter(({ activity }) =>
    activity.startsWith('island-'),
  );
  assert.deepEqual(
    events.map(
      ({ activity, data }) => `${activity} ${data['source'] as string} ${(data['reason'] as string | undefined) ?? ''}`,
    ),
    [
      'island-on order attack',
      'island-refuse local smoke',
      'island-off order ',
      'island-on local smoke',
      'island-off local false alarm',
      'island-on local no, it burns',
    ],
  );
  await site.admin('site', 'rejoin', '--device', 'hmi-1', '--reason', 'the fire is out');
  await becomes(open);
});
