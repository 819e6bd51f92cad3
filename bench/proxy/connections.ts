// Memory of the edge's process with a thousand connections, each of which had a request allowed.
import type { BenchOptions } from '../bench-options.ts';
import { peerAddress, SERVER } from '../firewall/world.ts';
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';
import { ports } from './policy.ts';
import { type BenchWorld, PATH } from './world.ts';

const CONNECTIONS = 1_000;
/** Of one peer, below what the proxy allows one. */
const EACH = 5;

const specs = {
  total: {
    id: 'connections1000Mb',
    unit: 'MB',
    goal: { relation: 'at most', value: 150, text: '1,000 connections in ≤ 150 MB' },
  },
  each: { id: 'connectionKb', unit: 'kB' },
} as const satisfies Record<string, FigureSpec>;

const MB = 1_000_000;
const round = (value: number): number => Math.round(value * 10) / 10;

/** On an edge that has done nothing else: what it did before stays in its resident set. */
export async function measureConnections(world: BenchWorld, { progress }: BenchOptions): Promise<readonly Figure[]> {
  progress(`${CONNECTIONS} connections`);
  await using client = await world.client();
  const before = await world.edge.use(true);
  const target = { address: SERVER, port: ports.modbus };
  const from = Array.from({ length: CONNECTIONS }, (_, at) => peerAddress(Math.floor(at / EACH)));
  await client.order({ job: 'hold', target, from });
  const { served } = await client.order({ job: 'hold', target, from });
  const during = await world.edge.use();
  const collected = await world.edge.use(true);
  await client.order({ job: 'hold', target, from, release: true });
  const against = {
    served,
    peers: CONNECTIONS / EACH,
    withoutConnectionsMb: round(before.rssBytes / MB),
    heapMb: round(during.heapBytes / MB),
    externalMb: round(during.externalBytes / MB),
    afterCollectionMb: round(collected.rssBytes / MB),
    path: PATH,
    compileCache: 'warm',
  };
  if (served < CONNECTIONS) {
    const reason = `${served} of ${CONNECTIONS} connections are served`;
    return Object.values(specs).map((spec) => unmeasured(spec, reason, against));
  }
  return [
    figure(specs.total, round(during.rssBytes / MB), against),
    figure(specs.each, round((during.rssBytes - before.rssBytes) / CONNECTIONS / 1_000), {
      heapAndExternalKb: round(
        (collected.heapBytes + collected.externalBytes - before.heapBytes - before.externalBytes) / CONNECTIONS / 1_000,
      ),
    }),
  ];
}
