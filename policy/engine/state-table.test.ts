// The table of states and classes, complete and as designed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admitsNothing, islandTable, rowOf, stateTable } from './state-table.ts';

const designed = `
              safety  normal  sensitive
trusted       yes     yes     yes
stale         yes     yes     island
suspect       yes     yes     island
enrolled      yes     yes     island
recovering    yes     island  island
quarantined   island  island  island
unknown       no      no      no
expected      no      no      no
decommissioned no     no      no
revoked       no      no      no
`;

const cellsIn = (text: string) =>
  Object.fromEntries(
    text
      .trim()
      .split('\n')
      .slice(1)
      .map((row) => {
        const [state = '', safety, normal, sensitive] = row.split(/\s+/);
        return [state, { safety, normal, sensitive }];
      }),
  );

const cellsOf = (table: typeof stateTable) =>
  Object.fromEntries(
    Object.entries(table).map(([state, { safety, normal, sensitive }]) => [state, { safety, normal, sensitive }]),
  );

test('state table: every state of the contract has a row, and each cell is the designed one', () => {
  assert.deepEqual(cellsOf(stateTable), cellsIn(designed));
});

const designedIsland = `
              safety  normal  sensitive
trusted       yes     island  island
stale         yes     island  island
suspect       yes     island  island
enrolled      yes     island  island
recovering    yes     island  island
quarantined   island  island  island
unknown       no      no      no
expected      no      no      no
decommissioned no     no      no
revoked       no      no      no
`;

test('state table: island mode leaves safety and what is marked, to nobody more than the state does', () => {
  assert.deepEqual(cellsOf(islandTable), cellsIn(designedIsland));
  assert.ok(
    Object.values(islandTable).every((row) => row.contained),
    'observe mode does not soften it',
  );
  for (const [state, row] of Object.entries(stateTable)) assert.equal(rowOf(state, true).unattested, row.unattested);
  assert.equal(rowOf('nobody knows', true), islandTable.unknown);
});

test('state table: an order against the device is never observed away, a missing appraisal never counts as one', () => {
  const states = (wanted: (row: (typeof stateTable)['trusted']) => boolean): string[] =>
    Object.entries(stateTable).flatMap(([state, row]) => (wanted(row) ? [state] : []));
  assert.deepEqual(
    states((row) => row.contained),
    ['recovering', 'quarantined', 'decommissioned', 'revoked'],
  );
  assert.deepEqual(
    states((row) => !row.unattested),
    ['trusted', 'stale'],
  );
});

test('state table: a state nobody knows is unknown, also one that JavaScript objects have by themselves', () => {
  for (const state of ['', 'Trusted', 'constructor', '__proto__', 'toString']) {
    assert.equal(rowOf(state), stateTable.unknown);
    assert.ok(admitsNothing(rowOf(state)));
  }
});
