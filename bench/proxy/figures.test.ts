// Cheap ways to good figures of the proxies are no figures.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bulkFigure } from './bulk.ts';
import type { PingPong } from './jobs/ping-pong.ts';
import type { Polled } from './jobs/poll.ts';
import { latencyFigures } from './latency.ts';
import { mqttFigures } from './mqtt.ts';
import { mutationFigures, type OverSockets } from './mutations.ts';
import type { Mutated } from './mutated/run.ts';
import { pollingFigures, type PollingSeen } from './polling.ts';
import { reloadFigures } from './reload.ts';

const metOf = (figures: ReturnType<typeof latencyFigures>): Record<string, boolean | null> =>
  Object.fromEntries(figures.map(({ id, met }) => [id, met]));

const series = (us: number) => ({ latencies: new Float64Array(100).fill(us), requestsPerSecond: 1_000_000 / us });
const pingPong = (more: Partial<PingPong> = {}): PingPong => ({
  rounds: Array.from({ length: 5 }, () => ({ direct: series(60), proxied: series(90) })),
  refuses: { direct: false, proxied: true },
  ...more,
});

test('latency: a good run meets its goals', () => {
  assert.deepEqual(metOf(latencyFigures(pingPong())), {
    modbusAddedP50Us: true,
    modbusAddedP99Us: null,
    modbusRateRatio: true,
  });
});

test('latency: a proxy that refuses nothing, another server, or a single round is no figure', () => {
  for (const trick of [
    { refuses: { direct: false, proxied: false } },
    { refuses: { direct: true, proxied: true } },
    { rounds: pingPong().rounds.slice(1) },
  ]) {
    const [added, , rate] = latencyFigures(pingPong(trick));
    assert.deepEqual([added?.value, added?.met, rate?.met], [null, false, false]);
  }
});

const polled = (more: Partial<Polled> = {}): Polled => ({
  polls: 5_000,
  missed: 0,
  dropped: 0,
  drops: [],
  p50Ms: 1,
  p99Ms: 2,
  maxMs: 3,
  ...more,
});
const polling = (more: Partial<PollingSeen> = {}): PollingSeen => ({
  polled: polled(),
  suspect: polled({ missed: 5, dropped: 1, drops: [{ from: '10.64.0.60', atMs: 4_010 }] }),
  attacked: { connections: 3_000, established: 2_000, reset: 1_000, deniedWrites: 20_000, garbageBytes: 300_000 },
  reloads: 8,
  seconds: 10,
  quarantinedAtMs: 4_000,
  forbidden: 0,
  edgeCpuShare: 0.5,
  ...more,
});

test('polling: nothing missed counts only where there was an attack, a quarantine that worked, and reloads', () => {
  assert.equal(pollingFigures(polling())[0]?.met, true);
  assert.equal(pollingFigures(polling({ polled: polled({ missed: 1 }) }))[0]?.met, false);
  for (const trick of [
    { polled: polled({ polls: 4_000 }) },
    { suspect: polled() },
    { reloads: 1 },
    { attacked: { ...polling().attacked, established: 10 } },
    { forbidden: 1 },
  ]) {
    const [figure] = pollingFigures(polling(trick));
    assert.deepEqual([figure?.value, figure?.met], [null, false]);
  }
});

test('reload: few reloads, no load, or silence is no figure; a dropped stream counts', () => {
  assert.equal(reloadFigures(polled(), 20, 10)[0]?.met, true);
  assert.deepEqual(
    [reloadFigures(polled(), 5, 10), reloadFigures(polled({ polls: 100 }), 20, 10)].map(([figure]) => figure?.value),
    [null, null],
  );
  assert.equal(reloadFigures(polled({ missed: 1 }), 20, 10)[0]?.value, null);
  assert.deepEqual(
    reloadFigures(polled({ missed: 1, dropped: 1 }), 20, 10).map(({ value, met }) => [value, met]),
    [[1, false]],
  );
});

const rates = (direct: number, proxied: number, count = 5) =>
  Array.from({ length: count }, () => ({ direct, proxied }));
const refuses = { direct: false, proxied: true };

test('bulk: gigabits or a share, whichever is met; a proxy that refuses no other path is no figure', () => {
  const valueOf = (seen: Parameters<typeof bulkFigure>[1]) => {
    const { value, unit, met } = bulkFigure('bulkHttp', seen);
    return [value, unit, met];
  };
  assert.deepEqual(valueOf({ rounds: rates(40e9, 6e9), refuses }), [6, 'Gbit/s', true]);
  assert.deepEqual(valueOf({ rounds: rates(4e9, 2e9), refuses }), [0.5, 'x', true]);
  assert.deepEqual(valueOf({ rounds: rates(40e9, 4e9), refuses }), [0.1, 'x', false]);
  assert.deepEqual(valueOf({ rounds: rates(4e9, 4e9), refuses: { direct: false, proxied: false } }), [
    null,
    'x',
    false,
  ]);
  assert.deepEqual(valueOf({ rounds: rates(4e9, 4e9, 1), refuses }), [null, 'x', false]);
});

test('MQTT: a broker that refuses as well, or a proxy that refuses nothing, is no figure', () => {
  const specs = [
    { id: 'rate', unit: '', goal: { relation: 'at least', value: 20_000, text: '' } },
    { id: 'ratio', unit: '', goal: { relation: 'at least', value: 0.5, text: '' } },
  ] as const;
  const valuesOf = (seen: Parameters<typeof mqttFigures>[1]) =>
    mqttFigures(specs, seen).map(({ value, met }) => [value, met]);
  assert.deepEqual(valuesOf({ rounds: rates(40_000, 25_000), refuses }), [
    [25_000, true],
    [0.625, true],
  ]);
  const nothing = [
    [null, false],
    [null, false],
  ];
  assert.deepEqual(valuesOf({ rounds: rates(1, 1), refuses: { direct: true, proxied: true } }), nothing);
  assert.deepEqual(valuesOf({ rounds: rates(1, 1), refuses: { direct: false, proxied: false } }), nothing);
});

const mutated = (more: Partial<Mutated> = {}): Mutated => ({
  streams: 1_000,
  wholeStreams: 300,
  bytes: 100_000,
  allowed: 1_200,
  delivered: 1_100,
  allowedWhole: 700,
  deliveredWhole: 700,
  deniedBytes: 0,
  denied: 2_000,
  refused: 900,
  mutations: { bitFlip: 10 },
  faulty: 0,
  examples: [],
  ...more,
});
const sockets: OverSockets = {
  streams: 100,
  connected: 100,
  whole: 30,
  answered: 30,
  messages: 100,
  deniedBytes: 0,
  examples: [],
};

test('mutations: denying all, allowing all, fewer streams or a lost message is found out', () => {
  const seen = (more: Partial<Mutated>, wanted = 1_000) =>
    mutationFigures({ modbus: [mutated(more)] }, sockets, wanted).map(({ value, met }) => [value, met]);
  assert.deepEqual(seen({}), [
    [0, true],
    [0, true],
    [1_100, null],
  ]);
  assert.deepEqual(seen({ delivered: 0, deliveredWhole: 0, faulty: 200 })[0], [null, false]);
  assert.deepEqual(seen({ allowedWhole: 0, deliveredWhole: 0 })[0], [null, false]);
  assert.deepEqual(seen({ denied: 0, refused: 0 })[0], [null, false]);
  assert.deepEqual(seen({ deniedBytes: 12, faulty: 1 })[0], [12, false]);
  assert.deepEqual(seen({ faulty: 1 })[0], [null, false]);
  assert.deepEqual(seen({}, 2_000)[0], [null, false]);
  assert.deepEqual(seen({ deliveredWhole: 699 })[1], [1, false]);
});
