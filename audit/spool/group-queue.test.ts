// What gathers while the disk is busy goes in one group, and a full group waits for nobody.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { GroupQueue, type Queued } from './group-queue.ts';

const item = (bytes: number): Queued => ({ payload: Buffer.alloc(bytes), durable: false });

function queue(maxItems: number, enoughBytes: number) {
  const groups: number[] = [];
  let finish: (() => void) | undefined;
  const made = new GroupQueue<Queued>({
    // Nobody moves it: a group that waits for company waits for ever.
    clock: new FakeClock(0),
    lullMs: 10,
    enoughBytes,
    maxItems,
    maxBytes: 1_000_000,
    commit: (group) => {
      groups.push(group.length);
      return new Promise((resolve) => (finish = resolve));
    },
  });
  return { made, groups, finish: () => finish?.() };
}

test('what came while a group was synced is the next group, as far as it may', async () => {
  const { made, groups, finish } = queue(4_000, 100);
  made.add(item(200));
  await nextTurn();
  for (let n = 0; n < 5_000; n++) made.add(item(10));
  finish();
  await nextTurn();
  finish();
  await nextTurn();
  assert.deepEqual(groups, [1, 4_000, 1_000]);
});

test('few bytes wait for company, enough of them do not', async () => {
  const { made, groups } = queue(4_000, 100);
  made.add(item(99));
  await nextTurn();
  assert.deepEqual(groups, []);
  const full = queue(4_000, 100);
  full.made.add(item(100));
  await nextTurn();
  assert.deepEqual(full.groups, [1]);
});
