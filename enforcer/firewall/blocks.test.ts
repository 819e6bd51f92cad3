// Blocked addresses between orders, packets and the kernel.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planWith, sliceWith } from '../../test/firewall/cell.ts';
import { MAX_BLOCKED } from './base-chains.ts';
import { allowedBlocks, blockChange, compareBlocks, withLearned } from './blocks.ts';
import { stateOf, tableOf, type TableState } from './table.ts';

const plan = planWith(sliceWith([]));
const now = 1_800_000_000_000;
const later = now + 60_000;
const blocking = (...addresses: string[]): TableState => ({
  ...stateOf(plan),
  blocked: new Map(addresses.map((address) => [address, later])),
});
const keys = (changes: readonly { readonly elements: readonly { readonly key: readonly string[] }[] }[]) =>
  changes.flatMap(({ elements }) => elements.map(({ key }) => key.join(' . '))).toSorted();

test('an order takes the place of what packets had blocked, and a pardon ends it', () => {
  const present = new Map([
    ['192.0.2.7', 5_000],
    ['192.0.2.8', 5_000],
    ['2001:db8::7', 5_000],
  ]);
  const change = blockChange(
    stateOf(plan),
    blocking('192.0.2.7', '192.0.2.9'),
    present,
    ['2001:db8::7', '192.0.2.1'],
    now,
  );
  assert.deepEqual(keys(change.removeElements), ['192.0.2.7', '2001:db8::7']);
  assert.deepEqual(keys(change.addElements), ['192.0.2.7', '192.0.2.9']);
  const back = blockChange(blocking('192.0.2.7'), stateOf(plan), new Map([['192.0.2.7', 60_000]]), ['192.0.2.7'], now);
  assert.deepEqual(keys(back.removeElements), ['192.0.2.7'], 'once, whoever says so');
});

test('a full set makes room for an order: what would end soonest goes', () => {
  const present = new Map(
    Array.from({ length: MAX_BLOCKED }, (_, n) => [`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, 1_000 + n]),
  );
  const change = blockChange(stateOf(plan), blocking('192.0.2.7', '192.0.2.8'), present, [], now);
  assert.deepEqual(keys(change.removeElements), ['10.0.0.0', '10.0.0.1']);
});

test('neither this device nor the control plane is blocked by an order', () => {
  const ordered = new Map([
    ['10.20.0.1', later],
    ['10.20.0.2', later],
    ['fd20::2', later],
    ['192.0.2.7', later],
    ['192.0.2.1', later],
  ]);
  const control = [{ address: '192.0.2.1', port: 7443, transport: 'tcp' as const }];
  assert.deepEqual([...allowedBlocks(ordered, plan, control).keys()], ['192.0.2.7']);
});

test('a table that is loaded anew has what packets had blocked, beside what orders do', () => {
  const learned = new Map([
    ['192.0.2.7', now + 5],
    ['192.0.2.9', now + 5],
    ['2001:db8::7', now + 5],
  ]);
  const { sets } = withLearned(tableOf(blocking('192.0.2.7')), learned);
  const elements = (name: string) =>
    sets.find((set) => set.name === name)?.elements.map(({ key, until }) => [key[0], until]);
  assert.deepEqual(elements('blocked4'), [
    ['192.0.2.7', later],
    ['192.0.2.9', now + 5],
  ]);
  assert.deepEqual(elements('blocked6'), [['2001:db8::7', now + 5]]);
});

test('each block and each end is told once; those of orders are not', () => {
  const present = new Map([
    ['192.0.2.7', 5_000],
    ['192.0.2.8', 60_000],
  ]);
  const ordered = new Map([['192.0.2.8', later]]);
  const first = compareBlocks(new Map(), present, ordered, now);
  assert.deepEqual(
    first.events.map(({ activity, data }) => [activity, data['source_ip'], data['until_ms']]),
    [['block', '192.0.2.7', now + 5_000]],
  );
  assert.deepEqual(compareBlocks(first.after, present, ordered, now + 1_000).events, []);
  const ended = compareBlocks(first.after, new Map(), ordered, now + 5_000);
  assert.deepEqual(
    ended.events.map(({ activity, data }) => [activity, data['source_ip']]),
    [['unblock', '192.0.2.7']],
  );
});
