// Revocation ends what is open, of every kind, and nothing else. Established TCP and why it is hard: quarantine.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { requires } from '../support/capabilities.ts';
import type { Flow } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { addresses, firewallOn, flowWays, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';
import type { Cell } from './cell.ts';

const { plc, gateway, camera } = addresses;
const grants = ['gateway', 'camera'].flatMap((subject) => [grant(subject, 'status'), grant(subject, 'telemetry')]);
const needs = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft', 'conntrack', 'tcpdump', 'ping');

/** Flows of one peer over both families: TCP and UDP, every other one busy. */
async function mixed(cell: Cell, from: 'gateway' | 'camera', count: number): Promise<{ tcp: Flow[]; udp: Flow[] }> {
  const flows = { tcp: [] as Flow[], udp: [] as Flow[] };
  for (let index = 0; index < count; index += 1) {
    const protocol = index % 2 === 0 ? 'tcp' : 'udp';
    const address = index % 4 < 2 ? plc.cell : plc.cell6;
    const flow = await cell.flow(from, protocol, address, protocol === 'tcp' ? ports.status : ports.telemetry);
    assert.equal(await flow.exchange(), 'answered');
    if (index % 8 < 4) await flow.stream(20);
    flows[protocol].push(flow);
  }
  return flows;
}

for (const [way, flowsOn] of Object.entries(flowWays)) {
  test(`${way}: of 200 flows all 100 of a revoked peer end, in both directions, and the other peer's 100 lose nothing`, async (t) => {
    if (!needs(t)) return;
    await using cell = await openCell();
    await using firewall = await firewallOn(cell, 'plc', { flows: flowsOn(cell, 'plc') });
    await serveAll(cell);
    await firewall.apply(planWith(sliceWith(grants)));
    const hostile = await mixed(cell, 'gateway', 100);
    const innocent = await mixed(cell, 'camera', 100);
    for (const [from, to] of [
      ['gateway', plc.cell],
      ['gateway', plc.cell6],
      ['plc', gateway.cell],
      ['plc', gateway.cell6],
    ] as const) {
      assert.equal(await cell.ping(from, to), true, `${from} to ${to}`);
    }
    const accepted = await Promise.all([
      cell.watch('plc', { match: `ip saddr ${gateway.cell}` }),
      cell.watch('plc', { match: `ip6 saddr ${gateway.cell6} meta l4proto { tcp, udp }` }),
      cell.watch('plc', { hook: 'output', match: `ip daddr ${gateway.cell} tcp flags & rst != rst` }),
      cell.watch('plc', { hook: 'output', match: `ip6 daddr ${gateway.cell6} tcp flags & rst != rst` }),
    ]);
    const counts = (): Promise<number[]> => Promise.all(accepted.map((watch) => watch.count()));
    await until('packets of every kind', async () => (await counts()).every((count) => count > 0));

    await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 1 });
    const before = await counts();
    // Nobody sends over half of them: the reset comes by itself.
    await until('a reset of every connection', async () =>
      (await reports(hostile.tcp)).every(({ state }) => state === 'reset'),
    );
    const answered = (await reports(hostile.udp)).map((report) => report.answered);
    for (const [from, to] of [
      ['gateway', plc.cell],
      ['gateway', plc.cell6],
      ['plc', gateway.cell],
      ['plc', gateway.cell6],
    ] as const) {
      assert.equal(await cell.ping(from, to), false, `${from} to ${to}`);
    }
    assert.deepEqual(await counts(), before);
    assert.deepEqual(
      (await reports(hostile.udp)).map((report) => report.answered),
      answered,
    );

    const others = [...innocent.tcp, ...innocent.udp];
    await Promise.all(others.map((flow) => flow.stream(0)));
    await until('every answer', async () => (await reports(others)).every((report) => report.answered === report.sent));
    assert.ok((await reports(others)).every(({ state }) => state === 'open'));
    for (const flow of others) assert.equal(await flow.exchange(), 'answered');
    assert.equal(await cell.ping('camera', plc.cell), true);
    assert.equal(await cell.ping('plc', camera.cell6), true);
    const { stdout } = await cell.exec('plc', ['conntrack', '-L']);
    assert.doesNotMatch(stdout, new RegExp(`${gateway.cell} `));
  });
}

const reports = (flows: readonly Flow[]) => Promise.all(flows.map((flow) => flow.report()));
