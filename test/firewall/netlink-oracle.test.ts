// The oracle of the netlink backend is nft: what both load has to be listed alike by `nft -j list table`, whatever the
// table holds, and what netlink reads back has to be the table.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { nftTable } from '../../enforcer/firewall/kernel.ts';
import { differenceTo } from '../../enforcer/firewall/listing.ts';
import type { Listing } from '../../enforcer/firewall/listing.ts';
import { netlinkTable } from '../../enforcer/firewall/netlink/index.ts';
import type { Rule, Ruleset, SetDefinition } from '../../enforcer/firewall/plan.ts';
import { tableOf, tableOfPlan } from '../../enforcer/firewall/table.ts';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';
import { namespaceFolder } from '../support/netns-build.ts';
import { goldenNames, readGolden } from './golden.ts';
import { randomTable } from './random-table.ts';

type Host = Awaited<ReturnType<typeof openHost>>;

async function openHost() {
  const net = await createNetwork({
    hosts: { plc: { interfaces: { eth0: { network: 'cell', addresses: ['10.20.0.2/24'] } } } },
  });
  const netlink = netlinkTable(`${namespaceFolder}/${net.namespaceOf('plc')}`);
  const nft = nftTable((argv, input) => net.exec('plc', argv, input === undefined ? {} : { input }));
  return {
    netlink,
    nft,
    nftList: async (...options: string[]) => {
      const { code, stdout, stderr } = await net.exec('plc', ['nft', ...options, 'list', 'table', 'inet', 'edgeward']);
      assert.equal(code, 0, stderr);
      return stdout;
    },
    [Symbol.asyncDispose]: async () => {
      netlink.close();
      await net.close();
    },
  };
}

/** The listing without handles, counters and remaining times; rules in their order, the rest by name. */
async function listed(host: Host): Promise<string[]> {
  const { nftables } = JSON.parse(await host.nftList('-j'), (key, value: unknown) =>
    key === 'handle' || key === 'packets' || key === 'bytes' || key === 'expires' ? undefined : value,
  ) as { nftables: Record<string, unknown>[] };
  const lines = nftables.filter((entry) => !('metainfo' in entry)).map((entry) => JSON.stringify(entry));
  const isRule = (line: string): boolean => line.startsWith('{"rule"');
  // JSON leaves out some flags of sets; the text has them.
  const text = (await host.nftList()).replaceAll(/ expires [0-9a-z]+| packets \d+ bytes \d+/g, '').split('\n\n');
  return [...lines.filter((line) => !isRule(line)), ...text].sort().concat(lines.filter(isRule));
}

/** Both ways, each read back by both. */
async function agree(host: Host, table: Ruleset, now: number): Promise<void> {
  await host.nft.replace(table, now);
  const byNft = await listed(host);
  const listings = [await host.netlink.read()];
  await host.netlink.replace(table, now);
  assert.deepEqual(await listed(host), byNft);
  listings.push(await host.netlink.read(), await host.nft.read());
  for (const listing of listings) {
    assert.ok(listing !== undefined);
    assert.equal(differenceTo(table, listing, now), undefined);
  }
  // Seconds and rounding apart, both say which elements end, and when.
  const [first, ...others] = listings.map((listing) => expirations(listing));
  for (const other of others) assert.deepEqual(other, first);
}

/** The elements that end by themselves, with their end in steps of 100 seconds. */
function expirations(listing: Listing | undefined): string[] {
  return [...(listing?.sets ?? [])].flatMap(([name, { expiring }]) =>
    [...expiring].map(([element, ms]) => `${name} ${element} ${Math.round(ms / 100_000)}`).sort(),
  );
}

test('nft lists alike what it loaded and what netlink loaded; each reads back what the other loaded', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using host = await openHost();
  await fc.assert(
    fc.asyncProperty(randomTable, async (table) => await agree(host, table, 0)),
    { numRuns: 60 },
  );
});

test('so it is with every golden plan, alone and as a candidate', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using host = await openHost();
  for (const name of goldenNames) {
    const { plan } = readGolden(name);
    await agree(host, tableOfPlan(plan), plan.compiledAt);
    const candidate = { plan, slot: 2, until: plan.compiledAt + 30_000 };
    await agree(host, tableOf({ live: { plan, slot: 1 }, candidate, closing: [] }), plan.compiledAt);
  }
});

test('so it is with a rule over control groups', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using host = await openHost();
  const cgroups: SetDefinition = {
    name: 'groups',
    type: ['cgroupsv2'],
    interval: false,
    timeout: false,
    purpose: 'workloads',
    elements: [],
  };
  const rules = [false, true].map((not): Rule => ({
    match: [{ kind: 'cgroup', level: 2, set: 'groups', not }],
    verdict: { kind: 'drop' },
  }));
  await agree(host, { sets: [cgroups], chains: [{ name: 'output', hook: 'output', policy: 'drop', rules }] }, 0);
});
