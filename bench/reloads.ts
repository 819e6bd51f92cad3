// npm run bench -- reloads: thousands of reloads and deltas of a policy with a fault at every step that they consist of,
// while decisions go on; how often anybody was wrongly let in.
import type { BenchOptions } from './bench-options.ts';
import { type Figure, figure, type FigureSpec } from './machine.ts';
import { runFaultSoak, type SoakPlan, type SoakTally } from './reloads/fault-soak.ts';
import { type Agreement, plainAgainstCasbin } from './reloads/plain-against-casbin.ts';
import { loadWrappedEngine } from './reloads/steps.ts';

/** The numbers at the size; before it, every single step of a small policy. */
const full: readonly Omit<SoakPlan, 'progress'>[] = [
  { lines: 100, reloads: 20, deltas: 20, everyStep: ['reload', 'delta'], seed: 1 },
  { lines: 1_000, reloads: 10_000, deltas: 100_000, everyStep: ['delta'], seed: 2 },
];
const quick: typeof full = [
  { lines: 40, reloads: 20, deltas: 20, everyStep: ['reload', 'delta'], seed: 1 },
  { lines: 1_000, reloads: 200, deltas: 2_000, everyStep: ['delta'], seed: 2 },
];

export async function measureReloads(options: BenchOptions): Promise<readonly Figure[]> {
  const { progress } = options;
  const { compileCasbin } = await loadWrappedEngine();
  const tallies = (options.quick ? quick : full).map((plan) => {
    progress(`faults at ${plan.lines} lines`);
    return runFaultSoak(compileCasbin, { ...plan, progress });
  });
  return reloadFigures(tallies, await plainAgainstCasbin(1_000, 500), options.quick);
}

const none = (text: string): Required<FigureSpec>['goal'] => ({ relation: 'exactly', value: 0, text });
const atLeast = (value: number, text: string): Required<FigureSpec>['goal'] => ({ relation: 'at least', value, text });

function reloadFigures(tallies: readonly SoakTally[], judge: Agreement, isQuick: boolean): Figure[] {
  const sum = (of: (tally: SoakTally) => number): number => tallies.reduce((all, tally) => all + of(tally), 0);
  const values = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((all, count) => all + count, 0);
  const moments = (of: (tally: SoakTally) => Readonly<Record<string, number>>): Figure['against'] => ({
    byMoment: tallies.map(of),
  });
  const decisions = sum((tally) => tally.decisions);
  // A quick run tells how far it came and promises nothing.
  const counted = (id: string, value: number, text: string): FigureSpec =>
    isQuick ? { id, unit: id } : { id, unit: id, goal: atLeast(value, text) };
  return [
    figure(
      { id: 'wrongAllows', unit: 'decisions', goal: none('0 wrong allows') },
      sum(({ wrongAllows }) => values(wrongAllows)),
      { decisions, ...moments((tally) => tally.wrongAllows), examples: tallies.flatMap(({ examples }) => examples) },
    ),
    figure(
      { id: 'wrongDenies', unit: 'decisions' },
      sum(({ wrongDenies }) => values(wrongDenies)),
      moments((tally) => tally.wrongDenies),
    ),
    figure(
      counted('reloads', 10_000, '10,000 full reloads at 1,000 rules'),
      sum(({ reloads }) => reloads),
      {
        refusedOnTheWay: sum(({ refusals }) => refusals),
      },
    ),
    figure(
      counted('deltas', 100_000, 'and 100,000 deltas'),
      sum(({ deltas }) => deltas),
    ),
    figure(
      { id: 'stepsWithoutFault', unit: 'steps', goal: none('with a fault at every enumerated step') },
      sum(({ spared }) => spared.reload.size + spared.delta.size),
      { steps: tallies.map(stepCounts) },
    ),
    figure(
      { id: 'faultsInjected', unit: 'faults', goal: atLeast(1, 'faults that struck') },
      sum(({ faults }) => [...faults.reload.values(), ...faults.delta.values()].reduce((all, count) => all + count, 0)),
      { swallowed: sum(({ swallowed }) => swallowed) },
    ),
    figure(
      { id: 'brokenOperations', unit: 'operations', goal: none('every good change is made, every bad one refused') },
      sum(({ broken }) => broken),
    ),
    figure(
      { id: 'allowedShare', unit: 'share', goal: atLeast(0.3, '30 % allowed at least') },
      sum(({ allowed }) => allowed) / decisions,
    ),
    figure(
      { id: 'judgeDifferences', unit: 'answers', goal: none('the judge answers as node-casbin does') },
      judge.differences,
      { ...judge },
    ),
  ];
}

/** Of each operation: kinds of steps, faults, and the fewest faults at one kind. */
function stepCounts({ faults }: SoakTally): object {
  return Object.fromEntries(
    Object.entries(faults).map(([operation, byStep]) => {
      const counts = [...byStep.values()];
      return [
        operation,
        { kinds: counts.length, faults: counts.reduce((all, count) => all + count, 0), fewest: Math.min(...counts) },
      ];
    }),
  );
}
