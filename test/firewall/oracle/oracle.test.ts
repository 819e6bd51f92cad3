// The plan's answer is what the policy means, cell by cell; and an oracle that could not find a fault would prove nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareCells, disagreementText } from './agree.ts';
import { mutants } from './mutants.ts';
import { planFor, randomWorld, seeded } from './random-world.ts';
import { tableOfPlan } from '../../../enforcer/firewall/index.ts';

test('plan and policy agree on 20,000 random cells, and every kind of answer is among them', () => {
  const { cells, answers, disagreements } = compareCells({ cells: 20_000, seed: 2_027, cellsPerPolicy: 100 });
  assert.deepEqual(disagreements.map(disagreementText), []);
  assert.equal(cells, 20_000);
  for (const kind of ['accept', 'firewall', 'deny', 'spoofed', 'revoked', 'quarantined', 'invalid', 'stale-flow'])
    assert.ok((answers[kind] ?? 0) > 0, `${kind} is not among ${JSON.stringify(answers)}`);
  for (const kind of ['accept', 'firewall', 'default-in', 'default-out', 'default-forward'])
    assert.ok((answers[kind] ?? 0) > 400, `${kind} is rare among ${JSON.stringify(answers)}`);
});

for (const [name, change] of Object.entries(mutants)) {
  test(`a fault of the compiler is found: ${name}`, () => {
    const compile = (world: Parameters<typeof planFor>[0]) => change(planFor(world));
    const { disagreements, cells } = compareCells({
      cells: 40_000,
      seed: 2_027,
      cellsPerPolicy: 100,
      compile,
      most: 1,
    });
    assert.ok(disagreements.length > 0, `not found in ${cells} cells`);
  });
}

test('no set and no chain of a table is there twice: removing it would fail, and with it the next plan', () => {
  const random = seeded(2_027);
  for (let round = 0; round < 100; round += 1) {
    const { sets, chains } = tableOfPlan(planFor(randomWorld(random)));
    const names = [...sets, ...chains].map(({ name }) => name);
    const twice = sets.filter(({ name }, at) => sets.findIndex((other) => other.name === name) !== at);
    assert.deepEqual([twice.map(({ name }) => name), names.length > 40], [[], true]);
  }
});
