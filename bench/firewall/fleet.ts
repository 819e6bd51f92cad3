// What it costs to compile a whole fleet, to change one device of it, and to build all slices of a large repository.
// An answer that is wrong, or a change that moves nothing where something moves, is no figure.
import { createHash } from 'node:crypto';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, percentile, spread, unmeasured } from '../machine.ts';
import { compileFleet, type Fleet } from '../../policy/fleet/fleet.ts';
import { indexInventory } from '../../policy/fleet/inventory-index.ts';
import { pairsOf, sampleFleet } from '../../policy/fleet/testing/sample-fleet.ts';
import { buildSlices } from '../../policy/repository/build.ts';
import { naiveSlices } from '../../policy/repository/testing/naive-build.ts';
import { changeAtRandom, differencesFromCold, faultsOf } from './fleet-changes.ts';
import { repositoryOf } from './fleet-repository.ts';

const specs = {
  compile: {
    id: 'fleetCompileMs',
    unit: 'ms',
    goal: { relation: 'at most', value: 1_000, text: 'compile for 10,000 devices x 1,000 policies ≤ 1 s' },
  },
  change: {
    id: 'fleetChangeP99Ms',
    unit: 'ms',
    goal: { relation: 'at most', value: 5, text: 'a label change → deltas ≤ 5 ms p99' },
  },
  slices: { id: 'fleetSlicesMs', unit: 'ms' },
  ratio: { id: 'fleetSlicesToNaive', unit: 'x' },
} as const satisfies Record<string, FigureSpec>;

const full = {
  devices: 10_000,
  rules: 1_000,
  rounds: 5,
  changes: 2_000,
  slices: [2_000, 400],
  naive: [600, 150],
} as const;
/** The fleet of the two figures is the same: it takes seconds. */
const quick = { ...full, changes: 500, slices: [600, 150], naive: [200, 60] } as const;

export function measureFleet({ quick: short, progress }: BenchOptions): readonly Figure[] {
  const plan = short ? quick : full;
  progress(`compiling ${plan.devices} devices x ${plan.rules} rules`);
  const sample = sampleFleet(plan);
  const { devices, rules } = sample;
  const index = indexInventory(devices);
  const sizes = rules.map(({ servers }) => index.choose(servers).length / devices.length);
  const population = {
    devices: devices.length,
    rules: rules.length,
    pairsOfNaiveExpansion: pairsOf(rules, (selector) => index.choose(selector).length),
    smallestShareServed: Math.min(...sizes),
    largestShareServed: Math.max(...sizes),
  };
  const { fleet, ms, entries } = compileCold(plan.rounds, sample);
  const faults = faultsOf(fleet, devices, sample);
  const compiled = {
    ...population,
    sets: fleet.sets().size,
    entriesOfPlans: entries,
    rounds: spread(ms),
    faults: faults.length,
  };
  // The slowest round, the first included: nothing is warmed up before it.
  const compile =
    faults.length === 0
      ? figure(specs.compile, Math.max(...ms), compiled)
      : unmeasured(specs.compile, `wrong: ${faults.slice(0, 3).join(', ')}`, compiled);

  progress(`${plan.rounds} x ${plan.changes} random changes`);
  const live = new Map(devices.map((device) => [device.id, device]));
  const rounds = Array.from({ length: plan.rounds }, () => changeAtRandom(fleet, sample, live, plan.changes));
  const differences = differencesFromCold(fleet, [...live.values()], sample);
  const moved = rounds.flatMap(({ sets }) => sets);
  const moving = moved.filter((count) => count > 0).length / moved.length;
  const seen = {
    ...population,
    p99Ms: rounds.map(({ ms: all }) => percentile(all, 0.99)),
    microseconds: spread(rounds.flatMap(({ ms: all }) => all.map((one) => one * 1_000))),
    setsMoved: spread(moved),
    devicesTold: spread(rounds.flatMap(({ told }) => told)),
    shareThatMovesASet: moving,
    differencesFromCold: differences.length,
  };
  const wrong = [
    ...differences.slice(0, 3),
    ...(moving > 0.4 && moving < 0.95 ? [] : [`${moving} of the changes move a set, expected many and not all`]),
  ];
  // The best round: a busy machine takes the processor away in some hundredths of all changes.
  const p99 = percentile(
    rounds.flatMap(({ ms: all }) => percentile(all, 0.99) ?? []),
    0,
  );
  const change =
    p99 === undefined || wrong.length > 0
      ? unmeasured(specs.change, `wrong: ${wrong.join(', ')}`, seen)
      : figure(specs.change, p99, seen);
  return [compile, change, ...measureSlices(plan.slices, plan.naive, progress)];
}

/** Sets, their names, and the plan of every device, from nothing, again and again. */
function compileCold(
  rounds: number,
  { devices, rules }: ReturnType<typeof sampleFleet>,
): { fleet: Fleet; ms: number[]; entries: number } {
  const ms: number[] = [];
  let entries = 0;
  let fleet = compileFleet([], []);
  for (let round = 0; round < rounds; round += 1) {
    entries = 0;
    const start = performance.now();
    fleet = compileFleet(devices, rules);
    fleet.sets();
    for (const { id } of devices) entries += fleet.plan(id).length;
    ms.push(performance.now() - start);
  }
  return { fleet, ms, entries };
}

function measureSlices(
  [devices, rules]: readonly [number, number],
  [fewer, less]: readonly [number, number],
  progress: BenchOptions['progress'],
): Figure[] {
  progress(`slices of ${devices} devices x ${rules} rules, and of ${fewer} x ${less} the naive way`);
  const large = repositoryOf(sampleFleet({ devices, rules }));
  const start = performance.now();
  const slices = buildSlices(large);
  const ms = performance.now() - start;
  let bytes = 0;
  for (const slice of slices.values()) bytes += JSON.stringify(slice).length;
  const against = { devices, rules, bytesOfAllSlices: bytes };
  if (bytes < devices * 1_000) return [unmeasured(specs.slices, 'slices without rules', against)];

  const small = repositoryOf(sampleFleet({ devices: fewer, rules: less }));
  const naive = timed(() => naiveSlices(small));
  const ours = timed(() => buildSlices(small));
  const same = digestOf(naive.value) === digestOf(ours.value);
  const beside = { devices: fewer, rules: less, naiveMs: naive.ms, ms: ours.ms, sameBytes: same };
  return [
    figure(specs.slices, ms, against),
    same ? figure(specs.ratio, naive.ms / ours.ms, beside) : unmeasured(specs.ratio, 'other bytes', beside),
  ];
}

function timed<T>(work: () => T): { value: T; ms: number } {
  const start = performance.now();
  const value = work();
  return { value, ms: performance.now() - start };
}

/** Without self-test vectors, which the naive build does not make. */
function digestOf(slices: ReadonlyMap<string, object>): string {
  const hash = createHash('sha256');
  for (const slice of slices.values()) {
    hash.update(JSON.stringify(Object.entries(slice).filter(([name]) => name !== 'selfTest')));
  }
  return hash.digest('hex');
}
