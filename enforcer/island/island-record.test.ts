// What can happen to a device's island mode, as data.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  causesOf,
  enterLocally,
  expire,
  followOrders,
  isOrdered,
  type IslandRecord,
  leaveLocally,
  type Position,
  remainingMs,
} from './island-record.ts';

const start = Date.UTC(2026, 5, 1);
const at = (uptimeMs: number, changes: Partial<Position> = {}): Position => ({
  boot: 'boot-1',
  uptimeMs,
  now: start + uptimeMs,
  trusted: true,
  ...changes,
});
const ann = { by: 'ann', reason: 'smoke' };
const islandOrder = (sequence: number, issuedAt = start) => ({ sequence, issuedAt, by: 'ops', reason: 'attack' });

test('either cause is enough, and the longer one counts', () => {
  let record: IslandRecord = enterLocally({}, { ...ann, leaseMs: 1_000 }, at(0));
  assert.equal(remainingMs(record, at(400)), 600);
  record = followOrders(record, { island: islandOrder(1), rejoined: undefined }, 5_000, at(400));
  assert.equal(remainingMs(record, at(400)), 5_000);
  assert.deepEqual(causesOf(record, at(2_000)), ['ordered']);
  assert.equal(isOrdered(record, at(2_000)), true);
  assert.equal(remainingMs(record, at(5_400)), undefined);
});

test('a lease counts by uptime in its boot, by signed time after it, and from the boot on while there is none', () => {
  const record = enterLocally({}, { ...ann, leaseMs: 60_000 }, at(10_000));
  const setAhead = { now: start + 10 * 86_400_000 };
  assert.equal(remainingMs(record, at(20_000, setAhead)), 50_000, 'the clock of the host says nothing');
  const rebooted = { boot: 'boot-2', uptimeMs: 1_000 };
  assert.equal(remainingMs(record, at(0, { ...rebooted, now: start + 40_000 })), 30_000);
  assert.equal(
    remainingMs(record, at(0, { ...rebooted, now: start - 86_400_000 })),
    60_000,
    'never longer than it was',
  );
  assert.equal(remainingMs(record, at(0, { ...rebooted, ...setAhead, trusted: false })), 59_000);
  assert.equal(remainingMs(enterLocally({}, { ...ann, leaseMs: undefined }, at(0)), at(1e9)), Infinity);
});

test('an order to rejoin ends what was entered before it was issued, once, and nothing later', () => {
  const local = enterLocally({}, { ...ann, leaseMs: undefined }, at(1_000));
  const rejoined = (issuedAt: number) => ({ island: undefined, rejoined: { sequence: 7, issuedAt } });
  assert.deepEqual(causesOf(followOrders(local, rejoined(start + 2_000), undefined, at(3_000)), at(3_000)), []);
  assert.deepEqual(causesOf(followOrders(local, rejoined(start + 500), undefined, at(3_000)), at(3_000)), ['local']);
  // Followed, and then a person on a device whose clock is years behind pulls the cord.
  const followed = followOrders({}, rejoined(start + 2_000), undefined, at(3_000));
  const behind = at(4_000, { now: 0, trusted: false });
  const again = enterLocally(followed, { ...ann, leaseMs: undefined }, behind);
  assert.deepEqual(causesOf(followOrders(again, rejoined(start + 2_000), undefined, behind), behind), ['local']);
});

test('an order whose lease has ended does not begin again; a new one does', () => {
  const orders = { island: islandOrder(1), rejoined: undefined };
  let record = followOrders({}, orders, 1_000, at(0));
  record = expire(record, at(1_000));
  assert.deepEqual(causesOf(record, at(1_000)), []);
  record = followOrders(record, orders, 1_000, at(2_000));
  assert.deepEqual(causesOf(record, at(2_000)), [], 'as after a restart');
  record = followOrders(record, { island: islandOrder(2), rejoined: undefined }, 1_000, at(2_000));
  assert.deepEqual(causesOf(record, at(2_000)), ['ordered']);
});

type Step =
  | { readonly kind: 'enter' | 'leave' | 'restart' | 'expire' }
  | { readonly kind: 'island' | 'rejoin' }
  | { readonly kind: 'wait'; readonly ms: number };

test('property: it ends by a rejoin, by a person where no order stands, or by the lease, and by nothing else', () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.constantFrom<Step>(
      { kind: 'enter' },
      { kind: 'leave' },
      { kind: 'island' },
      { kind: 'rejoin' },
      { kind: 'restart' },
      { kind: 'expire' },
    ),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 900 }) }),
  );
  const lease = fc.option(fc.constant(1_000), { nil: undefined });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), lease, (steps, leaseMs) => {
      let record: IslandRecord = {};
      let uptime = 0;
      let sequence = 0;
      let orders: Parameters<typeof followOrders>[1] = { island: undefined, rejoined: undefined };
      // What should be: since when each cause stands.
      let ordered: number | undefined;
      let local: number | undefined;
      const over = (since: number | undefined): boolean =>
        since === undefined || (leaseMs !== undefined && uptime - since >= leaseMs);
      for (const { kind, ...rest } of steps) {
        const position = at(uptime);
        if (kind === 'wait') uptime += 'ms' in rest ? rest.ms : 0;
        if (kind === 'enter') {
          record = enterLocally(record, { ...ann, leaseMs }, position);
          local = uptime;
        }
        if (kind === 'leave' && !isOrdered(record, position)) {
          record = leaveLocally(record);
          local = undefined;
        }
        if (kind === 'island') {
          orders = { island: islandOrder(++sequence, start + uptime), rejoined: orders.rejoined };
          ordered = uptime;
        }
        if (kind === 'rejoin') {
          uptime += 1;
          orders = { island: undefined, rejoined: { sequence: ++sequence, issuedAt: start + uptime } };
          [ordered, local] = [undefined, undefined];
        }
        if (kind === 'expire') record = expire(record, at(uptime));
        if (kind === 'restart') record = JSON.parse(JSON.stringify(record)) as IslandRecord;
        record = followOrders(record, orders, leaseMs, at(uptime));
        const expected = [...(over(ordered) ? [] : ['ordered']), ...(over(local) ? [] : ['local'])];
        assert.deepEqual(causesOf(record, at(uptime)), expected);
      }
    }),
    { numRuns: 500 },
  );
});
