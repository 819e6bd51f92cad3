// npm run bench -- authz: what a request costs at the request enforcement points, against grpc-js with a canned reply and
// behind real proxies; how much memory, how fast alone, what mutated requests are answered.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { CheckResponseSchema } from '../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { compare, type Contestant, faultOf, PATIENCE_MS } from './authz/compare.ts';
import { authzFigures, type AuthzResults, enduranceFigures, type MutationRun } from './authz/figures.ts';
import { growth } from './authz/growth.ts';
import { runMutations } from './authz/mutations.ts';
import { prepare, type Prepared, seriesNames } from './authz/prepare.ts';
import { measureProxies, type ProxyWorld } from './authz/proxies.ts';
import { type Generator, type MeasuredServer, startEdge, startGenerator, startServer } from './authz/processes.ts';
import { type Transport, transports } from './authz/transports.ts';
import type { BenchOptions } from './bench-options.ts';
import type { Figure } from './machine.ts';

const RULES = 100_000;

const full = {
  requests: 12_000,
  compare: {
    loads: [
      { streams: 64, requests: 120_000 },
      { streams: 16, requests: 60_000 },
      { streams: 1, requests: 24_000 },
    ],
    rounds: 7,
    warmUp: 60_000,
  },
  growth: { requests: 24_000_000, samples: 48, maxSeconds: 1_800 },
  mutations: 1_000_000,
  proxies: { blocks: 200, requestsABlock: 100 },
} as const;

const quick = {
  requests: 12_000,
  compare: {
    loads: [
      { streams: 64, requests: 24_000 },
      { streams: 16, requests: 12_000 },
      { streams: 1, requests: 6_000 },
    ],
    rounds: 3,
    warmUp: 12_000,
  },
  growth: { requests: 240_000, samples: 8, maxSeconds: 60 },
  mutations: 40_000,
  proxies: { blocks: 20, requestsABlock: 50 },
} as const;

/** A good reply of usual size: what a canned server says to everything. */
const canned = Buffer.from(
  toBinary(
    CheckResponseSchema,
    create(CheckResponseSchema, {
      status: { code: 0 },
      httpResponse: {
        case: 'okResponse',
        value: {
          headers: ['x-edgeward-subject', 'x-edgeward-decision', 'x-edgeward-rule'].map((key) => ({
            header: { key, value: 'device-1234' },
            append: false,
          })),
        },
      },
    }),
  ),
).toString('base64');

const MB = 2 ** 20;

export const measureAuthz = async (options: BenchOptions): Promise<readonly Figure[]> =>
  await inFolder(options, measureIn);

/** Growth and mutated requests alone: no times, so that it may run on a busy machine. */
export const measureEndurance = async (options: BenchOptions): Promise<readonly Figure[]> =>
  await inFolder(options, endureIn);

async function inFolder(options: BenchOptions, measure: typeof measureIn): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-bench-authz-'));
  const started: { stop(): Promise<void> }[] = [];
  try {
    return await measure(folder, started, options);
  } finally {
    await Promise.all(started.map((one) => one.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureIn(
  folder: string,
  started: { stop(): Promise<void> }[],
  { quick: isQuick, progress }: BenchOptions,
): Promise<readonly Figure[]> {
  const plan = isQuick ? quick : full;
  const keep = <T extends { stop(): Promise<void> }>(one: T): T => {
    started.push(one);
    return one;
  };
  progress(`making ${RULES} rules and ${plan.requests} requests`);
  const prepared = await prepare(folder, RULES, plan.requests);
  const generator = keep(await startGenerator(seriesNames.map((name) => prepared.series[name].path)));
  const contestants: Contestant[] = [];
  for (const transport of transports) {
    const socket = join(folder, `canned-${transport}.sock`);
    const server = keep(await startServer({ kind: 'canned', transport, socket, reply: canned }));
    const corpus = prepared.series.principal.path;
    contestants.push({ kind: 'canned', transport, series: 'principal', server, socket, canned, corpus });
  }
  let atStart = 0;
  for (const transport of transports) {
    const server = keep(await startEdge(folder, `edge-${transport}`, transport, prepared.stateDir));
    atStart = (await server.ask('use')).rssBytes / MB;
    contestants.push(...seriesOf(server, transport, prepared));
  }
  const all = keep(await startEdge(folder, 'edge-all', 'h2', prepared.stateDirAll));
  contestants.push({ ...certified(all, prepared), kind: 'edge-all', transport: 'h2' });
  const seen = await compare(contestants, generator, plan.compare, progress);
  const ours = contestants.findLast(({ kind, series }) => kind === 'edge' && series === 'certificate');
  if (ours === undefined) throw new Error('no edge was measured');
  const loaded = await ours.server.ask('use');
  const collected = await ours.server.ask('collect');
  const memory = {
    startMb: atStart,
    afterLoadMb: loaded.rssBytes / MB,
    collectedMb: collected.rssBytes / MB,
    heapMb: collected.heapBytes / MB,
  };
  progress('mutated requests');
  const mutations = await mutateBoth(ours.server, prepared, generator, plan.mutations);
  const proxies = await measureProxies(
    await aroundProxies(folder, keep, prepared, ours.server),
    plan.proxies,
    progress,
  );
  progress('growth');
  const grown = await growth(ours, generator, plan.growth, progress);
  const results: AuthzResults = {
    quick: isQuick,
    prepared,
    seen,
    transport: 'h2',
    memory,
    growth: grown,
    mutations,
    proxies,
  };
  return authzFigures(results);
}

async function endureIn(
  folder: string,
  started: { stop(): Promise<void> }[],
  { quick: isQuick, progress }: BenchOptions,
): Promise<readonly Figure[]> {
  const plan = isQuick ? quick : full;
  progress(`making ${RULES} rules and ${plan.requests} requests`);
  const prepared = await prepare(folder, RULES, plan.requests);
  const generator = await startGenerator(seriesNames.map((name) => prepared.series[name].path));
  const server = await startEdge(folder, 'edge', 'h2', prepared.stateDir);
  started.push(generator, server);
  progress('mutated requests');
  const mutations = await mutateBoth(server, prepared, generator, plan.mutations);
  progress('growth');
  const edge = { ...certified(server, prepared), kind: 'edge', transport: 'h2' } as const;
  const grown = await growth(edge, generator, plan.growth, progress);
  return enduranceFigures({ quick: isQuick, growth: grown, mutations });
}

/** Sockets on both sides of the proxies. */
async function aroundProxies(
  folder: string,
  keep: <T extends { stop(): Promise<void> }>(one: T) => T,
  prepared: Prepared,
  edge: MeasuredServer,
): Promise<ProxyWorld> {
  const cannedForwardAuth = join(folder, 'canned-forward-auth.sock');
  keep(await startServer({ kind: 'canned-forward-auth', socket: cannedForwardAuth }));
  const workload = keep(await startServer({ kind: 'workload' }));
  const cannedCheck = join(folder, 'canned-h2.sock');
  const workloadPort = workload.listening.port ?? 0;
  return { folder, prepared, edge, cannedCheck, cannedForwardAuth, workloadPort };
}

function seriesOf(server: MeasuredServer, transport: Transport, prepared: Prepared): Contestant[] {
  const { checkByName = '' } = server.listening;
  const edge = { kind: 'edge', transport, server } as const;
  return [
    { ...edge, series: 'principal', socket: checkByName, corpus: prepared.series.principal.path },
    { ...edge, ...certified(server, prepared) },
  ];
}

const certified = (server: MeasuredServer, { series }: Prepared) =>
  ({ server, series: 'certificate', socket: server.listening.check, corpus: series.certificate.path }) as const;

/** Half of them with certificates, which most changes break, half with names, which more survive. */
async function mutateBoth(
  server: MeasuredServer,
  { series, oracle }: Prepared,
  generator: Generator,
  requests: number,
): Promise<MutationRun[]> {
  const runs: MutationRun[] = [];
  for (const [index, evidence] of seriesNames.entries()) {
    const { check, checkByName = '' } = server.listening;
    const socket = evidence === 'principal' ? checkByName : check;
    const { corpus, path } = series[evidence];
    const run = await runMutations(corpus, oracle, {
      socket,
      evidence,
      requests: requests / 2,
      streams: 64,
      seed: index + 1,
    });
    const asked = { corpus: path, socket, streams: 64, requests: corpus.requests.length, patienceMs: PATIENCE_MS };
    const after = server.alive() ? faultOf(await generator.run(asked)) : 'the process ended';
    runs.push({ ...run, evidence, alive: server.alive(), after });
  }
  return runs;
}
