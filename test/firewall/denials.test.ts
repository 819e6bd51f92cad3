// Denied packets arrive as events that name the rule, the place and the device, and every packet is accounted for.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import type { FirewallPlan } from '../../enforcer/firewall/index.ts';
import { requires } from '../support/capabilities.ts';
import type { NetProcess } from '../support/netns.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, sliceWith } from './cell.ts';
import type { Cell } from './cell.ts';

const { plc } = addresses;
const BURST = 20_000;

interface Edge {
  readonly process: NetProcess;
  readonly directory: string;
}

async function startEdge(cell: Cell, plan: FirewallPlan, ...more: string[]): Promise<Edge> {
  const directory = await mkdtemp(join(tmpdir(), 'firewall-'));
  const program = join(import.meta.dirname, 'edge-process.ts');
  const input = JSON.stringify(plan);
  const edge = cell.spawn('plc', [process.execPath, program, directory, ...more], { input });
  await edge.waitFor(/in force/);
  return { process: edge, directory };
}

function eventsOf(edge: Edge): NewEvent[] {
  return edge.process
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as NewEvent);
}

const sum = (events: readonly NewEvent[], field: 'count' | 'lost'): number =>
  events.reduce((total, event) => total + Number(event.data[field] ?? 0), 0);

async function kernelDrops(cell: Cell): Promise<number> {
  await using firewall = await firewallOn(cell, 'plc');
  return (await firewall.status()).denied['default-in'] ?? 0;
}

test(`${BURST} denied datagrams: every one is in an event, with rule, device and addresses`, async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  const edge = await startEdge(cell, planWith(sliceWith([grant('gateway', 'status')])));
  assert.equal(await cell.agent('camera').burst(plc.cell, ports.telemetry, BURST), BURST);
  const dropped = await kernelDrops(cell);
  await edge.process.stop();
  await rm(edge.directory, { recursive: true });

  const events = eventsOf(edge).filter((event) => event.kind === 'packet');
  const denials = events.filter(
    (event) => event.activity === 'deny' && event.data['destination_port'] === ports.telemetry,
  );
  const lost = sum(
    events.filter((event) => event.activity === 'lost'),
    'lost',
  );
  assert.equal(sum(denials, 'count') + lost, BURST, `${lost} lost`);
  assert.ok(dropped >= BURST);
  assert.ok(denials.length < 60, `${denials.length} events for ${BURST} packets`);
  const [{ data } = { data: {} }] = denials;
  assert.deepEqual(
    { ...data, count: 0, source_port: 0 },
    {
      rule: 'default-in',
      place: '',
      decision: 'deny',
      subject: 'camera',
      in_interface: 'eth0',
      source_mac: '02:00:00:00:00:05',
      source_ip: addresses.camera.cell,
      destination_ip: plc.cell,
      protocol: 'udp',
      source_port: 0,
      destination_port: ports.telemetry,
      count: 0,
    },
  );
});

test('what a full receive buffer loses is counted exactly', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  // A buffer for a few packets, and a reader that cannot run while the burst is on.
  const edge = await startEdge(cell, planWith(sliceWith([])), '4096');
  edge.process.child.kill('SIGSTOP');
  assert.equal(await cell.agent('camera').burst(plc.cell, ports.telemetry, BURST), BURST);
  const dropped = await kernelDrops(cell);
  edge.process.child.kill('SIGCONT');
  await edge.process.waitFor(/"count":/);
  // Lost packets are told apart from received ones by the number of the next packet that comes through.
  assert.equal(await cell.agent('camera').burst(plc.cell, ports.telemetry, 1), 1);
  await edge.process.waitFor(/"lost":/);
  await edge.process.stop();
  await rm(edge.directory, { recursive: true });
  const events = eventsOf(edge).filter((event) => event.kind === 'packet');
  const received = sum(
    events.filter((event) => event.activity === 'deny'),
    'count',
  );
  const lost = sum(
    events.filter((event) => event.activity === 'lost'),
    'lost',
  );
  assert.ok(lost > BURST / 2, `${lost} lost`);
  const after = dropped + 1;
  assert.ok(Math.abs(received + lost - after) <= 3, `${received} received + ${lost} lost, ${after} dropped`);
});

test('the rules stay in force when the process is killed, and a new process takes them over unchanged', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await cell.echo('plc', 'tcp', ports.status);
  const plan = planWith(sliceWith([grant('gateway', 'status')]));
  const edge = await startEdge(cell, plan);
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  await edge.process.stop('SIGKILL');
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'silent');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  assert.equal(await flow.exchange(), 'answered');
  const again = await startEdge(cell, plan);
  assert.equal(await flow.exchange(), 'answered');
  await again.process.stop();
  for (const { directory } of [edge, again]) await rm(directory, { recursive: true });
});
