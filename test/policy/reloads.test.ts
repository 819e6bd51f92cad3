// A small share of `npm run bench -- reloads`: faults at every step of reloads and deltas, and no answer changes by them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SoakTally } from '../../bench/reloads/fault-soak.ts';
import { runFaultSoak } from '../../bench/reloads/fault-soak.ts';
import { plainAgainstCasbin } from '../../bench/reloads/plain-against-casbin.ts';
import { loadWrappedEngine } from '../../bench/reloads/steps.ts';
import type { CasbinModel, compileCasbin as Compile } from '../../policy/engine/casbin/casbin-model.ts';

const { compileCasbin } = await loadWrappedEngine();
const plan = { lines: 40, reloads: 20, deltas: 200, everyStep: ['reload', 'delta'], seed: 11 } as const;

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

function faultsOf({ faults }: SoakTally, operation: 'reload' | 'delta'): number {
  return [...faults[operation].values()].reduce((sum, count) => sum + count, 0);
}

test('a fault at any step of a reload or a delta changes no answer', () => {
  const tally = runFaultSoak(compileCasbin, plan);
  assert.deepEqual(tally.examples, []);
  assert.equal(total(tally.wrongAllows) + total(tally.wrongDenies), 0);
  assert.equal(tally.broken, 0);
  assert.equal(tally.swallowed, 0);
  assert.ok(tally.refusals > 0);
  assert.ok(tally.allowed > 0.3 * tally.decisions, `${tally.allowed} of ${tally.decisions} allowed`);
  for (const operation of ['reload', 'delta'] as const) {
    assert.deepEqual([...tally.spared[operation]], []);
    assert.ok(faultsOf(tally, operation) > 300, `${operation}: ${faultsOf(tally, operation)} faults`);
  }
  for (const name of ['compileCasbin has ended', 'parsePolicyFile begins', 'new Uint32Array']) {
    assert.ok(tally.faults.reload.has(name), name);
  }
});

test('a model that changes in place, as node-casbin does, is found out', () => {
  const tally = runFaultSoak(inPlace(compileCasbin), plan);
  assert.ok(tally.wrongAllows['after a fault'] > 0);
  assert.ok(tally.wrongAllows['an older model'] > 0);
});

test('a model that is emptied before it is loaded is found out while it is loaded', () => {
  const tally = runFaultSoak(cleared(compileCasbin), plan);
  assert.ok(tally.wrongDenies['between steps'] > 0);
});

test('the rules that judge the soak say what node-casbin says', async () => {
  const { differences, asked, allowed } = await plainAgainstCasbin(300, 400);
  assert.equal(differences, 0);
  assert.ok(allowed > 0.2 * asked && allowed < 0.7 * asked, `${allowed} of ${asked}`);
});

/** Adds to the model in force, then removes from it. */
function inPlace(compile: typeof Compile): typeof Compile {
  const careless = (first: CasbinModel): CasbinModel => {
    let inner = first;
    return instead(first, {
      enforce: (values) => inner.enforce(values),
      with: ({ remove = [], add = [] }) => {
        inner = inner.with({ add });
        inner = inner.with({ remove });
        return careless(inner);
      },
    });
  };
  return (source) => careless(compile(source));
}

/** Every reload empties what was compiled before. */
function cleared(compile: typeof Compile): typeof Compile {
  let last: { empty: boolean } = { empty: false };
  return (source) => {
    last.empty = true;
    const model = compile(source);
    const state = { empty: false };
    last = state;
    return instead(model, {
      enforce: (values) => (state.empty ? { allow: false, line: 0, why: 'no-line' } : model.enforce(values)),
    });
  };
}

/** The model with some methods replaced. */
const instead = (model: CasbinModel, methods: Partial<CasbinModel>): CasbinModel =>
  new Proxy(model, { get: (target, key) => Reflect.get(methods, key) ?? Reflect.get(target, key) });
