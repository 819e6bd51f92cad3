// The kernel's table by netlink against a real kernel: changes, refusals, and foreign changes of real rule content.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import * as fc from 'fast-check';
import { shapeOf, tableChange } from '../../enforcer/firewall/change.ts';
import { type KernelTable, nftTable } from '../../enforcer/firewall/kernel.ts';
import { differenceTo } from '../../enforcer/firewall/listing.ts';
import { Batch } from '../../enforcer/firewall/netlink/batch.ts';
import { netlinkTable } from '../../enforcer/firewall/netlink/index.ts';
import { ContentCache } from '../../enforcer/firewall/netlink/content.ts';
import { generation, readTable } from '../../enforcer/firewall/netlink/read.ts';
import type { Chain, Rule, Ruleset, SetDefinition } from '../../enforcer/firewall/plan.ts';
import { CodedError } from '../../runtime/errors.ts';
import { openNetlink } from '../../runtime/linux-netlink.ts';
import type { NetlinkRead } from '../../runtime/linux-netlink.ts';
import { NETLINK } from '../../runtime/linux-netlink-wire.ts';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';
import { namespaceFolder } from '../support/netns-build.ts';
import { randomTable } from './random-table.ts';

const needs = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft');

async function openHost() {
  const net = await createNetwork({
    hosts: { plc: { interfaces: { eth0: { network: 'cell', addresses: ['10.20.0.2/24'] } } } },
  });
  const namespace = `${namespaceFolder}/${net.namespaceOf('plc')}`;
  const table = netlinkTable(namespace);
  return {
    table,
    byNft: nftTable((argv) => net.exec('plc', argv)),
    namespace,
    nft: async (...argv: string[]): Promise<string> => {
      const { code, stdout, stderr } = await net.exec('plc', ['nft', ...argv]);
      assert.equal(code, 0, stderr);
      return stdout;
    },
    /** By what netlink lists, or nft. */
    difference: async (wanted: Ruleset, by: KernelTable = table): Promise<string | undefined> => {
      const listing = await by.read();
      return listing === undefined ? 'no table' : differenceTo(wanted, listing, 0);
    },
    [Symbol.asyncDispose]: async () => {
      table.close();
      await net.close();
    },
  };
}

const served: SetDefinition = {
  name: 'served4',
  type: ['ipv4_addr'],
  interval: false,
  timeout: true,
  purpose: 'served',
  elements: [{ key: ['10.20.0.3'] }],
};
const boxes: SetDefinition = {
  name: 'boxes4',
  type: ['ipv4_addr', 'inet_service'],
  interval: true,
  timeout: false,
  purpose: 'boxes',
  elements: [{ key: ['10.0.0.0-10.0.0.9', '1-5'] }],
};
const drop: Rule = {
  family: 4,
  match: [{ kind: 'lookup', fields: ['source'], set: 'served4', not: false }],
  log: 'x',
  verdict: { kind: 'drop' },
};
const input: Chain = { name: 'input', hook: 'input', policy: 'drop', rules: [drop] };
const base: Ruleset = { sets: [served, boxes], chains: [input] };
const unchanged = tableChange(base, base);

test('a change leads to the same table as loading it anew, elements that ended meanwhile included', async (t) => {
  if (!needs(t)) return;
  await using host = await openHost();
  await fc.assert(
    fc.asyncProperty(randomTable, randomTable, async (from, other) => {
      // Sets keep their kind; what is not in both comes or goes.
      const shapes = new Map(from.sets.map((set) => [set.name, shapeOf(set)]));
      const same = other.sets.every((set) => (shapes.get(set.name) ?? shapeOf(set)) === shapeOf(set));
      const to = same ? other : { ...other, sets: from.sets, chains: from.chains.slice(0, -1) };
      await host.table.replace(from, 0);
      await host.table.change(tableChange(from, to), 0);
      assert.equal(await host.difference(to), undefined);
    }),
    { numRuns: 40 },
  );
  const ending = { ...served, elements: [{ key: ['10.20.0.3'], until: 20 }] };
  await host.table.replace({ ...base, sets: [ending, boxes] }, 0);
  await new Promise((resolve) => setTimeout(resolve, 60));
  const empty = { ...base, sets: [{ ...served, elements: [] }, boxes] };
  await host.table.change(tableChange({ ...base, sets: [ending, boxes] }, empty), 100);
  assert.equal(await host.difference(empty), undefined);
});

/** Disjoint ranges of ports, neighbours and both ends of the scale among them. */
const portRanges = fc
  .uniqueArray(fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constantFrom(65_533, 65_534, 65_535)), { maxLength: 10 })
  .map((points) => {
    const sorted = [...points].sort((a, b) => a - b);
    return Array.from({ length: Math.floor(sorted.length / 2) }, (_, at) => `${sorted[2 * at]}-${sorted[2 * at + 1]}`);
  });

test('deltas of ranges, of one field and of several, with and without answers', async (t) => {
  if (!needs(t)) return;
  await using host = await openHost();
  const verdict = { kind: 'goto', chain: 'input2' } as const;
  const chains: Chain[] = [{ name: 'input2', rules: [] }];
  const setsOf = (ranges: readonly string[], mark: number): SetDefinition[] => {
    const kind = { interval: true, timeout: false, purpose: 'ranges' };
    return [
      { ...kind, name: 'one', type: ['inet_service'], elements: ranges.map((range) => ({ key: [range] })) },
      {
        ...kind,
        name: 'one_map',
        type: ['inet_service'],
        data: 'verdict',
        elements: ranges.map((range) => ({ key: [range], verdict })),
      },
      {
        ...kind,
        name: 'two',
        type: ['ipv4_addr', 'inet_service'],
        data: 'mark',
        elements: ranges.map((range) => ({ key: ['10.0.0.0-10.0.0.9', range], mark })),
      },
    ];
  };
  await fc.assert(
    fc.asyncProperty(fc.array(portRanges, { minLength: 2, maxLength: 4 }), async (steps) => {
      let now: Ruleset | undefined;
      for (const [mark, ranges] of steps.entries()) {
        const next: Ruleset = { sets: setsOf(ranges, mark), chains };
        if (now === undefined) await host.table.replace(next, 0);
        else await host.table.change(tableChange(now, next), 0);
        now = next;
        assert.equal(await host.difference(next), undefined);
      }
      if (now !== undefined) assert.equal(await host.difference(now, host.byNft), undefined);
    }),
    { numRuns: 80 },
  );
});

test('every foreign change of one field is seen, also a verdict that keeps its comment', async (t) => {
  if (!needs(t)) return;
  await using host = await openHost();
  const changes: readonly (readonly [string, RegExp])[] = [
    ['replace rule inet edgeward input handle H ip saddr @served4 counter log prefix "ew:x" group 5 accept', /accept/],
    ['replace rule inet edgeward input handle H ip saddr @served4 counter log prefix "ew:x" group 6 drop', /rule 1/],
    ['replace rule inet edgeward input handle H ip saddr @served4 counter log prefix "ew:y" group 5 drop', /rule 1/],
    ['replace rule inet edgeward input handle H ip saddr != @served4 counter log prefix "ew:x" group 5 drop', /rule 1/],
    ['replace rule inet edgeward input handle H ip daddr @served4 counter log prefix "ew:x" group 5 drop', /rule 1/],
    ['replace rule inet edgeward input handle H ip saddr 10.20.0.3 counter log prefix "ew:x" group 5 drop', /rule 1/],
    ['insert rule inet edgeward input accept', /rule 1: "accept"/],
    ['delete rule inet edgeward input handle H', /rule 1: "missing"/],
    ['add chain inet edgeward input { policy accept; }', /chain input: "input 0 accept"/],
    ['add chain inet edgeward other { type filter hook input priority -5; }', /chain other is not ours/],
    ['add element inet edgeward served4 { 10.9.9.9 }', /set served4 has 10\.9\.9\.9/],
    ['delete element inet edgeward served4 { 10.20.0.3 }', /set served4 lacks 10\.20\.0\.3/],
    ['add element inet edgeward boxes4 { 10.1.0.0/16 . 7 }', /set boxes4 has 10\.1\.0\.0-10\.1\.255\.255 \. 7/],
    ['add set inet edgeward more { type ipv4_addr; }', /set more is not ours/],
    ['delete table inet edgeward', /no table/],
  ];
  for (const [command, finding] of changes) {
    await host.table.replace(base, 0);
    assert.equal(await host.difference(base), undefined);
    const handle = /drop # handle (\d+)/.exec(await host.nft('-a', 'list', 'chain', 'inet', 'edgeward', 'input'))?.[1];
    await host.nft(command.replace(' H', ` ${handle}`));
    assert.match((await host.difference(base)) ?? 'no difference', finding, command);
  }
});

test('what the kernel refuses is named, and nothing of the transaction is done', async (t) => {
  if (!needs(t)) return;
  await using host = await openHost();
  await host.table.replace(base, 0);
  const lacking: Rule = { ...drop, match: [{ kind: 'lookup', fields: ['source'], set: 'absent', not: false }] };
  const learned: SetDefinition = { ...served, name: 'few', learned: { size: 2 } };
  const cases: readonly (readonly [Parameters<typeof host.table.change>[0], string, RegExp])[] = [
    [
      {
        ...unchanged,
        addElements: [{ set: served, elements: [{ key: ['10.1.1.1'] }] }],
        fillChains: [{ ...input, rules: [drop, lacking] }],
      },
      'FIREWALL_KERNEL_REFUSED',
      /^chain input, rule 2 \(ip saddr @absent counter .*\): ENOENT/,
    ],
    [
      {
        ...unchanged,
        addElements: [
          { set: boxes, elements: [{ key: ['11.0.0.0-11.0.0.1', '7'] }, { key: ['10.0.0.4-10.0.0.20', '4'] }] },
        ],
      },
      'FIREWALL_KERNEL_REFUSED',
      /^element 10\.0\.0\.4-10\.0\.0\.20 \. 4 of set boxes4: (EEXIST|ENOTEMPTY)/,
    ],
    [
      {
        ...unchanged,
        addSets: [{ ...learned, elements: ['1', '2', '3'].map((last) => ({ key: [`10.0.0.${last}`] })) }],
      },
      'FIREWALL_TOO_LARGE',
      /^element.* of set few: ENFILE/,
    ],
    [{ ...unchanged, removeSets: [served] }, 'FIREWALL_KERNEL_REFUSED', /^set served4: EBUSY/],
    [{ ...unchanged, removeChains: ['absent'] }, 'FIREWALL_KERNEL_REFUSED', /chain absent: ENOENT/],
    [
      {
        ...unchanged,
        addChains: [
          { name: 'a', rules: [{ match: [], verdict: { kind: 'jump', chain: 'b' } }] },
          { name: 'b', rules: [{ match: [], verdict: { kind: 'jump', chain: 'a' } }] },
        ],
        fillChains: [{ ...input, rules: [{ match: [], verdict: { kind: 'jump', chain: 'a' } }] }],
      },
      'FIREWALL_KERNEL_REFUSED',
      /ELOOP|EMLINK/,
    ],
  ];
  for (const [change, code, message] of cases) {
    await assert.rejects(host.table.change(change, 0), { code, message });
    assert.equal(await host.difference(base), undefined);
  }
});

test('a transaction for another generation than the present one changes nothing', async (t) => {
  if (!needs(t)) return;
  await using host = await openHost();
  await host.table.replace(base, 0);
  const socket = openNetlink(NETLINK.netfilter, { namespace: host.namespace });
  const before = generation(socket);
  await host.nft('add table ip somebody');
  const batch = (): Batch => new Batch('edgeward', { generation: before }).flushChain('input');
  assert.throws(() => batch().commit(socket), { code: 'FIREWALL_DRIFT' });
  assert.equal(await host.difference(base), undefined);
  new Batch('edgeward', { generation: generation(socket) }).flushChain('input').commit(socket);
  assert.match((await host.difference(base)) ?? '', /rule 1: "missing"/);
  socket.close();
});

test('a dump with any byte wrong is a listing or a coded error, never a hang or another exception', async (t) => {
  if (!needs(t)) return;
  await using host = await openHost();
  const [sample = base] = fc.sample(randomTable, { numRuns: 1, seed: 7 });
  await host.table.replace(sample, 0);
  const socket = openNetlink(NETLINK.netfilter, { namespace: host.namespace });
  const flip = fc.record({ read: fc.nat({ max: 60 }), at: fc.nat({ max: 2_000 }), to: fc.nat({ max: 255 }) });
  fc.assert(
    fc.property(fc.array(flip, { minLength: 1, maxLength: 3 }), (flips) => {
      let reads = 0;
      const read = (): NetlinkRead => {
        const answer = socket.read();
        if (answer.kind !== 'data') return answer;
        reads += 1;
        for (const { at, to } of flips.filter((each) => each.read === reads)) {
          if (at < answer.bytes.length) answer.bytes[at] = to;
        }
        return answer;
      };
      try {
        readTable({ send: (bytes) => socket.send(bytes), read }, 'edgeward', new ContentCache());
      } catch (error) {
        assert.ok(error instanceof CodedError, String(error));
      }
      // Whatever was left unread belongs to this run.
      while (socket.read().kind !== 'empty');
    }),
    { numRuns: 1_500 },
  );
  socket.close();
  assert.equal(await host.difference(sample), undefined);
});

test('without the right to change the firewall every operation says so', (t) => {
  if (!requires(t, 'root', 'linux')) return;
  const script = `
    const { netlinkTable } = await import(${JSON.stringify(import.meta.resolve('../../enforcer/firewall/netlink/index.ts'))});
    process.setgid(65534); process.setuid(65534);
    try { netlinkTable(); } catch (error) { console.log(error.code); }`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(stdout, 'LINUX_PERMISSION\n');
});

test('remove takes the table away, also when there is none', async (t) => {
  if (!needs(t)) return;
  await using host = await openHost();
  await host.table.replace(base, 0);
  await host.table.remove();
  assert.equal(await host.table.read(), undefined);
  await host.table.remove();
});
