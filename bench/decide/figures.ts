// The figures of a run: what the issue asks for, what was seen, and what was measured beside it.
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';
import type { CompileCost } from './compile-cost.ts';
import { CHANGED_LINES } from './compile-cost.ts';
import type { Comparison, EngineCost } from './compare.ts';
import { type EngineName, engineNames } from './engines.ts';
import { growthExponent, type HostilePaths } from './hostile-paths.ts';
import type { WholeEngineCost } from './whole-engine.ts';

export interface DecideResults {
  /** By lines, ascending. */
  readonly comparisons: readonly Comparison[];
  readonly compile: CompileCost;
  readonly hostile: readonly (HostilePaths & { readonly lines: number })[];
  readonly whole: readonly WholeEngineCost[];
}

const atMost = (value: number, text: string): Required<FigureSpec>['goal'] => ({ relation: 'at most', value, text });
const atLeast = (value: number, text: string): Required<FigureSpec>['goal'] => ({ relation: 'at least', value, text });

const specs = {
  mean: { id: 'decideMeanUs10k', unit: 'µs CPU', goal: atMost(1.5, '≤ 1.5 µs CPU mean at 10,000 rules') },
  growth: { id: 'decideGrowth100kTo1k', unit: 'x', goal: atMost(3, 'at most 3x dearer at 100,000 than at 1,000') },
  handWritten: {
    id: 'decideToHandWritten',
    unit: 'x',
    goal: atMost(5, 'at most 5x a hand-written index that answers the same corpus'),
  },
  casbin: {
    id: 'nodeCasbinRatio10k',
    unit: 'x',
    goal: atLeast(1_000, '≥ 1,000x node-casbin enforceSync at 10,000 lines'),
  },
  cedar: { id: 'cedarRatio1k', unit: 'x', goal: atLeast(200, '≥ 200x cedar-wasm with pre-parsed policies at 1,000') },
  opa: { id: 'opaRatio1k', unit: 'x', goal: atLeast(50, '≥ 50x opa-wasm on what both can say') },
  opaLaidOut: { id: 'opaLaidOutRatio1k', unit: 'x' },
  leastAllowed: { id: 'leastAllowedShare', unit: 'share', goal: atLeast(0.3, '30–70 % allowed') },
  mostAllowed: { id: 'mostAllowedShare', unit: 'share', goal: atMost(0.7, '30–70 % allowed') },
  differences: {
    id: 'differentAnswers',
    unit: 'answers',
    goal: { relation: 'exactly', value: 0, text: 'the same answers from every engine' },
  },
  compileMs: { id: 'compile100kMs', unit: 'ms CPU', goal: atMost(1_000, 'compile 100,000 rules ≤ 1 s') },
  compileMb: { id: 'compile100kMb', unit: 'MB', goal: atMost(100, 'and ≤ 100 MB') },
  delta: { id: 'delta100Ms', unit: 'ms CPU', goal: atMost(5, 'delta of 100 rules ≤ 5 ms') },
  hostile: {
    id: 'hostilePathUs',
    unit: 'µs CPU',
    goal: atMost(50, 'worst path of the corpus at the maximum accepted length ≤ 50 µs'),
  },
  exponent: { id: 'hostilePathExponent', unit: 'power of the length', goal: atMost(1.1, 'and linear in the length') },
  whole1k: { id: 'wholeEngineUs1k', unit: 'µs CPU' },
  whole10k: { id: 'wholeEngineUs10k', unit: 'µs CPU' },
} as const satisfies Record<string, FigureSpec>;

export function decideFigures(results: DecideResults): Figure[] {
  const { comparisons, compile } = results;
  return [
    meanFigure(comparisons),
    growthFigure(comparisons),
    handWrittenFigure(comparisons),
    ratioFigure(specs.casbin, comparisons, 10_000, 'node-casbin'),
    ratioFigure(specs.cedar, comparisons, 1_000, 'cedar-wasm'),
    ratioFigure(specs.opa, comparisons, 1_000, 'opa-wasm'),
    ratioFigure(specs.opaLaidOut, comparisons, 1_000, 'opa-wasm, laid out by hand'),
    ...shareFigures(comparisons),
    differencesFigure(comparisons, compile),
    ...compileFigures(compile),
    ...hostileFigures(results.hostile),
    ...wholeFigures(results.whole),
  ];
}

const at = (comparisons: readonly Comparison[], lines: number): Comparison | undefined =>
  comparisons.find((comparison) => comparison.lines === lines);

/** Cost of an engine whose answers are right; else why it has none. */
function costAt(comparisons: readonly Comparison[], lines: number, engine: EngineName): EngineCost | string {
  const comparison = at(comparisons, lines);
  const cost = comparison?.costs[engine];
  if (cost === undefined) return `${engine} at ${lines} lines: ${comparison?.left[engine] ?? 'not measured'}`;
  if (cost.differences === 0) return cost;
  return `${engine} at ${lines} lines: ${cost.differences} of ${cost.requests} answers are wrong`;
}

/** µs of every engine at one size, and what each was asked. */
function costsAt(comparisons: readonly Comparison[], lines: number): Record<string, unknown> {
  const comparison = at(comparisons, lines);
  return { lines, rules: comparison?.rules, links: comparison?.links, ...comparison?.costs, left: comparison?.left };
}

function meanFigure(comparisons: readonly Comparison[]): Figure {
  const cost = costAt(comparisons, 10_000, 'edgeward');
  const against = { sizes: comparisons.map(({ lines }) => costsAt(comparisons, lines)) };
  return typeof cost === 'string' ? unmeasured(specs.mean, cost, against) : figure(specs.mean, cost.us, against);
}

function growthFigure(comparisons: readonly Comparison[]): Figure {
  const large = costAt(comparisons, 100_000, 'edgeward');
  const small = costAt(comparisons, 1_000, 'edgeward');
  if (typeof large === 'string') return unmeasured(specs.growth, large);
  if (typeof small === 'string') return unmeasured(specs.growth, small);
  const handLarge = costAt(comparisons, 100_000, 'hand-written');
  const handSmall = costAt(comparisons, 1_000, 'hand-written');
  const handWritten =
    typeof handLarge === 'string' || typeof handSmall === 'string' ? null : handLarge.us / handSmall.us;
  return figure(specs.growth, large.us / small.us, { us100k: large.us, us1k: small.us, handWrittenGrows: handWritten });
}

/** The worst of the sizes from 1,000 on. */
function handWrittenFigure(comparisons: readonly Comparison[]): Figure {
  const ratios: Record<string, number> = {};
  for (const { lines } of comparisons.filter((comparison) => comparison.lines >= 1_000)) {
    const ours = costAt(comparisons, lines, 'edgeward');
    const theirs = costAt(comparisons, lines, 'hand-written');
    if (typeof ours === 'string') return unmeasured(specs.handWritten, ours);
    if (typeof theirs === 'string') return unmeasured(specs.handWritten, theirs);
    ratios[`at${lines}`] = ours.us / theirs.us;
  }
  return figure(specs.handWritten, Math.max(...Object.values(ratios)), ratios);
}

function ratioFigure(spec: FigureSpec, comparisons: readonly Comparison[], lines: number, engine: EngineName): Figure {
  const theirs = costAt(comparisons, lines, engine);
  const ours = costAt(comparisons, lines, 'edgeward');
  if (typeof theirs === 'string') return unmeasured(spec, theirs);
  if (typeof ours === 'string') return unmeasured(spec, ours);
  const others = Object.fromEntries(
    comparisons.flatMap(({ lines: size, costs }) => {
      const their = costs[engine]?.us;
      const our = costs.edgeward?.us;
      return size === lines || their === undefined || our === undefined ? [] : [[`at${size}`, their / our]];
    }),
  );
  return figure(spec, theirs.us / ours.us, { us: theirs.us, edgewardUs: ours.us, says: theirs.says, ...others });
}

function shareFigures(comparisons: readonly Comparison[]): Figure[] {
  const shares = comparisons.flatMap(({ lines, costs }) =>
    Object.entries(costs).map(([engine, { allowedShare, requests }]) => ({ lines, engine, requests, allowedShare })),
  );
  const sorted = shares.toSorted((one, other) => one.allowedShare - other.allowedShare);
  const [least] = sorted;
  const most = sorted.at(-1);
  if (least === undefined || most === undefined) {
    return [
      unmeasured(specs.leastAllowed, 'no engine was asked'),
      unmeasured(specs.mostAllowed, 'no engine was asked'),
    ];
  }
  return [figure(specs.leastAllowed, least.allowedShare, least), figure(specs.mostAllowed, most.allowedShare, most)];
}

function differencesFigure(comparisons: readonly Comparison[], compile: CompileCost): Figure {
  const byEngine = Object.fromEntries(
    engineNames.map((engine) => [
      engine,
      comparisons.reduce((sum, { costs }) => sum + (costs[engine]?.differences ?? 0), 0),
    ]),
  );
  const afterDeltas = { differences: compile.differences, asked: compile.asked };
  const all = Object.values(byEngine).reduce((sum, count) => sum + count, compile.differences);
  return figure(specs.differences, all, { byEngine, afterDeltas });
}

function compileFigures(compile: CompileCost): Figure[] {
  const { lines, compileMs, retainedMb, peakRssMb, startRssMb, deltaMs, differences } = compile;
  const beside = { lines, firstMs: compileMs[0], compilations: compileMs.length };
  const delta = { lines, changed: `${CHANGED_LINES} removed and ${CHANGED_LINES} added`, ...deltaMs };
  if (differences > 0) {
    const reason = `after all deltas ${differences} of ${compile.asked} answers are wrong`;
    return [specs.compileMs, specs.compileMb, specs.delta].map((spec) => unmeasured(spec, reason, beside));
  }
  return [
    figure(specs.compileMs, Math.min(...compileMs), beside),
    figure(specs.compileMb, retainedMb, { lines, peakRssMb, startRssMb }),
    figure(specs.delta, deltaMs.mean, delta),
  ];
}

/** Of the sizes, the one with the dearest path; its growth with the length. */
function hostileFigures(hostile: DecideResults['hostile']): Figure[] {
  const usAt = ({ usByLength }: HostilePaths): number => usByLength.at(-1)?.us ?? Number.POSITIVE_INFINITY;
  const [worst] = hostile.toSorted((one, other) => usAt(other) - usAt(one));
  if (worst === undefined) {
    return [unmeasured(specs.hostile, 'no path was asked'), unmeasured(specs.exponent, 'no path was asked')];
  }
  const exponents = hostile.map((one) => growthExponent(one.usByLength));
  return [
    figure(specs.hostile, usAt(worst), { ...worst, others: hostile.filter((one) => one !== worst) }),
    figure(specs.exponent, Math.max(...exponents), { lines: hostile.map(({ lines }) => lines), exponents }),
  ];
}

function wholeFigures(whole: readonly WholeEngineCost[]): Figure[] {
  return [[specs.whole1k, 1_000] as const, [specs.whole10k, 10_000] as const].map(([spec, grants]) => {
    const seen = whole.find((one) => one.grants === grants);
    return seen === undefined ? unmeasured(spec, 'not measured') : figure(spec, seen.us, { ...seen });
  });
}
