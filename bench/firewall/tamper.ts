// How soon a foreign change of a table with 20,000 elements is noticed and undone, and that an owned table refuses it. The
// changes are made over a socket of their own, so that the moment of each is known; to the firewall it is a stranger's.
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { type FirewallPlan, type KernelTable, netlinkTable, tableOf } from '../../enforcer/firewall/index.ts';
import { Batch } from '../../enforcer/firewall/netlink/batch.ts';
import type { Chain, Ruleset, SetDefinition } from '../../enforcer/firewall/plan.ts';
import { CodedError } from '../../runtime/errors.ts';
import { openNetlink } from '../../runtime/linux-netlink.ts';
import { NETLINK } from '../../runtime/linux-netlink-wire.ts';
import { type Cell, firewallOn, grant, openCell, planWith, sliceWith } from '../../test/firewall/cell.ts';
import { namespaceFolder } from '../../test/support/netns-build.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, percentile, unmeasured } from '../machine.ts';

const ELEMENTS = 20_000;
const TABLE = 'edgeward';
const GIVE_UP_MS = 4_000;

interface Sample {
  readonly kind: string;
  /** Milliseconds from before the foreign commit until the comparison had found it, and until the table was right again. */
  readonly noticedMs: number;
  readonly repairedMs: number;
}

export async function measureTamper({ quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  await using cell = await openCell();
  const samples = await repairs(cell, quick ? 40 : 240, progress);
  const refused = await refusals(cell, quick ? 20 : 200);
  const by = (value: (sample: Sample) => number, share: number): number =>
    percentile(samples.map(value), share) ?? Number.NaN;
  const noticed = { id: 'tamperNoticedP99Ms', unit: 'ms', goal: atMost(50, 'tamper noticed ≤ 50 ms p99') };
  const repaired = { id: 'tamperRepairedP99Ms', unit: 'ms', goal: atMost(150, 'repaired ≤ 150 ms p99') };
  const missed = samples.filter(({ repairedMs }) => !Number.isFinite(repairedMs));
  const ownership = figure({ id: 'tamperRefusedShare', unit: 'share', goal: exactly(1, 'owner|persist') }, refused);
  if (missed.length > 0) {
    const reason = `${missed.length} of ${samples.length} were not undone: ${missed.map(({ kind }) => kind).join(', ')}`;
    return [unmeasured(noticed, reason), unmeasured(repaired, reason), ownership];
  }
  const kinds = Object.fromEntries(
    [...Map.groupBy(samples, ({ kind }) => kind)].map(([kind, all]) => [kind, all.length]),
  );
  const against = { n: samples.length, elements: ELEMENTS, kinds };
  return [
    figure(
      noticed,
      by((sample) => sample.noticedMs, 0.99),
      { ...against, p50: by((sample) => sample.noticedMs, 0.5) },
    ),
    figure(
      repaired,
      by((sample) => sample.repairedMs, 0.99),
      { ...against, p50: by((sample) => sample.repairedMs, 0.5) },
    ),
    ownership,
  ];
}

const atMost = (value: number, text: string) => ({ relation: 'at most' as const, value, text });
const exactly = (value: number, text: string) => ({ relation: 'exactly' as const, value, text });

/** A plan of the cell whose grants fill one set. */
function largePlan(): FirewallPlan {
  const plan = planWith(sliceWith([grant('gateway', 'status'), grant('camera', 'modbus')]));
  const isServed = ({ type }: SetDefinition): boolean => type.join('.') === 'ipv4_addr.inet_proto.inet_service';
  const large = plan.generation.sets.find(isServed);
  if (large === undefined) throw new Error('the plan has no set of served ports');
  const more = Array.from({ length: ELEMENTS }, (_, at) => ({ key: [`10.64.${at >> 8}.${at & 255}`, 'tcp', '4840'] }));
  const sets = plan.generation.sets.map((set) =>
    set === large ? { ...set, elements: [...set.elements, ...more] } : set,
  );
  return { ...plan, generation: { ...plan.generation, sets } };
}

const namespaceOf = (cell: Cell): string => join(namespaceFolder, cell.namespaceOf('plc'));

async function repairs(cell: Cell, count: number, progress: (text: string) => void): Promise<Sample[]> {
  const inner = netlinkTable(namespaceOf(cell));
  let begun = Number.NaN;
  let done = (_times: { noticed: number; repaired: number }): void => undefined;
  const timed = async (work: () => Promise<void>): Promise<void> => {
    const noticed = performance.now();
    await work();
    done({ noticed, repaired: performance.now() });
  };
  const kernel: KernelTable = {
    ...inner,
    replace: (table, now) => timed(() => inner.replace(table, now)),
    change: (change, now) => timed(() => inner.change(change, now)),
  };
  await using firewall = await firewallOn(cell, 'plc', { kernel, namespace: namespaceOf(cell) });
  await firewall.apply(largePlan());
  const state = firewall.state();
  if (state === undefined) throw new Error('the plan is not in force');
  const table = tableOf(state);
  const stranger = openNetlink(NETLINK.netfilter, { namespace: namespaceOf(cell) });
  const stop = new AbortController();
  const watching = firewall.watch(stop.signal);
  const samples: Sample[] = [];
  try {
    for (let at = 0; at < count; at += 1) {
      // At any moment of the looks that come by themselves.
      await delay(250 + Math.random() * 250);
      const { kind, batch } = mutation(table, at);
      const times = new Promise<{ noticed: number; repaired: number } | undefined>((resolve) => {
        done = resolve;
        setTimeout(() => resolve(undefined), GIVE_UP_MS).unref();
      });
      begun = performance.now();
      batch.commit(stranger);
      const seen = await times;
      samples.push({
        kind,
        noticedMs: seen === undefined ? Infinity : seen.noticed - begun,
        repairedMs: seen === undefined ? Infinity : seen.repaired - begun,
      });
      if (at % 100 === 99) progress(`tamper: ${at + 1} of ${count}`);
    }
  } finally {
    stop.abort();
    await watching;
    stranger.close();
    inner.close();
  }
  return samples;
}

function pick<T>(from: readonly T[]): T {
  const found = from[Math.floor(Math.random() * from.length)];
  if (found === undefined) throw new RangeError('nothing to pick from');
  return found;
}

/** One change by a stranger; the kinds take turns, where it strikes is chance. */
function mutation(table: Ruleset, at: number): { readonly kind: string; readonly batch: Batch } {
  const batch = new Batch(TABLE);
  const filled = table.chains.filter((chain) => chain.rules.length > 0);
  const chain = pick(filled);
  const elements = table.sets.filter((set) => !set.interval && set.learned === undefined && set.elements.length > 0);
  const kinds: readonly [string, () => Batch][] = [
    ['verdict flipped, log and place kept', () => replaceRules(batch, flipped(pick(filled.filter(hasVerdict))))],
    ['rule added', () => batch.addRules({ name: chain.name, rules: [{ match: [], verdict: { kind: 'accept' } }] })],
    ['rule removed', () => replaceRules(batch, { ...chain, rules: chain.rules.slice(1) })],
    ['chain emptied', () => batch.flushChain(chain.name)],
    [
      'policy',
      () => {
        const base = pick(table.chains.filter(({ hook }) => hook !== undefined));
        return batch.addChain({ ...base, policy: base.policy === 'accept' ? 'drop' : 'accept' });
      },
    ],
    ['chain added', () => batch.addChain({ name: 'mine' })],
    [
      'element removed',
      () => {
        const set = pick(elements);
        return batch.deleteElements(set, [pick(set.elements)], Date.now());
      },
    ],
    [
      'element added',
      () => {
        const set = pick(table.sets.filter(({ name }) => name === 'revoked4' || name === 'quarantined4'));
        return batch.addElements(set, [{ key: ['10.99.0.9'] }], Date.now(), false);
      },
    ],
    ['table removed', () => batch.deleteTable()],
  ];
  const [kind, make] = kinds[at % kinds.length] ?? pick(kinds);
  return { kind, batch: make() };
}

const hasVerdict = (chain: Chain): boolean =>
  chain.rules.some(({ verdict }) => verdict.kind === 'drop' || verdict.kind === 'accept');

function flipped(chain: Chain): Chain {
  const at = chain.rules.findIndex(({ verdict }) => verdict.kind === 'drop' || verdict.kind === 'accept');
  const rules = chain.rules.map((rule, index) =>
    index === at ? { ...rule, verdict: { kind: rule.verdict.kind === 'drop' ? 'accept' : 'drop' } as const } : rule,
  );
  return { ...chain, rules };
}

const replaceRules = (batch: Batch, chain: Chain): Batch => batch.flushChain(chain.name).addRules(chain);

/** Share of the same changes that the kernel refuses because the table has an owner. */
async function refusals(cell: Cell, count: number): Promise<number> {
  const kernel = netlinkTable(namespaceOf(cell), { own: true });
  await using firewall = await firewallOn(cell, 'plc', { kernel });
  await firewall.apply(largePlan());
  if ((await firewall.status()).owned !== true) return 0;
  const state = firewall.state();
  if (state === undefined) return 0;
  const stranger = openNetlink(NETLINK.netfilter, { namespace: namespaceOf(cell) });
  let refused = 0;
  for (let at = 0; at < count; at += 1) {
    try {
      mutation(tableOf(state), at).batch.commit(stranger);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'FIREWALL_PERMISSION') refused += 1;
    }
  }
  stranger.close();
  kernel.close();
  return refused / count;
}
