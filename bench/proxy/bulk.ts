// Bytes of an allowed stream: the body of an HTTP answer, and TLS that policy passes through by its server's name.
import type { BenchOptions } from '../bench-options.ts';
import { peerAddress, SERVER } from '../firewall/world.ts';
import { type Figure, figure, type FigureSpec, percentile, unmeasured } from '../machine.ts';
import type { Bulk } from './jobs/bulk.ts';
import { BULK_PATH, PEERS, ports, TLS_NAME } from './policy.ts';
import { type BenchWorld, DIRECT, PATH } from './world.ts';

const TEXT = 'bulk ≥ 5 Gbit/s or ≥ 0.2x direct';
const LEAST_GBITS = 5;
const LEAST_SHARE = 0.2;

export async function measureBulk(world: BenchWorld, { quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  await using client = await world.client();
  const from = peerAddress(PEERS / 2);
  const figures: Figure[] = [];
  for (const [id, protocol, serverName] of [
    ['bulkHttp', 'http', undefined],
    ['bulkTls', 'tls', TLS_NAME],
  ] as const) {
    progress(`bulk over ${protocol}`);
    const port = ports[protocol];
    const seen = await client.order({
      job: 'bulk',
      targets: { direct: { address: DIRECT, port, from }, proxied: { address: SERVER, port, from } },
      path: BULK_PATH,
      ...(serverName === undefined ? {} : { serverName }),
      ...(quick ? { bytes: 100_000_000, rounds: 5 } : { bytes: 500_000_000, rounds: 9 }),
    });
    figures.push(bulkFigure(id, seen));
  }
  return figures;
}

const LEAST_ROUNDS = 5;
const round = (value: number): number => Math.round(value * 100) / 100;

/** In Gbit/s where that meets the goal, else as a share of direct. */
export function bulkFigure(id: string, { rounds, refuses }: Bulk): Figure {
  const of = (name: string): number[] => rounds.map((seen) => seen[name] ?? Number.NaN);
  const median = (values: readonly number[]): number => round(percentile(values, 0.5) ?? Number.NaN);
  const gbits = (name: string): number => median(of(name).map((bits) => bits / 1e9));
  const share = median(of('proxied').map((bits, at) => bits / (of('direct')[at] ?? Number.NaN)));
  const goal = (value: number): FigureSpec['goal'] => ({ relation: 'at least', value, text: TEXT });
  const inShares = { id, unit: 'x', goal: goal(LEAST_SHARE) } as FigureSpec;
  const against = {
    rounds: rounds.length,
    directGbits: gbits('direct'),
    proxiedGbits: gbits('proxied'),
    share,
    path: PATH,
  };
  if (rounds.length < LEAST_ROUNDS) return unmeasured(inShares, `${rounds.length} rounds`, against);
  if (refuses['proxied'] !== true || refuses['direct'] === true) {
    return unmeasured(inShares, 'another path or name was not refused by the proxy, or by the server too', against);
  }
  return gbits('proxied') >= LEAST_GBITS
    ? figure({ id, unit: 'Gbit/s', goal: goal(LEAST_GBITS) } as FigureSpec, gbits('proxied'), against)
    : figure(inShares, share, against);
}
