// What a connection costs behind the compiled plan, behind a minimal stateful table, behind 10,000 rules one after the other
// and behind none: one server for each, asked in turn by one client that owns every peer's address.
import { cpus } from 'node:os';
import { tableOfPlan } from '../../enforcer/firewall/index.ts';
import { netlinkTable } from '../../enforcer/firewall/netlink/index.ts';
import { ports } from '../../test/firewall/cell.ts';
import { createNetwork } from '../../test/support/netns.ts';
import { must } from '../../test/support/netns-process.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, percentile, unmeasured } from '../machine.ts';
import {
  clientHost,
  FIRST_PEER,
  FIRST_STRANGER,
  MOST_PEERS,
  namespacePath,
  peerAddress,
  planOfPeers,
  routePeers,
  scriptOf,
  serverHost,
} from './world.ts';

const SMALL = 10_000;

/** Who is asked from how many addresses; each server is another host. */
export type Series = 'none' | 'minimal' | 'plan' | 'linear' | 'minimalMany' | 'planMany';
const series: readonly Series[] = ['none', 'minimal', 'plan', 'linear', 'minimalMany', 'planMany'];

export interface RoundOf {
  readonly p10: number | null;
  readonly p50: number | null;
  readonly connects: number;
  readonly failed: number;
  /** Different addresses, and how far the first is from the last. */
  readonly sources: number;
  readonly span: number;
}

export interface Connects {
  /** Addresses that were chosen from, and elements of the largest set of that server's table. */
  readonly entries: Readonly<Record<Series, number>>;
  readonly largestSet: Readonly<Record<Series, number>>;
  /** Addresses that nobody is granted anything for and that got in, or failures before timing began. */
  readonly strangerIn: Readonly<Record<Series, boolean>>;
  readonly failedWarmUp: Readonly<Record<Series, number>>;
  readonly emptyNs: number;
  readonly rounds: readonly Readonly<Record<Series, RoundOf>>[];
}

const goal = (value: number, text: string): Required<FigureSpec>['goal'] => ({ relation: 'at most', value, text });
const specs = {
  small: {
    id: 'connectRatio10k',
    unit: 'x',
    goal: goal(1.25, 'the compiled plan with 10,000 entries against a minimal stateful table: connect p50 ≤ 1.25'),
  },
  many: { id: 'connectRatio100k', unit: 'x', goal: goal(1.35, 'with 100,000 ≤ 1.35') },
  none: { id: 'connectToNoTable10k', unit: 'x' },
  linear: { id: 'connectLinearRatio10k', unit: 'x' },
  failed: {
    id: 'failedConnects',
    unit: 'connects',
    goal: { relation: 'exactly', value: 0, text: 'no connect fails' },
  },
} as const satisfies Record<string, FigureSpec>;

export async function measureConnects({ quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  progress(`connects behind ${SMALL} and ${MOST_PEERS} entries`);
  return connectFigures(
    await measure(quick ? { block: 50, blocks: 8, rounds: 5 } : { block: 100, blocks: 20, rounds: 9 }),
  );
}

const minimal = `table inet minimal {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "lo" accept
    ip saddr 10.64.0.0/15 tcp dport ${ports.status} accept
  }
}
`;

const linear = `table inet linear {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "lo" accept
${Array.from({ length: SMALL }, (_, at) => `    ip saddr ${peerAddress(at)} tcp dport ${ports.status} accept`).join('\n')}
  }
}
`;

async function measure(plan: { block: number; blocks: number; rounds: number }): Promise<Connects> {
  const servers = {
    none: '10.20.0.11',
    minimal: '10.20.0.12',
    plan: '10.20.0.13',
    linear: '10.20.0.14',
    planMany: '10.20.0.15',
  };
  type Server = keyof typeof servers;
  const names = Object.keys(servers) as Server[];
  await using net = await createNetwork({
    hosts: {
      client: clientHost,
      none: serverHost(servers.none),
      minimal: serverHost(servers.minimal),
      plan: serverHost(servers.plan),
      linear: serverHost(servers.linear),
      planMany: serverHost(servers.planMany),
    },
  });
  await routePeers(net, 'client', names);
  // Clients on the last processor, servers on the first.
  const [first, last] = ['0', String(cpus().length - 1)];
  for (const name of names) {
    const server = net.spawn(name, ['taskset', '-c', first, 'python3', scriptOf('listen.py'), String(ports.status)]);
    await server.waitFor(/listening/);
  }
  await must(net.commandOn('minimal', ['nft', '-f', '-']), minimal);
  await must(net.commandOn('linear', ['nft', '-f', '-']), linear);
  const largest = { none: 0, minimal: 0, linear: 0, minimalMany: 0, plan: 0, planMany: 0 };
  for (const [name, peers] of [
    ['plan', SMALL],
    ['planMany', MOST_PEERS],
  ] as const) {
    const kernel = netlinkTable(namespacePath(net, name));
    await kernel.replace(tableOfPlan(planOfPeers({ peers, address: servers[name], services: ['status'] })), Date.now());
    largest[name] = Math.max(...[...((await kernel.read())?.sets.values() ?? [])].map((set) => set.elements.length));
    kernel.close();
  }
  const entries = {
    none: SMALL,
    minimal: SMALL,
    plan: SMALL,
    linear: SMALL,
    minimalMany: MOST_PEERS,
    planMany: MOST_PEERS,
  };
  const targets = series.map((name) => `${servers[name === 'minimalMany' ? 'minimal' : name]}/${entries[name]}`);
  const numbers = [plan.block, plan.blocks, plan.rounds, 1].map(String);
  const argv = ['taskset', '-c', last, 'python3', scriptOf('connect.py'), String(ports.status), FIRST_PEER, ...numbers];
  const { code, stdout, stderr } = await net.exec('client', [...argv, FIRST_STRANGER, ...targets], {
    timeoutMs: 600_000,
  });
  if (code !== 0) throw new Error(`the client ended with ${code}: ${stderr}`);
  const [head = '', ...lines] = stdout.trim().split('\n');
  const { emptyNs, failedWarmUp, strangerIn } = JSON.parse(head) as {
    emptyNs: number;
    failedWarmUp: Record<string, number>;
    strangerIn: Record<string, boolean>;
  };
  const named = <T>(of: (at: number) => T): Record<Series, T> =>
    Object.fromEntries(series.map((name, at) => [name, of(at)])) as Record<Series, T>;
  return {
    entries,
    largestSet: largest,
    emptyNs,
    failedWarmUp: named((at) => failedWarmUp[at] ?? -1),
    strangerIn: named((at) => strangerIn[at] ?? true),
    rounds: lines.map((line) => {
      const row = JSON.parse(line) as RoundOf[];
      return named((at) => row[at]!);
    }),
  };
}

/** Rounds fewer than these are no median. */
const LEAST_ROUNDS = 5;

export function connectFigures(seen: Connects): Figure[] {
  const failed = series.reduce(
    (sum, name) => sum + seen.failedWarmUp[name] + seen.rounds.reduce((all, round) => all + round[name].failed, 0),
    0,
  );
  const ratio = (spec: FigureSpec, of: Series, to: Series): Figure => {
    const against = {
      ...ofSeries(seen, of),
      [to]: ofSeries(seen, to),
      emptyCallNs: seen.emptyNs,
      ...ratios(seen, of, to),
    };
    const fault = faultOf(seen, of) ?? faultOf(seen, to);
    const value = ratios(seen, of, to).p50;
    return fault !== undefined || value === undefined
      ? unmeasured(spec, fault ?? 'no rounds', against)
      : figure(spec, value, against);
  };
  return [
    ratio(specs.small, 'plan', 'minimal'),
    ratio(specs.many, 'planMany', 'minimalMany'),
    ratio(specs.none, 'plan', 'none'),
    ratio(specs.linear, 'linear', 'minimal'),
    seen.rounds.length === 0 ? unmeasured(specs.failed, 'nobody connected') : figure(specs.failed, failed),
  ];
}

/** Why a series says nothing: it lets everybody in, or nobody, or was asked from too few addresses. */
function faultOf(seen: Connects, name: Series): string | undefined {
  const { rounds, entries, largestSet, strangerIn, failedWarmUp } = seen;
  if (rounds.length < LEAST_ROUNDS) return `${rounds.length} rounds, expected ${LEAST_ROUNDS} or more`;
  const isOurs = name === 'plan' || name === 'planMany';
  if (isOurs && largestSet[name] < entries[name])
    return `the largest set has ${largestSet[name]} of ${entries[name]} entries`;
  if (name !== 'none' && strangerIn[name]) return 'an address without a grant got in';
  if (failedWarmUp[name] > 0) return `${failedWarmUp[name]} connects failed before timing`;
  for (const { [name]: round } of rounds) {
    if (round.failed > 0 || round.connects === 0) return `${round.failed} connects failed, ${round.connects} did not`;
    if (round.sources < Math.min(entries[name], round.connects) / 2) return `${round.sources} different addresses`;
    if (round.span < entries[name] * 0.8) return `addresses from a span of ${round.span} of ${entries[name]}`;
  }
  return undefined;
}

const median = (values: readonly (number | null)[]): number | undefined =>
  percentile(
    values.filter((value) => value !== null),
    0.5,
  );

const ofSeries = ({ rounds, entries }: Connects, name: Series): Record<string, unknown> => ({
  entries: entries[name],
  p50Ns: median(rounds.map((round) => round[name].p50)),
  p10Ns: median(rounds.map((round) => round[name].p10)),
  connects: rounds.reduce((sum, round) => sum + round[name].connects, 0),
});

/** Medians of the rounds' ratios: both sides of each were asked in turn, in the same seconds. */
function ratios(
  { rounds }: Connects,
  of: Series,
  to: Series,
): Record<'p50' | 'p10' | 'p50OfMinima', number | undefined> {
  const by = (key: 'p10' | 'p50'): number | undefined =>
    median(rounds.map((round) => (round[of][key] ?? Number.NaN) / (round[to][key] ?? Number.NaN)));
  const least = (name: Series): number => Math.min(...rounds.map((round) => round[name].p50 ?? Number.NaN));
  return { p50: by('p50'), p10: by('p10'), p50OfMinima: rounds.length === 0 ? undefined : least(of) / least(to) };
}
