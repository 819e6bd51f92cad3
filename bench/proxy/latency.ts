// What the proxy adds to a Modbus request on one connection, in turn with the same server on a host without an edge.
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, percentile, unmeasured } from '../machine.ts';
import { SERVER } from '../firewall/world.ts';
import { peerAddress } from '../firewall/world.ts';
import type { PingPong } from './jobs/ping-pong.ts';
import { PEERS, ports } from './policy.ts';
import { type BenchWorld, DIRECT, PATH } from './world.ts';

const specs = {
  p50: {
    id: 'modbusAddedP50Us',
    unit: 'µs',
    goal: { relation: 'at most', value: 40, text: 'added p50 ≤ 40 µs against direct on one Modbus connection' },
  },
  p99: { id: 'modbusAddedP99Us', unit: 'µs' },
  rate: {
    id: 'modbusRateRatio',
    unit: 'x',
    goal: { relation: 'at least', value: 0.55, text: '≥ 0.55x of the direct request rate on one Modbus connection' },
  },
} as const satisfies Record<string, FigureSpec>;

export async function measureLatency(world: BenchWorld, { quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  progress('requests on one Modbus connection');
  await using client = await world.client();
  const from = peerAddress(PEERS / 2);
  const before = await world.edge.use();
  const seen = await client.order({
    job: 'pingPong',
    targets: {
      direct: { address: DIRECT, port: ports.modbus, from },
      proxied: { address: SERVER, port: ports.modbus, from },
    },
    ...(quick ? { block: 250, blocks: 8, rounds: 7 } : { block: 500, blocks: 20, rounds: 15 }),
  });
  const after = await world.edge.use();
  const requests = seen.rounds.reduce((sum, { proxied }) => sum + (proxied?.latencies.length ?? 0), 0);
  return latencyFigures(seen, { edgeCpuUsPerRequest: round((after.cpuUs - before.cpuUs) / requests), path: PATH });
}

const LEAST_ROUNDS = 5;
const round = (value: number): number => Math.round(value * 100) / 100;

export function latencyFigures({ rounds, refuses }: PingPong, more: Figure['against'] = {}): Figure[] {
  const quantile = (name: string, share: number): number[] =>
    rounds.map((seen) => {
      const { latencies } = seen[name] ?? { latencies: new Float64Array() };
      return latencies[Math.max(0, Math.ceil(latencies.length * share) - 1)] ?? Number.NaN;
    });
  const rate = (name: string): number[] => rounds.map((seen) => seen[name]?.requestsPerSecond ?? Number.NaN);
  const median = (values: readonly number[]): number => round(percentile(values, 0.5) ?? Number.NaN);
  const apart = (of: number[], from: number[]): number[] => of.map((value, at) => value - (from[at] ?? Number.NaN));
  const against = {
    rounds: rounds.length,
    requests: rounds.reduce((sum, { proxied }) => sum + (proxied?.latencies.length ?? 0), 0),
    ...Object.fromEntries(
      ['direct', 'proxied'].map((name) => [
        name,
        {
          p50Us: median(quantile(name, 0.5)),
          p99Us: median(quantile(name, 0.99)),
          requestsPerSecond: Math.round(median(rate(name))),
        },
      ]),
    ),
    ...more,
  };
  const fault =
    rounds.length < LEAST_ROUNDS
      ? `${rounds.length} rounds, expected ${LEAST_ROUNDS} or more`
      : refuses['proxied'] !== true
        ? 'a write that nobody may make was not refused by the proxy'
        : refuses['direct'] === true
          ? 'the direct server refuses too: this is not the same server'
          : undefined;
  const added = (share: number): number => median(apart(quantile('proxied', share), quantile('direct', share)));
  const values = {
    p50: added(0.5),
    p99: added(0.99),
    rate: median(rate('proxied').map((value, at) => value / (rate('direct')[at] ?? Number.NaN))),
  };
  return (['p50', 'p99', 'rate'] as const).map((name) =>
    fault === undefined && Number.isFinite(values[name])
      ? figure(specs[name], values[name], against)
      : unmeasured(specs[name], fault ?? 'no rounds', against),
  );
}
