import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../../../audit/spool/index.ts';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { boundDenials } from './denials.ts';
import { denialBurst, maxDistinctDenials } from '../limits.ts';

const decided = (decision: 'allow' | 'deny', path: string, source = '10.77.0.66'): NewEvent => ({
  kind: 'authz',
  activity: decision,
  data: {
    subject: '',
    interface: 'hmi-web',
    method: 'GET',
    path,
    decision,
    reason: 'state',
    rule: '',
    source_ip: source,
  },
});

async function world(flood: (emit: (event: NewEvent) => Promise<void>) => Promise<void>): Promise<NewEvent[]> {
  const events: NewEvent[] = [];
  const clock = new FakeClock(0);
  const { emit, task } = boundDenials(
    (event) => Promise.resolve(void events.push(event)),
    clock,
    (error) => assert.fail(String(error)),
  );
  await flood((event) => emit(event));
  const stop = new AbortController();
  const running = task(stop.signal);
  stop.abort();
  await running;
  return events;
}

const countOf = (events: readonly NewEvent[]): number =>
  events.reduce((sum, { data }) => sum + Number(data['count'] ?? 1), 0);

test('a few denials are recorded as they came, a flood as counts, and none is forgotten', async () => {
  const few = await world(async (emit) => {
    for (let n = 0; n < 5; n++) await emit(decided('deny', '/admin'));
  });
  assert.equal(few.length, 5);
  const flood = await world(async (emit) => {
    for (let n = 0; n < 10_000; n++) await emit(decided('deny', '/admin'));
  });
  assert.ok(flood.length <= denialBurst + 2, `${flood.length} events`);
  assert.equal(countOf(flood), 10_000);
});

test('neither a new path nor a new address each time gets around the bound', async () => {
  for (const event of [
    (n: number) => decided('deny', `/p${n}`),
    (n: number) => decided('deny', `/p${n}`, '10.77.0.67'),
  ]) {
    const events = await world(async (emit) => {
      for (let n = 0; n < 10_000; n++) await emit(event(n));
    });
    assert.ok(events.length <= denialBurst + maxDistinctDenials + 2, `${events.length} events`);
    assert.equal(countOf(events), 10_000);
  }
});

test('what is allowed is never held back', async () => {
  const events = await world(async (emit) => {
    for (let n = 0; n < 200; n++) await emit(decided('allow', '/'));
  });
  assert.equal(events.length, 200);
});
