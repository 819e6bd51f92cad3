// Figures say what was seen: one fault and there is none, and no round counts in which the log lost something.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Round, Seen } from './compare.ts';
import { authzFigures, type AuthzResults } from './figures.ts';
import { slope } from './growth.ts';

const round: Round = {
  serverUs: 5,
  generatorUs: 2,
  requestsPerSecond: 100_000,
  logged: 100,
  lost: 0,
  late: 0,
  p50Us: 50,
  p99Us: 90,
  p999Us: 99,
};

const seen = (
  kind: Seen['kind'],
  transport: Seen['transport'],
  series: Seen['series'],
  change: Partial<Seen> = {},
): Seen[] =>
  [64, 16, 1].map((streams) => ({
    kind,
    transport,
    series,
    streams,
    requestsARound: 100,
    rounds: [round, { ...round, serverUs: 4 }],
    allowedShare: 0.5,
    distinct: 12_000,
    fault: undefined,
    ...change,
  }));

const results = (servers: readonly Seen[], change: Partial<AuthzResults> = {}): AuthzResults => ({
  quick: false,
  prepared: {
    policy: { rules: 100_000, accesses: [] },
    series: { principal: { meanBytes: 800 }, certificate: { meanBytes: 1_500 } } as AuthzResults['prepared']['series'],
    devices: 1_500,
    interfaces: 150,
    methods: 6,
    allowedShare: 0.5,
  },
  seen: servers,
  transport: 'h2',
  memory: { startMb: 90, afterLoadMb: 110, collectedMb: 100, heapMb: 50 },
  growth: { requests: 24_000_000, planned: 24_000_000, heapMb: 1, rssMb: 1, samples: [], fault: undefined },
  mutations: [],
  proxies: [],
  ...change,
});

const ours = [...seen('edge', 'h2', 'principal'), ...seen('edge', 'h2', 'certificate')];
const canned = [
  ...seen('canned', 'grpc-js', 'principal', { rounds: [{ ...round, serverUs: 30 }] }),
  ...seen('canned', 'h2', 'principal', { rounds: [{ ...round, serverUs: 2 }] }),
];

function valueOf(of: AuthzResults, id: string) {
  const found = authzFigures(of).find((one) => one.id === id);
  assert.ok(found, id);
  return found;
}

test('the best round counts, and the ratio is to grpc-js in the same run', () => {
  const all = results([...canned, ...ours]);
  assert.equal(valueOf(all, 'serverCpuUs').value, 4);
  assert.equal(valueOf(all, 'requestsPerSecondPerCore').value, 250_000);
  assert.equal(valueOf(all, 'transportRatio').value, 15);
  assert.equal(valueOf(all, 'singleStreamP50Us').value, 50);
  assert.equal(valueOf(all, 'wrongAnswers').value, 0);
});

test('one wrong answer anywhere: no figure of that server', () => {
  const fault = '1 times wrong deny of 100';
  const all = results([
    ...canned,
    ...seen('edge', 'h2', 'principal', { fault }),
    ...seen('edge', 'h2', 'certificate', { fault }),
  ]);
  for (const id of ['serverCpuUs', 'serverCpuCertificateUs', 'requestsPerSecondPerCore', 'singleStreamP50Us']) {
    const { value, met, reason } = valueOf(all, id);
    assert.deepEqual([value, met, reason], [null, false, fault], id);
  }
  assert.equal(valueOf(all, 'wrongAnswers').met, false);
});

test('a round in which the log dropped events is not the best one', () => {
  const rounds = [round, { ...round, serverUs: 1, lost: 7 }];
  const all = results([
    ...canned,
    ...seen('edge', 'h2', 'principal', { rounds }),
    ...seen('edge', 'h2', 'certificate', { rounds }),
  ]);
  assert.equal(valueOf(all, 'serverCpuUs').value, 5);
  assert.equal(valueOf(all, 'eventsLost').met, false);
});

test('all denied, few distinct requests, a generator dearer than the server: each is told', () => {
  const change = { allowedShare: 0, distinct: 1, rounds: [{ ...round, generatorUs: 6 }] };
  const all = results([
    ...canned,
    ...seen('edge', 'h2', 'principal', change),
    ...seen('edge', 'h2', 'certificate', change),
  ]);
  for (const id of ['leastAllowedShare', 'distinctRequests', 'generatorToServer'])
    assert.equal(valueOf(all, id).met, false, id);
});

test('a run that stopped early promises nothing about growth', () => {
  const growth = { requests: 1_000_000, planned: 24_000_000, heapMb: 0, rssMb: 0, samples: [], fault: undefined };
  const { value, met } = valueOf(results([...canned, ...ours], { growth }), 'growthMb');
  assert.deepEqual([value, met], [null, false]);
});

test('the slope is that of the line through the points', () => {
  assert.equal(
    slope([
      [0, 1],
      [10, 21],
      [20, 41],
    ]),
    2,
  );
  assert.equal(slope([[5, 1]]), 0);
});
