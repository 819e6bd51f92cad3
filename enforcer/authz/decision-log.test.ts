// What is recorded whole, what is counted, and that together it is everything.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { NewEvent } from '../../audit/spool/index.ts';
import type { Decision } from '../../policy/engine/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createDecisionLog, type CountingLog } from './decision-log.ts';
import { allDenialsBurst, denialBurst, maxDistinctAllows, maxDistinctDenials } from './limits.ts';
import type { Judged, Question } from './question.ts';

const granted: Decision = {
  allow: true,
  reason: 'granted',
  rule: 'grant:a',
  place: 'grants/a.yaml:3',
  operation: 'view',
  bundle: 'ab',
};

const question = (path: string, source = '10.77.0.66', name = 'hmi-web'): Question => ({
  interface: name,
  operation: { protocol: 'http', method: 'GET', path },
  peer: {},
  connection: `${source}:40000`,
  source: 'ext-authz',
});
const denied: Judged = {
  subject: '',
  decision: { ...granted, allow: false, reason: 'state', rule: '' },
  message: '',
};
const allowed = (subject = 'gateway-1', more: Partial<Decision> = {}, limited = false): Judged => ({
  subject,
  decision: { ...granted, ...more },
  message: '',
  limited,
});

interface World {
  readonly log: CountingLog;
  readonly events: NewEvent[];
  readonly lost: unknown[];
  readonly clock: FakeClock;
  full: boolean;
}

function world(oneIn?: number): World {
  const clock = new FakeClock(0);
  const events: NewEvent[] = [];
  const lost: unknown[] = [];
  const state = { full: false };
  const log = createDecisionLog(
    (event, durable = false) => {
      if (!state.full) events.push(event);
      else if (durable) return Promise.reject(new Error('full'));
      return Promise.resolve();
    },
    { clock, random: randomBytes, allowsSampled: () => oneIn, onLost: (error) => lost.push(error) },
  );
  return Object.assign(state, { log, events, lost, clock });
}

const countOf = (events: readonly NewEvent[]): number =>
  events.reduce((sum, { data }) => sum + Number(data['count'] ?? 1), 0);
const counts = (events: readonly NewEvent[]): NewEvent[] => events.filter(({ data }) => data['count'] !== undefined);

test('a few denials are recorded as they came, a flood as counts, and none is forgotten', async () => {
  for (const [many, atMost] of [
    [5, 5],
    [10_000, denialBurst + 2],
  ] as const) {
    const { log, events } = world();
    for (let n = 0; n < many; n++) log.note(question('/admin'), denied);
    await log.close();
    assert.ok(events.length <= atMost, `${events.length} events`);
    assert.equal(countOf(events), many);
  }
});

/** Whole ones, then two for each window of an exact and of a coarse count, the last coarse one by reason alone. */
const atMostDenials = allDenialsBurst + 2 * (2 * maxDistinctDenials + 1);

test('neither a new path, a new address nor a new interface each time gets around the bound', async () => {
  const unknown = { ...denied, decision: { ...denied.decision, reason: 'unknown-interface' as const } };
  for (const [judged, next] of [
    [denied, (n: number) => question(`/p${n}`)],
    [unknown, (n: number) => question('/', '10.77.0.66', `web${n}`)],
    [denied, (n: number) => question('/', `10.77.${n >> 8}.${n & 255}`)],
    // Each address again and again, so that each has its burst.
    [denied, (n: number) => question('/', `[2001:db8::${(n % 5_000).toString(16)}]`)],
  ] as const) {
    const { log, events, clock } = world();
    for (let n = 0; n < 50_000; n++) log.note(next(n), judged);
    await log.close();
    await clock.advance(1);
    assert.equal(countOf(events), 50_000);
    assert.ok(events.length <= atMostDenials, `${events.length} events`);
  }
});

test('nor does a new subject each time, which a caller of AuthZEN may assert, or a new interface without a bundle', async () => {
  for (const [name, subject] of [
    [() => 'web', (n: number) => `device-${n}`],
    [(n: number) => `web${n}`, () => ''],
  ] as const) {
    const { log, events } = world();
    for (let n = 0; n < 50_000; n++) log.note(question(`/p${n}`, '', name(n)), { ...denied, subject: subject(n) });
    await log.close();
    assert.equal(countOf(events), 50_000);
    assert.ok(events.length <= atMostDenials, `${events.length} events`);
  }
});

test('a flood that waits for the disk is counted too, and what is kept is on disk', async () => {
  const { log, events, lost } = world();
  for (let n = 0; n < 1_000; n++) await log.keep(question('/admin'), denied);
  await log.close();
  assert.equal(countOf(events), 1_000);
  assert.ok(events.length < 100);
  assert.deepEqual(lost, []);
});

test('what is allowed is never held back, as long as nobody said otherwise', () => {
  const { log, events } = world();
  for (let n = 0; n < 200; n++) log.note(question('/'), allowed());
  assert.equal(events.length, 200);
});

test('counted: no allow is recorded whole, and the counts are exact, by subject, interface, operation and rule', async () => {
  const { log, events } = world(0);
  const rows: [string, string, Partial<Decision>, number][] = [
    ['gateway-1', 'hmi-web', {}, 3],
    ['gateway-2', 'hmi-web', {}, 4],
    ['gateway-1', 'other', {}, 5],
    ['gateway-1', 'hmi-web', { operation: 'admin' }, 6],
    ['gateway-1', 'hmi-web', { rule: 'grant:b' }, 7],
  ];
  for (const [subject, name, more, times] of rows) {
    for (let n = 0; n < times; n++) log.note(question(`/${n}`, '10.0.0.1', name), allowed(subject, more));
  }
  assert.deepEqual(events, []);
  await log.close();
  const told = events.map(({ data }) => [
    data['subject'],
    data['interface'],
    data['operation'],
    data['rule'],
    data['count'],
  ]);
  const expected = rows.map(([subject, name, more, n]) => [
    subject,
    name,
    more.operation ?? 'view',
    more.rule ?? 'grant:a',
    n,
  ]);
  assert.deepEqual(told.map(String).toSorted(), expected.map(String).toSorted());
  await log.close();
  assert.equal(events.length, rows.length, 'and are said once');
});

test('obligations, limits of use, observe mode and what no grant opened are never sampled away', () => {
  const { log, events } = world(0);
  const remarkable = [
    allowed('a', { obligations: [{ id: 'notification' }] }),
    allowed('b', { observed: 'no-grant', rule: '' }),
    allowed('c', { rule: 'break-glass:night' }),
    allowed('d', {}, true),
  ];
  for (const judged of remarkable) log.note(question('/'), judged);
  log.note(question('/'), allowed('e'));
  assert.deepEqual(
    events.map(({ data }) => data['subject']),
    ['a', 'b', 'c', 'd'],
  );
});

test('sampled: about one in so many, others than those that a second run chooses; nothing is forgotten', async () => {
  const run = async (): Promise<string[]> => {
    const { log, events } = world(10);
    for (let n = 0; n < 10_000; n++) log.note(question(`/${n}`), allowed());
    await log.close();
    assert.equal(countOf(events), 10_000);
    return events.filter(({ data }) => data['count'] === undefined).map(({ data }) => String(data['path']));
  };
  const [one, other] = [await run(), await run()];
  // Six standard deviations.
  for (const found of [one, other]) assert.ok(Math.abs(found.length - 1_000) < 180, `${found.length}`);
  assert.notDeepEqual(one, other);
});

test('property: whatever comes in whatever order, records and counts are everything, in bounded memory', async () => {
  const request = fc.record({
    subject: fc.nat(3_000),
    bundle: fc.constantFrom('ab', 'cd'),
    rule: fc.constantFrom('grant:a', 'grant:b', 'break-glass:x'),
    flush: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { maxLength: 60 }),
      fc.constantFrom(undefined, 0, 2, 100),
      async (all, oneIn) => {
        const given = world(oneIn);
        for (const { subject, bundle, rule, flush } of all) {
          given.log.note(question('/'), allowed(`d${subject}`, { bundle, rule }));
          // A full disk only puts it off.
          if (flush) {
            given.full = true;
            await given.log.close();
            given.full = false;
          }
        }
        await given.log.close();
        assert.equal(countOf(given.events), all.length);
      },
    ),
    { numRuns: 300 },
  );
  const { log, events } = world(0);
  for (let n = 0; n < 100_000; n++) log.note(question('/'), allowed(`d${n}`));
  await log.close();
  assert.equal(countOf(events), 100_000);
  assert.ok(events.length <= maxDistinctAllows + 1, `${events.length}`);
});

test('counts that the disk refuses are kept until it takes them, and somebody hears of it', async () => {
  const given = world(0);
  for (let n = 0; n < 7; n++) given.log.note(question('/'), allowed());
  given.full = true;
  await given.log.close();
  assert.deepEqual([given.events.length, given.lost.length], [0, 1]);
  given.log.note(question('/'), allowed());
  given.full = false;
  await given.log.close();
  assert.deepEqual(
    counts(given.events).map(({ data }) => data['count']),
    [8],
  );
});

test('counts leave each second, and all of them when the task ends', async () => {
  const { log, events, clock } = world(0);
  const stop = new AbortController();
  const running = log.task(stop.signal);
  log.note(question('/'), allowed());
  await clock.advance(1_000);
  assert.equal(events.length, 1);
  log.note(question('/'), allowed());
  stop.abort();
  await running;
  assert.equal(events.length, 2);
});

test('requests that nobody had room for are counted by interface, the first at once', async () => {
  const { log, events } = world();
  for (let n = 0; n < 5_000; n++) log.shed('web');
  for (let n = 0; n < 5_000; n++) log.shed(`web${n}`);
  assert.equal(events[0]?.data['reason'], 'overload');
  await log.close();
  assert.equal(countOf(events), 10_000);
  assert.ok(events.length <= maxDistinctDenials + 4, `${events.length}`);
});
