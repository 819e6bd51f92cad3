// Millions of requests at one server: what it holds at the start and at the end, sampled after a collection each time, and
// the slope over everything after the warm-up.
import { faultOf, PATIENCE_MS, type Contestant } from './compare.ts';
import type { Generator } from './processes.ts';

export interface GrowthPlan {
  readonly requests: number;
  readonly samples: number;
  /** Seconds after which it stops early, and does not count. */
  readonly maxSeconds: number;
}

export interface Growth {
  readonly requests: number;
  readonly planned: number;
  /** Megabytes that the samples after the warm-up grow by over all planned requests, by least squares. */
  readonly heapMb: number;
  readonly rssMb: number;
  readonly samples: readonly { readonly requests: number; readonly heapMb: number; readonly rssMb: number }[];
  readonly fault: string | undefined;
}

const MB = 2 ** 20;
/** Share of the samples that are warm-up. */
const WARM_UP = 0.25;

export async function growth(
  { server, socket, corpus }: Contestant,
  generator: Generator,
  plan: GrowthPlan,
  progress: (text: string) => void,
): Promise<Growth> {
  const samples: Growth['samples'][number][] = [];
  const started = performance.now();
  let asked = 0;
  let fault: string | undefined;
  const sample = async (): Promise<void> => {
    const { heapBytes, externalBytes, rssBytes } = await server.ask('collect');
    samples.push({ requests: asked, heapMb: (heapBytes + externalBytes) / MB, rssMb: rssBytes / MB });
  };
  await sample();
  while (asked < plan.requests && fault === undefined) {
    const requests = Math.ceil(plan.requests / plan.samples);
    fault = faultOf(await generator.run({ corpus, socket, streams: 64, requests, patienceMs: PATIENCE_MS }));
    await server.ask('settle');
    asked += requests;
    await sample();
    progress(`${asked} of ${plan.requests} requests, ${samples.at(-1)?.rssMb.toFixed(0)} MB`);
    if ((performance.now() - started) / 1_000 > plan.maxSeconds) break;
  }
  const warm = samples.slice(Math.ceil(samples.length * WARM_UP));
  const over = (of: (one: Growth['samples'][number]) => number): number =>
    slope(warm.map((one) => [one.requests, of(one)])) * plan.requests;
  return {
    requests: asked,
    planned: plan.requests,
    heapMb: over(({ heapMb }) => heapMb),
    rssMb: over(({ rssMb }) => rssMb),
    samples,
    fault,
  };
}

/** Of the least-squares line through the points; 0 through fewer than two. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(points.map(([at]) => at));
  const y = mean(points.map(([, value]) => value));
  const spread = points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0) / spread;
}
