import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createDetector, type ObservedEvent } from './detector.ts';
import { maxEventsPerGroup } from './limits.ts';

const start = 1_800_000_000_000;
const tenMinutes = 10 * 60_000;

const denied = `
title: Denied request
id: denied
level: low
logsource: {product: edgeward, service: authz}
detection:
  denied: {activity: deny}
  condition: denied
`;
const burst = (threshold: number, extra = ''): string => `
title: Burst
id: burst
level: high
correlation:
  type: event_count
  rules: [denied${extra}]
  group-by: [subject]
  timespan: 30s
  condition: {gte: ${threshold}}
`;

/** A denial `ms` after the start, received at once unless said otherwise. */
function denial(index: number, ms: number, changes: Partial<ObservedEvent> = {}): ObservedEvent {
  return {
    index,
    reporter: 'plc-1',
    receivedAt: start + ms,
    time: start + ms,
    kind: 'authz',
    activity: 'deny',
    severity: 'medium',
    data: { subject: 'gateway-1' },
    ...changes,
  };
}

const observeAll = (rules: Record<string, string>, events: readonly ObservedEvent[]) => {
  const detector = createDetector(rules);
  return events.flatMap((event) => detector.observe(event));
};
const rules = { 'denied.yml': denied, 'burst.yml': burst(5) };

test('an event with a forged or wrong time does not empty the window of the others', () => {
  const honest = [0, 1000, 2000, 3000, 4000];
  for (const wrong of [-tenMinutes + 5000, -tenMinutes * 10, -start]) {
    const events = honest.flatMap((ms, n) => [
      denial(n * 2, ms),
      denial(n * 2 + 1, ms, { reporter: 'gateway-1', time: start + ms + wrong }),
    ]);
    const live = observeAll(rules, events).filter((found) => !found.retro && found.reporter === 'plc-1');
    assert.deepEqual(
      live.map((found) => found.evidence),
      [[0, 2, 4, 6, 8]],
      `${wrong} ms off`,
    );
  }
});

test('a clock that runs ahead counts as the time of receipt', () => {
  const events = [0, 1000, 2000, 3000, 4000].map((ms, n) => denial(n, ms, n === 2 ? { time: start + 10 ** 9 } : {}));
  assert.deepEqual(observeAll(rules, events)[0]?.evidence, [0, 1, 2, 3, 4]);
});

test('late evidence and live evidence are not counted together', () => {
  const late = [0, 1, 2].map((n) => denial(n, n * 1000, { receivedAt: start + 3 * tenMinutes }));
  const live = [3, 4].map((n) => denial(n, 3 * tenMinutes + n * 1000));
  assert.deepEqual(observeAll(rules, [...late, ...live]), []);
  const whole = [0, 1, 2, 3, 4].map((n) => denial(n, n * 1000, { receivedAt: start + 3 * tenMinutes }));
  assert.deepEqual(
    observeAll(rules, whole).map((found) => found.retro),
    [true],
    'a late batch is judged by itself',
  );
});

test('denials of somebody unknown do not add up with those of a device, even of the one that reports them', () => {
  const anonymous = [0, 1, 2, 3].map((n) => denial(n, n * 1000, { data: { subject: '' } }));
  const own = denial(4, 4000, { data: { subject: 'plc-1' } });
  assert.deepEqual(observeAll(rules, [...anonymous, own]), []);
});

test('a count that no honest reporter writes counts as one', () => {
  for (const count of [-1000, 0, 0.5, 2 ** 60]) {
    const events = [0, 1, 2, 3].map((n) => denial(n, n * 1000, { data: { subject: 'gateway-1', count } }));
    assert.deepEqual(observeAll(rules, events), [], `count ${count}`);
    const found = observeAll(rules, [...events, denial(4, 4000)]);
    assert.equal(found[0]?.count, 5, `count ${count}`);
  }
});

test('an event that matches two rules of a correlation is one event', () => {
  const second = denied.replace('id: denied', 'id: also');
  const both = { 'a.yml': denied, 'b.yml': second, 'c.yml': burst(5, ', also') };
  const events = [0, 1, 2, 3, 4].map((n) => denial(n, n * 1000));
  assert.deepEqual(observeAll(both, events.slice(0, 4)), []);
  assert.equal(observeAll(both, events)[0]?.count, 5);
});

test('a full group keeps its count when it forgets single events', () => {
  const threshold = maxEventsPerGroup + 500;
  const events = Array.from({ length: threshold }, (_, n) => denial(n, n * 10));
  const found = observeAll({ 'denied.yml': denied, 'burst.yml': burst(threshold) }, events);
  assert.deepEqual(
    found.map(({ count }) => count),
    [threshold],
  );
  assert.equal(found[0]?.evidence.at(-1), threshold - 1);
});

test('a hit says what a naive count over the window says', () => {
  let hits = 0;
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 15, maxLength: 40 }), (seconds) => {
      const detector = createDetector(rules);
      let window: number[] = [];
      for (const [index, second] of seconds.entries()) {
        const found = detector.observe(denial(index, 0, { time: start - 120_000 + second * 1000 }));
        window.push(second);
        const near = window.filter((other) => Math.abs(other - second) < 30);
        assert.equal(found.length, near.length >= 5 ? 1 : 0);
        if (near.length >= 5) {
          hits++;
          window = [];
        }
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(hits > 100, `only ${hits} hits`);
});

test('rules that would never match, or mean two things, are refused', () => {
  const refused = (texts: Record<string, string>, message: RegExp): void => {
    assert.throws(() => createDetector(texts), { message });
  };
  refused({ 'a.yml': denied, 'b.yml': denied.replace('title: Denied', 'title: Other') }, /used in a\.yml already/);
  refused({ 'a.yml': denied.replace('service: authz', 'service: https') }, /authz/);
  refused({ 'a.yml': denied.replace('service: authz', 'category: proxy') }, /category/);
  refused({ 'a.yml': denied.replace('activity: deny', 'activity: []') }, /empty list/);
  refused({ 'a.yml': denied.replace('activity: deny', "'|contains': deny") }, /field name/);
  refused({ 'a.yml': denied.replace('activity: deny', 'path|exists: sure') }, /true or false/);
  refused({ 'a.yml': denied, 'b.yml': burst(5).replace('30s', '0s') }, /timespan|number from 1/);
  const distinct = burst(5000).replace('event_count', 'value_count').replace('{gte: 5000}', '{gte: 5000, field: path}');
  refused({ 'a.yml': denied, 'b.yml': distinct }, /at most 1000 distinct/);
});
