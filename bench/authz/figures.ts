// What was seen, as figures with the goals. Nothing is measured here.
import { type Figure, figure, type FigureSpec, percentile, unmeasured } from '../machine.ts';
import type { Round, Seen } from './compare.ts';
import type { Growth } from './growth.ts';
import type { Mutations } from './mutations.ts';
import type { Prepared } from './prepare.ts';
import type { ProxyLatency } from './proxies.ts';

type Goal = Required<FigureSpec>['goal'];
const atMost = (value: number, text: string): Goal => ({ relation: 'at most', value, text });
const atLeast = (value: number, text: string): Goal => ({ relation: 'at least', value, text });
const none = (text: string): Goal => ({ relation: 'exactly', value: 0, text });

const specs = {
  cpu: {
    id: 'serverCpuUs',
    unit: 'µs',
    goal: atMost(
      6.7,
      'server CPU ≤ 6.7 µs a request at 64 streams on a unix socket with the decision log on, at 100,000 rules',
    ),
  },
  cpuCertificate: {
    id: 'serverCpuCertificateUs',
    unit: 'µs',
    goal: atMost(6.7, 'the same with the certificate of every caller in the request, verified here'),
  },
  cpuAll: { id: 'serverCpuAllRecordedUs', unit: 'µs' },
  perCore: { id: 'requestsPerSecondPerCore', unit: 'requests/s', goal: atLeast(150_000, '≥ 150,000/s per core') },
  transport: {
    id: 'transportRatio',
    unit: 'x',
    goal: atLeast(3, 'transport alone at least 3x grpc-js with a canned reply'),
  },
  p50: { id: 'singleStreamP50Us', unit: 'µs', goal: atMost(60, 'single stream p50 ≤ 60 µs') },
  p99: { id: 'singleStreamP99Us', unit: 'µs', goal: atMost(200, 'p99 ≤ 200 µs') },
  wrong: { id: 'wrongAnswers', unit: 'answers', goal: none('every answer is the one known beforehand') },
  lost: { id: 'eventsLost', unit: 'events', goal: none('the decision log loses nothing') },
  late: { id: 'lateAnswers', unit: 'answers', goal: none('no answer after its deadline of 500 ms') },
  distinct: {
    id: 'distinctRequests',
    unit: 'requests',
    goal: atLeast(10_000, '≥ 10,000 distinct CheckRequests'),
  },
  leastAllowed: { id: 'leastAllowedShare', unit: 'share', goal: atLeast(0.4, '40 to 60 % allowed') },
  mostAllowed: { id: 'mostAllowedShare', unit: 'share', goal: atMost(0.6, '40 to 60 % allowed') },
  generator: { id: 'generatorToServer', unit: 'x', goal: atMost(1, 'the generator costs less than the server') },
  rss: { id: 'rssMb', unit: 'MB', goal: atMost(120, 'RSS ≤ 120 MB at 100,000 rules') },
  growth: { id: 'growthMb', unit: 'MB', goal: atMost(4, '24 million requests without growth') },
  mutated: { id: 'mutatedRequests', unit: 'requests', goal: atLeast(1_000_000, '1,000,000 mutated requests') },
  wrongAllows: { id: 'mutatedWrongAllows', unit: 'allows', goal: none('0 wrong allows') },
  crashes: { id: 'mutatedCrashes', unit: 'crashes', goal: none('0 crashes') },
} as const satisfies Record<string, FigureSpec>;

/** What an acknowledged decision survives, as the server runs here. */
const durability =
  'denials always: the first of a caller each by itself, floods as counts; of the allows one in 100 whole, drawn by chance, the ' +
  'others in exact counts each second; handed to the spool before the answer leaves, chained and written with fsync in groups of ' +
  'about 10 ms; a crash loses the group under way; rounds end when all is on disk; acknowledged for the cloud at 4 Hz, not delivered';

export interface Memory {
  readonly startMb: number;
  readonly afterLoadMb: number;
  readonly collectedMb: number;
  readonly heapMb: number;
}

export interface MutationRun extends Mutations {
  readonly evidence: string;
  readonly alive: boolean;
  /** Why the server no longer answers right after it. */
  readonly after: string | undefined;
}

export interface AuthzResults {
  readonly quick: boolean;
  readonly prepared: Pick<Prepared, 'policy' | 'series' | 'devices' | 'interfaces' | 'methods' | 'allowedShare'>;
  readonly seen: readonly Seen[];
  /** Of the edge that the figures are of. */
  readonly transport: Seen['transport'];
  readonly memory: Memory;
  readonly growth: Growth;
  readonly mutations: readonly MutationRun[];
  readonly proxies: readonly ProxyLatency[];
}

export function authzFigures(results: AuthzResults): Figure[] {
  return [
    ...cpuFigures(results),
    transportFigure(results),
    ...latencyFigures(results),
    ...results.proxies.flatMap(proxyFigures),
    ...honestyFigures(results),
    rssFigure(results),
    ...enduranceFigures(results),
  ];
}

/** What no time is measured for. */
export function enduranceFigures(results: Pick<AuthzResults, 'quick' | 'growth' | 'mutations'>): Figure[] {
  return [growthFigure(results), ...mutationFigures(results)];
}

type Key = Partial<Pick<Seen, 'kind' | 'transport' | 'series' | 'streams'>>;

function find({ seen }: AuthzResults, key: Key): Seen | undefined {
  return seen.find((one) => Object.entries(key).every(([name, value]) => one[name as keyof Key] === value));
}

/** The best round in which nothing was dropped; why there is none. */
function bestRound(one: Seen | undefined): Round | string {
  if (one === undefined) return 'not measured';
  if (one.fault !== undefined) return one.fault;
  const kept = one.rounds.filter(({ lost }) => lost === 0);
  const [best] = kept.toSorted((a, b) => a.serverUs - b.serverUs);
  return best ?? 'the spool dropped events in every round';
}

const us = (one: Seen | undefined): number | null => {
  const best = bestRound(one);
  return typeof best === 'string' ? null : best.serverUs;
};

/** Every server and load beside the figure. */
const table = ({ seen }: AuthzResults): Record<string, unknown> =>
  Object.fromEntries(
    seen.map((one) => [
      `${one.kind} ${one.transport} ${one.series} m=${one.streams}`,
      one.fault ?? {
        us: us(one),
        roundsUs: one.rounds.map(({ serverUs }) => round(serverUs)),
        requestsPerSecond: Math.round(Math.max(...one.rounds.map(({ requestsPerSecond }) => requestsPerSecond))),
        generatorUs: round(Math.min(...one.rounds.map(({ generatorUs }) => generatorUs))),
      },
    ]),
  );

const round = (value: number): number => Number(value.toPrecision(4));

function cpuFigures(results: AuthzResults): Figure[] {
  const { prepared } = results;
  const transport = results.transport;
  const at = (series: Seen['series']) => find(results, { kind: 'edge', transport, series, streams: 64 });
  const corpus = {
    transport,
    rules: prepared.policy.rules,
    requests: prepared.policy.accesses.length,
    devices: prepared.devices,
    interfaces: prepared.interfaces,
    methods: prepared.methods,
    log: durability,
  };
  const byName = bestRound(at('principal'));
  const byCertificate = bestRound(at('certificate'));
  const said = (series: Seen['series'], best: Round): Figure['against'] => ({
    ...corpus,
    meanBytes: Math.round(prepared.series[series].meanBytes),
    loggedShare: round(best.logged / (at(series)?.requestsARound ?? 1)),
    ...(series === 'principal'
      ? { subject: 'by the name that Envoy gives, which the product itself never believes without a certificate' }
      : {}),
  });
  const allRecorded = bestRound(
    find(results, { kind: 'edge-all', transport: 'h2', series: 'certificate', streams: 64 }),
  );
  return [
    typeof allRecorded === 'string'
      ? unmeasured(specs.cpuAll, allRecorded)
      : figure(specs.cpuAll, allRecorded.serverUs, { log: 'the same, every decision a whole event in the spool' }),
    typeof byName === 'string'
      ? unmeasured(specs.cpu, byName)
      : figure(specs.cpu, byName.serverUs, { ...said('principal', byName), all: table(results) }),
    typeof byCertificate === 'string'
      ? unmeasured(specs.cpuCertificate, byCertificate)
      : figure(specs.cpuCertificate, byCertificate.serverUs, said('certificate', byCertificate)),
    typeof byName === 'string'
      ? unmeasured(specs.perCore, byName)
      : figure(specs.perCore, 1e6 / byName.serverUs, {
          withCertificate: typeof byCertificate === 'string' ? null : 1e6 / byCertificate.serverUs,
          byTheClock: byName.requestsPerSecond,
        }),
  ];
}

function transportFigure(results: AuthzResults): Figure {
  const ratio = (key: Key): number | null => {
    const ours = us(find(results, { ...key, transport: 'h2' }));
    const theirs = us(find(results, { ...key, transport: 'grpc-js' }));
    return ours === null || theirs === null ? null : round(theirs / ours);
  };
  const value = ratio({ kind: 'canned', streams: 64 });
  if (value === null) return unmeasured(specs.transport, 'a canned server gave no countable round');
  return figure(specs.transport, value, {
    at16: ratio({ kind: 'canned', streams: 16 }),
    at1: ratio({ kind: 'canned', streams: 1 }),
    wholePath: ratio({ kind: 'edge', series: 'principal', streams: 64 }),
    wholePathWithCertificate: ratio({ kind: 'edge', series: 'certificate', streams: 64 }),
  });
}

/** Closed loop with one request in flight: the median of the rounds, so that neither a lucky nor an unlucky one counts. */
function latencyFigures(results: AuthzResults): Figure[] {
  const at = (key: Key) => find(results, { transport: results.transport, streams: 1, ...key });
  const ours = at({ kind: 'edge', series: 'certificate' });
  if (ours === undefined || ours.fault !== undefined) {
    return [specs.p50, specs.p99].map((spec) => unmeasured(spec, ours?.fault ?? 'not measured'));
  }
  const median = (one: Seen | undefined, of: 'p50Us' | 'p99Us' | 'p999Us'): number | null =>
    percentile(one?.rounds.map((got) => got[of] ?? Number.NaN) ?? [], 0.5) ?? null;
  const all = (of: 'p50Us' | 'p99Us'): Figure['against'] => ({
    loop: 'closed, one request in flight: a stall delays one request, and the next is sent when it is over',
    rounds: ours.rounds.map((got) => round(got[of] ?? Number.NaN)),
    requestsARound: ours.requestsARound,
    byName: median(at({ kind: 'edge', series: 'principal' }), of),
    cannedGrpcJs: median(find(results, { kind: 'canned', transport: 'grpc-js', streams: 1 }), of),
    cannedH2: median(find(results, { kind: 'canned', transport: 'h2', streams: 1 }), of),
    p999Us: median(ours, 'p999Us'),
  });
  return [
    figure(specs.p50, median(ours, 'p50Us') ?? Number.NaN, all('p50Us')),
    figure(specs.p99, median(ours, 'p99Us') ?? Number.NaN, all('p99Us')),
  ];
}

/** What a client waits behind the proxy, by what it waits behind the same proxy with an answer that costs nothing. */
function proxyFigures({ name, fault, ours, canned, requests }: ProxyLatency): Figure[] {
  return (['p50Us', 'p99Us'] as const).map((of) => {
    const share = of === 'p50Us' ? 'p50' : 'p99';
    const text = `behind ${name} ${share} within 1.2x of the same ${name} with a canned answer`;
    const spec = { id: `${name}${share === 'p50' ? 'P50' : 'P99'}Ratio`, unit: 'x', goal: atMost(1.2, text) };
    if (fault !== undefined || ours === undefined || canned === undefined)
      return unmeasured(spec, fault ?? 'not measured');
    return figure(spec, ours[of] / canned[of], {
      us: ours[of],
      cannedUs: canned[of],
      addedUs: ours[of] - canned[of],
      requests,
      loop: 'closed, one request in flight on kept TLS connections of 20 devices, blocks by turns',
    });
  });
}

function honestyFigures(results: AuthzResults): Figure[] {
  const { seen } = results;
  const edges = seen.filter(({ kind }) => kind === 'edge');
  const faults = seen.flatMap((one) =>
    one.fault === undefined ? [] : [`${one.kind} ${one.transport} ${one.series} m=${one.streams}: ${one.fault}`],
  );
  const wrong = faults.length === 0 ? 0 : faults.length;
  const lost = edges.flatMap(({ rounds }) => rounds).reduce((sum, one) => sum + one.lost, 0);
  const answered = edges.reduce((sum, one) => sum + one.rounds.length * one.requestsARound, 0);
  const shares = edges.map(({ allowedShare }) => allowedShare);
  const compared = edges.filter(({ streams }) => streams === 64);
  const generator = Math.max(
    ...compared.map(
      ({ rounds }) =>
        Math.min(...rounds.map(({ generatorUs }) => generatorUs)) / Math.min(...rounds.map(({ serverUs }) => serverUs)),
    ),
  );
  return [
    figure(specs.wrong, wrong, { answered, faults }),
    figure(specs.lost, lost, { answered }),
    figure(
      specs.late,
      edges.flatMap(({ rounds }) => rounds).reduce((sum, one) => sum + one.late, 0),
      { answered },
    ),
    figure(specs.distinct, Math.min(...edges.filter(({ streams }) => streams === 64).map(({ distinct }) => distinct))),
    figure(specs.leastAllowed, Math.min(...shares)),
    figure(specs.mostAllowed, Math.max(...shares)),
    figure(specs.generator, generator),
  ];
}

const rssFigure = ({ memory }: AuthzResults): Figure =>
  figure(specs.rss, memory.afterLoadMb, { ...memory, of: 'the process after load, nothing collected by hand' });

function growthFigure({ growth, quick }: Pick<AuthzResults, 'quick' | 'growth'>): Figure {
  const { requests, planned, heapMb, rssMb, samples, fault } = growth;
  const beside = { requests, rssMb, first: samples[0], last: samples.at(-1), samples: samples.length };
  // A quick run tells how it looks and promises nothing.
  const spec = quick ? { id: specs.growth.id, unit: specs.growth.unit } : specs.growth;
  if (fault !== undefined) return unmeasured(spec, fault, beside);
  if (requests < planned)
    return unmeasured(spec, `only ${requests} of ${planned} requests in the time there was`, beside);
  return figure(spec, heapMb, beside);
}

function mutationFigures({ mutations, quick }: Pick<AuthzResults, 'quick' | 'mutations'>): Figure[] {
  const sum = (of: (one: MutationRun) => number): number => mutations.reduce((all, one) => all + of(one), 0);
  const crashes = mutations.filter(({ alive, after, unanswered }) => !alive || after !== undefined || unanswered > 0);
  const counted = quick ? { id: specs.mutated.id, unit: specs.mutated.unit } : specs.mutated;
  return [
    figure(
      counted,
      sum(({ sent }) => sent),
      {
        allows: sum(({ allows }) => allows),
        denials: sum(({ denials }) => denials),
        errors: sum(({ errors }) => errors),
        allowsBesideBrokenFields: sum(({ besideBrokenFields }) => besideBrokenFields),
        deniedThoughAllowed: sum(({ deniedThoughAllowed }) => deniedThoughAllowed),
      },
    ),
    figure(
      specs.wrongAllows,
      sum(({ wrongAllows }) => wrongAllows),
      { examples: mutations.flatMap(({ examples }) => examples) },
    ),
    figure(specs.crashes, crashes.length, {
      after: crashes.map(({ evidence, after }) => `${evidence}: ${after ?? 'ended'}`),
      unanswered: sum(({ unanswered }) => unanswered),
      connectionsEnded: sum(({ connectionsEnded }) => connectionsEnded),
    }),
  ];
}
