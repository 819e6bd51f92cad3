// The number of connections of a rule, by peer: those beyond it are dropped, and so are those that cannot be counted,
// because the set of counted peers is full.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FirewallPlan } from '../../enforcer/firewall/index.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { addresses, firewallOn, openCell, planWith, ports, sliceWith } from './cell.ts';
import type { Cell } from './cell.ts';

/** Neighbours that are in no inventory. */
const strangers = { 4: ['10.20.0.21', '10.20.0.22'], 6: ['fd20::21', 'fd20::22'] } as const;
const servers = { 4: addresses.plc.cell, 6: addresses.plc.cell6 } as const;

const slice = sliceWith([], {
  firewall: [
    {
      id: 'two-each',
      tier: 'admin',
      priority: 500,
      verdict: 'allow',
      direction: 'in',
      transport: 'tcp',
      peers: ['10.20.0.0/24', 'fd20::/64'],
      ports: [ports.status, ports.status],
      maxConnections: 2,
      place: 'firewall/limits.yaml:1',
    },
  ],
});

/** The plan with room for so many counted peers of each family. */
function withRoomFor(peers: number, plan: FirewallPlan): FirewallPlan {
  const sets = plan.generation.sets.map((set) =>
    set.purpose === 'open flows by peer' ? { ...set, learned: { size: peers } } : set,
  );
  return { ...plan, generation: { ...plan.generation, sets } };
}

async function openHosts(): Promise<Cell> {
  const cell = await openCell();
  for (const address of [...strangers[4].map((text) => `${text}/24`), ...strangers[6].map((text) => `${text}/64`)]) {
    // Deprecated: only who asks for it sends from it.
    const how = address.includes(':') ? ['nodad', 'preferred_lft', '0'] : [];
    await cell.exec('gateway', ['ip', 'address', 'add', address, 'dev', 'eth0', ...how]);
  }
  await cell.echo('plc', 'tcp', ports.status, '::');
  return cell;
}

for (const family of [4, 6] as const) {
  const server = servers[family];
  const [stranger, other] = strangers[family];
  const from = (cell: Cell, source: string) => cell.probeTcp('gateway', server, ports.status, { source });

  test(`a full set of counted peers keeps new ones out and those that are counted in, IPv${family}`, async (t) => {
    if (!requires(t, 'root', 'netns', 'nft')) return;
    await using cell = await openHosts();
    await using firewall = await firewallOn(cell, 'plc');
    await firewall.apply(withRoomFor(2, planWith(slice)));
    const first = await cell.flow('gateway', 'tcp', server, ports.status);
    const camera = await cell.flow('camera', 'tcp', server, ports.status);
    for (const flow of [first, camera]) assert.equal(await flow.exchange(), 'answered');
    assert.equal(await from(cell, stranger), 'silent');
    assert.equal(await from(cell, other), 'silent');
    // Within its number, and beyond it.
    const second = await cell.flow('gateway', 'tcp', server, ports.status);
    for (const flow of [first, second, camera]) assert.equal(await flow.exchange(), 'answered');
    assert.equal(await cell.probeTcp('gateway', server, ports.status), 'silent');
    const { denied, drift } = await firewall.status();
    assert.ok((denied['limit:two-each'] ?? 0) >= 3, JSON.stringify(denied));
    assert.equal(drift, undefined);
    // Who has nothing open any more makes room.
    await camera.close();
    await until('room for another peer', async () => (await from(cell, stranger)) === 'open');
  });

  test(`with room for everybody each has its number, IPv${family}`, async (t) => {
    if (!requires(t, 'root', 'netns', 'nft')) return;
    await using cell = await openHosts();
    await using firewall = await firewallOn(cell, 'plc');
    await firewall.apply(planWith(slice));
    for (const source of strangers[family]) assert.equal(await from(cell, source), 'open');
  });
}
