// Decisions of one edge at a steady rate, each with a path of its own, so that every one can be found again in the log.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { connectEnvoy } from '../scenario/proxies.ts';
import { type EdgeName, type Event, type Site } from '../scenario/site.ts';
import { until } from '../support/until.ts';

export interface Load {
  /** Paths that were decided so far. */
  readonly decided: readonly string[];
  /** Ends it; every decision has been answered then. */
  stop(): Promise<readonly string[]>;
}

/** Asks `edge` for decisions about gateway-1 that it grants, some hundred a second. */
export function startLoad(site: Site, edge: EdgeName): Load {
  const envoy = connectEnvoy(site.paths.grpcSocket(edge));
  const chain = site.paths.chain('gateway-1');
  const decided: string[] = [];
  const stopped = new AbortController();
  const done = (async () => {
    for (let n = 0; !stopped.signal.aborted; n += 10) {
      const paths = Array.from({ length: 10 }, (_, index) => `/status?n=${n + index}`);
      const answers = await Promise.all(paths.map((path) => envoy.check({ interface: 'hmi-web', path, chain })));
      assert.ok(
        answers.every(({ allow }) => allow),
        'the edge goes on deciding',
      );
      decided.push(...paths);
      await delay(25);
    }
  })();
  // Told by stop().
  done.catch(() => undefined);
  return {
    decided,
    async stop() {
      stopped.abort();
      try {
        await done;
      } finally {
        envoy[Symbol.dispose]();
      }
      return decided;
    },
  };
}

/** Waits until the edge has nothing left to deliver. */
export async function delivered(site: Site, edge: EdgeName): Promise<void> {
  await until(
    'the spool is delivered',
    async () => {
      const { spool } = await site.status(edge);
      return spool.acknowledged === spool.sequence && spool.sequence > 0;
    },
    30_000,
  );
}

/** The edge's events in the cloud's log are a gapless sequence without repetition, and hold each path exactly once. */
export async function storedOnce(site: Site, edge: EdgeName, paths: readonly string[]): Promise<Event[]> {
  const events = await site.events({ device: edge });
  assert.deepEqual(
    events.map(({ sequence }) => sequence),
    events.map((_, index) => index + 1),
    'sequences without gap or repetition',
  );
  const counts = new Map<unknown, number>();
  for (const { data } of events) counts.set(data['path'], (counts.get(data['path']) ?? 0) + 1);
  assert.deepEqual(
    paths.filter((path) => counts.get(path) !== 1),
    [],
    'each decision is stored once',
  );
  return events;
}
