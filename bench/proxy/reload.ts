// Streams that never rest while the policy is replaced again and again.
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchOptions } from '../bench-options.ts';
import { peerAddress, SERVER } from '../firewall/world.ts';
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';
import type { Polled } from './jobs/poll.ts';
import { ports } from './policy.ts';
import { type BenchWorld, PATH } from './world.ts';

const STREAMS = 50;

const spec = {
  id: 'droppedStreams',
  unit: 'streams',
  goal: { relation: 'exactly', value: 0, text: 'reload of policy under load: 0 dropped allowed streams' },
} as const satisfies FigureSpec;

export async function measureReloads(world: BenchWorld, { quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  const [seconds, leastReloads] = quick ? [10, 3] : [90, 50];
  progress(`reloads under ${STREAMS} busy streams for ${seconds} s`);
  await using client = await world.client();
  const streaming = client.order({
    job: 'poll',
    target: { address: SERVER, port: ports.modbus },
    from: Array.from({ length: STREAMS }, (_, at) => peerAddress(at * 7)),
    periodMs: 0,
    seconds,
  });
  const end = performance.now() + seconds * 1_000 - 500;
  let reloads = 0;
  await delay(200);
  while (performance.now() < end) {
    await world.edge.reload();
    reloads += 1;
    await delay(100);
  }
  const streamed = await streaming;
  return reloadFigures(streamed, reloads, leastReloads);
}

export function reloadFigures(streamed: Polled, reloads: number, leastReloads: number): Figure[] {
  const against = { streams: STREAMS, reloads, streamed, path: PATH };
  const failed = streamed.missed > 0 && streamed.dropped === 0;
  const reason =
    reloads < leastReloads
      ? `${reloads} reloads, expected ${leastReloads} or more`
      : streamed.polls < STREAMS * reloads
        ? `${streamed.polls} requests in all: no load`
        : failed
          ? `${streamed.missed} requests were not answered though no stream ended`
          : undefined;
  return reason === undefined ? [figure(spec, streamed.dropped, against)] : [unmeasured(spec, reason, against)];
}
