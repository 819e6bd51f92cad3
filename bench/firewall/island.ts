// How long after the word for island mode the last ordinary packet is accepted, over all devices of a site. Three devices in
// real namespaces, each with a peer that streams to it; the witness behind every filter says when the last datagram came.
// From the firewall's turn on: the way of an order over the network is not in it.
import { setTimeout as delay } from 'node:timers/promises';
import { addresses, firewallOn, grant, openCell, planWith, ports, sliceWith } from '../../test/firewall/cell.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, percentile } from '../machine.ts';

const DEVICES = 3;
/** Milliseconds after the word in which packets would still be seen, and in which flows begin again. */
const SETTLE_MS = 150;

async function openDevice() {
  const cell = await openCell();
  const firewall = await firewallOn(cell, 'plc');
  await cell.echo('plc', 'udp', ports.telemetry);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'telemetry')])));
  const flow = await cell.flow('gateway', 'udp', addresses.plc.cell, ports.telemetry);
  await flow.stream(1);
  const accepted = await cell.watch('plc', {
    match: `ip saddr ${addresses.gateway.cell} udp dport ${ports.telemetry}`,
  });
  return {
    firewall,
    accepted,
    close: async () => {
      await accepted.stop();
      await firewall[Symbol.asyncDispose]();
      await cell[Symbol.asyncDispose]();
    },
  };
}

type Device = Awaited<ReturnType<typeof openDevice>>;

/** Milliseconds from the word to the last packet that any of them accepted; and how many came after the settling. */
async function sample(devices: readonly Device[]): Promise<{ lastMs: number; late: number }> {
  const before = await Promise.all(devices.map(({ accepted }) => accepted.count()));
  await delay(SETTLE_MS);
  const flowing = await Promise.all(devices.map(({ accepted }) => accepted.count()));
  if (flowing.some((count, at) => count <= (before[at] ?? 0)))
    throw new Error('a stream has stopped: nothing to measure');
  const start = Date.now();
  await Promise.all(devices.map(({ firewall }) => firewall.island({ on: true })));
  await delay(SETTLE_MS);
  const counts = await Promise.all(devices.map(({ accepted }) => accepted.count()));
  const lastMs = Math.max(...devices.map(({ accepted }) => (accepted.times().at(-1) ?? start) - start));
  await delay(SETTLE_MS);
  const later = await Promise.all(devices.map(({ accepted }) => accepted.count()));
  await Promise.all(devices.map(({ firewall }) => firewall.island({ on: false })));
  return { lastMs, late: later.reduce((sum, count, at) => sum + count - (counts[at] ?? 0), 0) };
}

export async function measureIsland({ quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  const devices: Device[] = [];
  try {
    for (let n = 0; n < DEVICES; n++) devices.push(await openDevice());
    const samples: { lastMs: number; late: number }[] = [];
    for (let n = 0; n < (quick ? 10 : 100); n++) samples.push(await sample(devices));
    progress(`island mode: ${samples.length} times on ${DEVICES} devices`);
    const last = samples.map(({ lastMs }) => Math.max(0, lastMs));
    return [
      figure(
        {
          id: 'islandSiteP99Ms',
          unit: 'ms',
          goal: {
            relation: 'at most',
            value: 1_000,
            text: 'a site cuts everything but its safety interfaces within 1 s',
          },
        },
        percentile(last, 0.99) ?? Number.NaN,
        { n: last.length, devices: DEVICES, p50: percentile(last, 0.5) ?? null, max: Math.max(...last) },
      ),
      figure(
        { id: 'islandLatePackets', unit: 'packets', goal: { relation: 'exactly', value: 0, text: 'cuts everything' } },
        samples.reduce((sum, { late }) => sum + late, 0),
      ),
    ];
  } finally {
    for (const device of devices) await device.close();
  }
}
