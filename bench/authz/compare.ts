// All servers under the same load, in interleaved rounds, so that what else the machine does hits all of them.
import type { Evidence } from './check-requests.ts';
import type { LoadResult } from './load.ts';
import type { Generator, MeasuredServer } from './processes.ts';

export interface Contestant {
  /** `edge` decides, `edge-all` has every decision whole in the log too; `canned` gives one answer to everything. */
  readonly kind: 'edge' | 'edge-all' | 'canned';
  readonly transport: 'grpc-js' | 'h2';
  readonly series: Evidence;
  readonly server: MeasuredServer;
  readonly socket: string;
  /** Base64 of the answer of a canned server. */
  readonly canned?: string;
  readonly corpus: string;
}

export interface Round {
  /** CPU microseconds of the server a request, everything that it logged being on disk. */
  readonly serverUs: number;
  readonly generatorUs: number;
  readonly requestsPerSecond: number;
  readonly p50Us?: number;
  readonly p99Us?: number;
  readonly p999Us?: number;
  /** Decisions whose event is on disk, or that the spool had to drop. */
  readonly logged: number;
  readonly lost: number;
  /** Answers after the deadline of the request, which Envoy takes for errors. */
  readonly late: number;
}

export interface Seen extends Pick<Contestant, 'kind' | 'transport' | 'series'> {
  readonly streams: number;
  readonly requestsARound: number;
  readonly rounds: readonly Round[];
  readonly allowedShare: number;
  /** Fewest different requests of a round. */
  readonly distinct: number;
  /** Why none of it counts. */
  readonly fault: string | undefined;
}

export interface ComparePlan {
  /** By the number of requests in flight: how many requests a round of a server has. */
  readonly loads: readonly { readonly streams: number; readonly requests: number }[];
  readonly rounds: number;
  /** Requests before anything is measured. */
  readonly warmUp: number;
}

export const PATIENCE_MS = 10_000;

export async function compare(
  contestants: readonly Contestant[],
  generator: Generator,
  plan: ComparePlan,
  progress: (text: string) => void,
): Promise<Seen[]> {
  for (const one of contestants) await loadOnce(one, generator, 64, plan.warmUp);
  const seen = plan.loads.flatMap(({ streams, requests }) =>
    contestants.map((contestant) => ({
      contestant,
      streams,
      requests,
      rounds: [] as Round[],
      results: [] as LoadResult[],
    })),
  );
  for (let round = 0; round < plan.rounds; round++) {
    for (const entry of seen) {
      const { round: got, result } = await loadOnce(entry.contestant, generator, entry.streams, entry.requests);
      entry.rounds.push(got);
      entry.results.push(result);
    }
    progress(`round ${round + 1} of ${plan.rounds}`);
  }
  return seen.map(({ contestant: { kind, transport, series }, streams, requests, rounds, results }) => ({
    kind,
    transport,
    series,
    streams,
    requestsARound: requests,
    rounds,
    allowedShare: results.reduce((sum, { allowedShare }) => sum + allowedShare, 0) / results.length,
    distinct: Math.min(...results.map(({ distinct }) => distinct)),
    fault: results.map(faultOf).find((fault) => fault !== undefined),
  }));
}

async function loadOnce(
  { server, socket, corpus, canned }: Contestant,
  generator: Generator,
  streams: number,
  requests: number,
): Promise<{ round: Round; result: LoadResult }> {
  const before = await server.ask('settle');
  const order = { corpus, socket, streams, requests, patienceMs: PATIENCE_MS };
  const result = await generator.run(canned === undefined ? order : { ...order, canned });
  const after = await server.ask('settle');
  const { latency } = result;
  const round = {
    serverUs: (after.cpuUs - before.cpuUs) / requests,
    generatorUs: result.generatorUs,
    requestsPerSecond: requests / result.seconds,
    logged: after.logged - before.logged,
    lost: after.lost - before.lost,
    late: result.verdicts.late,
    ...(latency === undefined ? {} : { p50Us: latency.p50, p99Us: latency.p99, p999Us: latency.p999 }),
  };
  return { round, result };
}

/** Share of late answers that a machine with neighbours may cause; more are the server's. */
const MOST_LATE = 0.001;

/** One answer that is not the right one, and nothing of the run counts. A late one is told, and is a denial. */
export function faultOf({ verdicts, fault, sent, examples }: LoadResult): string | undefined {
  if (fault !== undefined) return fault;
  const wrong = Object.entries(verdicts).filter(
    ([verdict, count]) => verdict !== 'right' && count > (verdict === 'late' ? sent * MOST_LATE : 0),
  );
  if (wrong.length === 0) return undefined;
  return `${wrong.map(([verdict, count]) => `${count} times ${verdict}`).join(', ')} of ${sent}; ${examples[0] ?? ''}`;
}
