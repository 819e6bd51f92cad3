// Rules by name, with a name server of the cell: it answers, changes its answer, dies, and lies. The edge's own questions
// leave from the PLC's namespace, through its rules.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { NewEvent } from '../../audit/spool/index.ts';
import type { Answer } from '../../bin/edge/ask-names.ts';
import { openResolvedNames } from '../../bin/edge/resolved-names.ts';
import { compileFirewall } from '../../enforcer/firewall/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { requires } from '../support/capabilities.ts';
import { addresses, firewallOn, host, openCell, ports, sliceWith, trusted } from './cell.ts';

const name = 'updates.vendor.example';
const resolver = addresses.gateway.cell;
/** Outside the inventory of this test. */
const [first, second] = [addresses.camera.cell, addresses.historian.plant];
const graceMs = 1_500;

const slice = sliceWith([], {
  devices: sliceWith([]).devices.filter(({ id }) => id === 'plc' || id === 'gateway'),
  firewall: [
    {
      id: 'updates',
      tier: 'admin',
      priority: 1,
      verdict: 'allow',
      direction: 'out',
      transport: 'tcp',
      peers: [],
      names: [name],
      ports: [ports.status, ports.control],
      place: 'firewall/updates.yaml:3',
    },
  ],
});

test('a name opens what it resolves to: it changes, its server dies and the flow goes on, and lies open nothing', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const folder = mkdtempSync(join(tmpdir(), 'resolved-names-'));
  const stop = new AbortController();
  t.after(() => {
    stop.abort();
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'names.json');
  const says = (address: string): void => writeFileSync(file, JSON.stringify({ [name]: address }));
  says(first);
  const server = cell.spawn('gateway', [process.execPath, join(import.meta.dirname, 'name-server.ts'), resolver, file]);
  await Promise.all([
    cell.echo('camera', 'tcp', ports.status),
    cell.echo('historian', 'tcp', ports.status),
    cell.echo('gateway', 'tcp', ports.status),
    cell.echo('control', 'tcp', ports.control),
  ]);
  const events: NewEvent[] = [];
  const names = await openResolvedNames({
    config: { state: folder, firewall: { dns: [resolver] } },
    fs: nodeFiles,
    clock: systemClock,
    now: Date.now,
    random: Math.random,
    log: createLogger({ name: 'test', level: 'silent' }),
    emit: async (event) => void events.push(event),
    control: () => [addresses.control.cell],
    own: () => [addresses.plc.cell, addresses.plc.plant],
    ask: async (asked, family): Promise<readonly Answer[]> => {
      const argv = [process.execPath, join(import.meta.dirname, 'ask-name.ts'), resolver, asked, String(family)];
      const { code, stdout, stderr } = await cell.exec('plc', argv);
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as Answer[];
    },
    limits: { minAnswerMs: 200, maxAnswerMs: 300, graceMs },
  });
  let plans = 0;
  const plan = async (): Promise<void> => {
    const state = { epoch: firewall.nextEpoch(), now: Date.now(), ordersSequence: 0, states: trusted };
    const resolved = names.addresses(slice);
    await firewall.apply(compileFirewall(slice, state, { ...host, dns: [resolver], resolved }));
    plans += 1;
  };
  await plan();
  let applying = Promise.resolve();
  const task = names.follow(
    () => slice,
    () => {
      applying = applying.then(plan);
    },
  );
  assert.notEqual(await cell.probeTcp('plc', first, ports.status), 'open', 'before an answer');
  const running = task(stop.signal);

  await until(() => cell.probeTcp('plc', first, ports.status), 'open');
  assert.notEqual(await cell.probeTcp('plc', second, ports.status), 'open');
  const flow = await cell.flow('plc', 'tcp', first, ports.status);
  assert.equal(await flow.exchange(), 'answered');

  // Another answer: both hold until the grace time is over, then the flow to the old one ends.
  says(second);
  await until(() => cell.probeTcp('plc', second, ports.status), 'open');
  assert.equal(await flow.exchange(), 'answered', 'in its grace time');
  await until(() => flow.exchange(400), 'reset', 'silent');
  assert.notEqual(await cell.probeTcp('plc', first, ports.status), 'open');
  assert.ok(plans >= 3, `${plans} plans`);

  // Its server lies: a device, the control plane, the PLC itself.
  const kept = await cell.flow('plc', 'tcp', second, ports.status);
  for (const [address, port] of [
    [addresses.gateway.cell, ports.status],
    [addresses.control.cell, ports.status],
    ['127.0.0.1', ports.status],
  ] as const) {
    says(address);
    await until(async () => events.some(({ data }) => data['address'] === address), true);
    await applying;
    if (address !== '127.0.0.1') assert.notEqual(await cell.probeTcp('plc', address, port), 'open', address);
  }
  // And dies: what was answered last holds, beyond the grace time.
  await server.stop('SIGKILL');
  await delay(2 * graceMs);
  await applying;
  assert.equal(await kept.exchange(), 'answered');
  assert.equal(await cell.probeTcp('plc', second, ports.status), 'open', 'a new flow too');
  stop.abort();
  await running;
  assert.deepEqual(
    events.filter(({ activity }) => activity === 'name-refused').map(({ data }) => data['reason']),
    ['it is the device gateway', 'it is the control plane', 'it is a loopback address'],
  );
});

async function until<T>(ask: () => Promise<T>, ...wanted: T[]): Promise<void> {
  for (let left = 60; left > 0; left -= 1) {
    if (wanted.includes(await ask())) return;
    await delay(200);
  }
  assert.fail(`never ${wanted.join(' or ')}`);
}
