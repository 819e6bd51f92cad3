// From no policy to one, without a machine that stops: interfaces look on, what they saw is written into the repository, and
// published without observe mode it lets the same clients go on, and nobody else.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import type { NetProcess } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { type Cell, openCell } from './machines/cell.ts';
import { type Clients, clientsOn } from './machines/clients.ts';
import { observingPolicy, writeWaiver } from './machines/policy.ts';
import { proxies, startServers } from './machines/servers.ts';

test('observed, learned, enforced: the same clients go on', { timeout: 240_000 }, async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'mosquitto', 'mosquitto-clients', 'pymodbus', 'mbpoll', 'curl')) return;
  if (!requires(t, 'openssl', 'nginx')) return;
  await using cell = await openCell(proxies, observingPolicy());
  const servers = await startServers(cell.net, cell.scratch);
  await using _broker = servers.broker;
  const clients = clientsOn(cell.net);

  // Nobody is granted anything, and only the page, which does not look on, refuses.
  const numbers = clients.publishNumbers('sensor-1', 'cell/sensor-1/temperature');
  const panel = clients.subscribe('panel-1', 0, '5', 'cell/sensor-1/#');
  await worksAsEver(clients);
  assert.doesNotMatch((await clients.getPage('panel-1', 0, '/status')).text, /running/);
  await until('it hears', async () => await Promise.resolve(heard(panel).length > 10));
  await wouldHaveBeen(cell);

  await learn(cell);
  await worksAsEver(clients);
  await nothingElse(clients);
  await until('it still hears', async () => await Promise.resolve(heard(panel).at(-1) === numbers.last()));
  await numbers.stop();
  const all = heard(panel);
  assert.deepEqual(
    all,
    all.map((_, at) => (all[0] ?? 0) + at),
    'its stream went on',
  );
});

const heard = (subscriber: NetProcess): number[] =>
  [...subscriber.output().matchAll(/^cell\/sensor-1\/temperature (\d+)$/gm)].map(([, number]) => Number(number));

async function worksAsEver(clients: Clients): Promise<void> {
  assert.equal((await clients.publish('robot-1', 1, '5', 'cell/robot-1/mode', 'auto')).code, 0);
  assert.match((await clients.readRegister('panel-1', 0, 3)).text, /\[3\]:\s+7/);
  assert.match((await clients.writeRegister('robot-1', 1, 5, 40)).text, /Written 1 references/);
  assert.equal((await clients.getPicture('panel-1', 1, 'camera.plant.example')).text, 'picture /one\n');
}

async function wouldHaveBeen(cell: Cell): Promise<void> {
  for (const [kind, subject, wanted] of [
    ['mqtt', 'robot-1', { topic: 'cell/robot-1/mode' }],
    ['mqtt', 'panel-1', { topic: 'cell/sensor-1/#' }],
    ['modbus', 'robot-1', { function_code: 6, address: 5 }],
    ['modbus', 'panel-1', { function_code: 3, address: 3 }],
    ['tls', 'panel-1', { server_name: 'camera.plant.example' }],
  ] as const) {
    await until(`what ${subject} would have been refused over ${kind}`, async () =>
      (await cell.events(kind)).some(
        ({ data }) =>
          data['subject'] === subject &&
          data['observed'] !== undefined &&
          Object.entries(wanted).every(([key, value]) => data[key] === value),
      ),
    );
  }
}

/** As an operator does: the proposal into the repository, the observed interfaces out of it, waivers for who writes. */
async function learn(cell: Cell): Promise<void> {
  await cell.command('gateway-1', ['edge', 'learned', '--config', cell.edgeConfig, '--write', cell.repository]);
  rmSync(join(cell.repository, 'interfaces/observed.yaml'));
  const ids = [...cell.read('grants/learned.yaml').matchAll(/id: "?([a-z0-9.-]+)/g)].map(([, id]) => id ?? '');
  const writing = ids.filter((id) => /(robot|sensor)-1-(broker|registers)/.test(id));
  await cell.enforce({ 'waivers/learned.yaml': `waivers:\n${writing.map(writeWaiver).join('')}` }, 'as it was seen');
}

async function nothingElse(clients: Clients): Promise<void> {
  // Clients that were not seen.
  assert.notEqual((await clients.publish('press-1', 0, '5', 'cell/robot-1/mode', 'auto')).code, 0);
  assert.doesNotMatch((await clients.readRegister('press-1', 0, 3)).text, /\[3\]/);
  assert.notEqual((await clients.getPicture('press-1', 0, 'camera.plant.example')).code, 0);
  // What was not seen of those that were.
  assert.match((await clients.publish('robot-1', 1, '5', 'cell/press-1/mode', 'auto')).text, /not authori[sz]ed/i);
  assert.match((await clients.writeRegister('robot-1', 1, 6, 40)).text, /Illegal function/);
  assert.match((await clients.writeRegister('panel-1', 0, 5, 40)).text, /Illegal function/);
  assert.notEqual((await clients.getPicture('panel-1', 1, 'other.plant.example')).code, 0);
}
