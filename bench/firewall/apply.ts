// What it costs to put a table into the kernel: the product's netlink transaction against a started nft with the same table
// as text, whole and for one element. Both go in turn, and what is in the kernel is compared with what was wanted.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FirewallPlan,
  type KernelTable,
  renderNft,
  tableChange,
  tableOfPlan,
} from '../../enforcer/firewall/index.ts';
import { differenceTo } from '../../enforcer/firewall/listing.ts';
import { settledReading } from '../../enforcer/firewall/settled-reading.ts';
import { netlinkTable } from '../../enforcer/firewall/netlink/index.ts';
import type { Ruleset } from '../../enforcer/firewall/plan.ts';
import { TABLE } from '../../enforcer/firewall/render.ts';
import { createNetwork, type Network } from '../../test/support/netns.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, percentile, unmeasured } from '../machine.ts';
import { inTemporaryFolder } from '../temporary-folder.ts';
import { MOST_PEERS, namespacePath, planOfPeers, serverHost } from './world.ts';

export interface WholeApply {
  readonly peers: number;
  /** Elements of all sets of the table. */
  readonly elements: number;
  readonly netlinkMs: readonly number[];
  /** Without what it takes to start a program in the namespace. */
  readonly nftMs: readonly number[];
  readonly startMs: number;
  /** Where the kernel's table was not what was wanted, after either. */
  readonly differences: readonly string[];
}

export interface Deltas {
  readonly elements: number;
  /** The transaction, and with it finding out what differs between the two tables. */
  readonly transactionMs: readonly number[];
  readonly foundMs: readonly number[];
  readonly nftMs: readonly number[];
  readonly startMs: number;
  readonly differences: readonly string[];
}

const goal = (relation: 'at most' | 'at least', value: number, text: string) => ({ relation, value, text }) as const;
const wholeSpecs = new Map<number, FigureSpec>([
  [
    1_000,
    { id: 'applyToNft1k', unit: 'x', goal: goal('at most', 0.2, 'bundle apply / nft -f of the same state ≤ 0.2 (1k)') },
  ],
  [10_000, { id: 'applyToNft10k', unit: 'x', goal: goal('at most', 0.5, '≤ 0.5 (10k)') }],
  [MOST_PEERS, { id: 'applyToNft100k', unit: 'x', goal: goal('at most', 0.6, '≤ 0.6 (100k)') }],
]);
const deltaSpecs = {
  transaction: { id: 'deltaP50Ms', unit: 'ms', goal: goal('at most', 0.1, 'one-element delta ≤ 0.1 ms p50') },
  nft: { id: 'deltaToNft', unit: 'x', goal: goal('at least', 100, 'and ≥ 100x faster than spawning nft') },
} as const satisfies Record<string, FigureSpec>;

/** A quick run leaves the largest out: nft alone takes most of a minute for it each time. */
const full = { sizes: [1_000, 10_000, MOST_PEERS], rounds: 7, deltas: 2_000, nftDeltas: 15 } as const;
const quick = { sizes: [1_000, 10_000], rounds: 7, deltas: 500, nftDeltas: 7 } as const;

type Host = Network<'plc'>;

export async function measureApply({ quick: short, progress }: BenchOptions): Promise<readonly Figure[]> {
  const plan = short ? quick : full;
  return await inTemporaryFolder(async (folder) => {
    await using net = await createNetwork({ hosts: { plc: serverHost() } });
    const kernel = netlinkTable(namespacePath(net, 'plc'));
    try {
      const wholes: WholeApply[] = [];
      for (const peers of plan.sizes) {
        progress(`whole tables of ${peers} peers, by netlink and by nft`);
        wholes.push(await applyWhole({ net, kernel, folder }, peers, plan.rounds));
      }
      progress('one element');
      return applyFigures(wholes, await applyOne({ net, kernel, folder }, plan.deltas, plan.nftDeltas));
    } finally {
      kernel.close();
    }
  });
}

interface Place {
  readonly net: Host;
  readonly kernel: KernelTable;
  readonly folder: string;
}

const tableFor = (peers: number): { plan: FirewallPlan; table: Ruleset } => {
  const plan = planOfPeers({ peers, services: ['status'] });
  return { plan, table: tableOfPlan(plan) };
};

const elementsOf = (table: Ruleset): number => table.sets.reduce((sum, set) => sum + set.elements.length, 0);

async function applyWhole({ net, kernel, folder }: Place, peers: number, rounds: number): Promise<WholeApply> {
  const { table } = tableFor(peers);
  const file = join(folder, `${peers}.nft`);
  await writeFile(file, renderNft(table, Date.now()));
  const startMs = await startCost(net);
  const seen = { netlinkMs: [] as number[], nftMs: [] as number[], differences: [] as string[] };
  const compare = async (by: string): Promise<void> => {
    const difference = await differenceOf(kernel, table);
    if (difference !== undefined) seen.differences.push(`${by}: ${difference}`);
  };
  for (let round = 0; round < rounds; round += 1) {
    // New objects, as with a new bundle: nothing that was worked out for the last one is known of these.
    const fresh = structuredClone(table);
    await kernel.remove();
    seen.netlinkMs.push(await timed(() => kernel.replace(fresh, Date.now())));
    await compare('netlink');
    await kernel.remove();
    seen.nftMs.push((await timed(() => nft(net, ['-f', file]))) - startMs);
    await compare('nft');
  }
  return { peers, elements: elementsOf(table), startMs, ...seen };
}

/** One element of the largest set, removed and added again, on a table of 100,000. */
async function applyOne({ net, kernel }: Place, times: number, nftTimes: number): Promise<Deltas> {
  const { table } = tableFor(MOST_PEERS);
  const largest = table.sets.reduce((best, set) => (set.elements.length > best.elements.length ? set : best));
  const without = (at: number): Ruleset => ({
    ...table,
    sets: table.sets.map((set) =>
      set === largest ? { ...set, elements: set.elements.filter((_, index) => index !== at) } : set,
    ),
  });
  await kernel.replace(table, Date.now());
  const startMs = await startCost(net);
  const seen = {
    transactionMs: [] as number[],
    foundMs: [] as number[],
    nftMs: [] as number[],
    differences: [] as string[],
  };
  for (let time = 0; time < times; time += 1) {
    const at = (time * 7_919) % largest.elements.length;
    const element = largest.elements[at]!;
    const change = { set: largest, elements: [element] };
    const nothing = { addSets: [], addChains: [], fillChains: [], removeChains: [], removeSets: [] };
    const remove = { ...nothing, removeElements: [change], addElements: [] };
    const add = { ...nothing, removeElements: [], addElements: [change] };
    seen.transactionMs.push(await timed(() => kernel.change(remove, Date.now())));
    // An element that is not removed, or added twice, would be seen here.
    if (time % 100 === 0 && (await differenceOf(kernel, table)) === undefined) seen.differences.push('nothing removed');
    seen.transactionMs.push(await timed(() => kernel.change(add, Date.now())));
    if (time % (times / nftTimes) < 1) {
      const name = `${TABLE} ${largest.name}`.split(' ');
      const key = element.key.join(' . ').replace(/(eth\d+)/, '"$1"');
      seen.nftMs.push((await timed(() => nft(net, ['delete', 'element', ...name, `{ ${key} }`]))) - startMs);
      await kernel.change(add, Date.now());
      const found = await timed(async () => await kernel.change(tableChange(table, without(at)), Date.now()));
      seen.foundMs.push(found);
      await kernel.change(add, Date.now());
    }
  }
  const difference = await differenceOf(kernel, table);
  if (difference !== undefined) seen.differences.push(difference);
  return { elements: elementsOf(table), startMs, ...seen };
}

async function differenceOf(kernel: KernelTable, table: Ruleset): Promise<string | undefined> {
  const { difference } = await settledReading(
    await kernel.read(),
    () => kernel.read(),
    (listing) => (listing === undefined ? 'no table' : differenceTo(table, listing, Date.now())),
  );
  return difference;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function nft(net: Host, argv: readonly string[]): Promise<void> {
  const { code, stderr } = await net.exec('plc', ['nft', ...argv], { timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`nft ended with ${code}: ${stderr}`);
}

/** A program that does nothing, started in the namespace the same way. */
async function startCost(net: Host): Promise<number> {
  const costs: number[] = [];
  for (let time = 0; time < 7; time += 1) costs.push(await timed(() => net.exec('plc', ['true'])));
  return Math.min(...costs);
}

const LEAST_ROUNDS = 5;

export function applyFigures(wholes: readonly WholeApply[], deltas: Deltas): Figure[] {
  return [...[...wholeSpecs].map(([peers, spec]) => wholeFigure(spec, peers, wholes)), ...deltaFigures(deltas)];
}

function wholeFigure(spec: FigureSpec, peers: number, wholes: readonly WholeApply[]): Figure {
  const whole = wholes.find((one) => one.peers === peers);
  if (whole === undefined) return unmeasured(spec, 'left out of a quick run');
  const { netlinkMs, nftMs, differences, elements, startMs } = whole;
  const against = { peers, elements, startMs, netlinkMs: rounded(netlinkMs), nftMs: rounded(nftMs) };
  if (differences.length > 0) return unmeasured(spec, `another table: ${differences[0]}`, against);
  if (Math.min(netlinkMs.length, nftMs.length) < LEAST_ROUNDS) return unmeasured(spec, 'too few rounds', against);
  if (elements < peers) return unmeasured(spec, `${elements} elements for ${peers} peers`, against);
  return figure(spec, Math.min(...netlinkMs) / Math.min(...nftMs), against);
}

function deltaFigures({ elements, transactionMs, foundMs, nftMs, startMs, differences }: Deltas): Figure[] {
  const [p50, nftP50] = [percentile(transactionMs, 0.5), percentile(nftMs, 0.5)];
  const against = {
    elementsOfTable: elements,
    p99Ms: percentile(transactionMs, 0.99),
    transactions: transactionMs.length,
    // With two whole tables compared first, as for a new plan.
    foundP50Ms: percentile(foundMs, 0.5),
    nftP50Ms: nftP50,
    startMs,
  };
  const fault =
    p50 === undefined || nftP50 === undefined || nftMs.length < LEAST_ROUNDS
      ? 'too few deltas'
      : differences.length > 0
        ? `another table: ${differences[0]}`
        : undefined;
  if (fault !== undefined || p50 === undefined || nftP50 === undefined) {
    return Object.values(deltaSpecs).map((spec) => unmeasured(spec, fault ?? 'nothing', against));
  }
  return [figure(deltaSpecs.transaction, p50, against), figure(deltaSpecs.nft, nftP50 / p50, against)];
}

const rounded = (values: readonly number[]): number[] => values.map((value) => Math.round(value * 100) / 100);
