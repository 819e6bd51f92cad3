// npm run bench -- decide: what a decision costs, ours and others', over one corpus and in one run (decide/corpus.ts);
// what it costs to compile a policy and to change it; the dearest request that an attacker can send.
import type { BenchOptions } from './bench-options.ts';
import { compileCasbin } from '../policy/engine/casbin/casbin-model.ts';
import { compare, type Comparison } from './decide/compare.ts';
import { compileCost } from './decide/compile-cost.ts';
import { makeCorpus } from './decide/corpus.ts';
import { sourceOf } from './decide/engines.ts';
import { decideFigures, type DecideResults } from './decide/figures.ts';
import { hostilePaths } from './decide/hostile-paths.ts';
import { wholeEngine } from './decide/whole-engine.ts';
import type { Figure } from './machine.ts';

const sizes = [100, 1_000, 10_000, 100_000] as const;

const full = {
  compare: { requests: 20_000, rounds: 15, roundMs: 400, size: 'full' },
  compile: { compiles: 7, deltas: 400 },
  hostile: { patterns: 10_000, rounds: 9 },
  whole: { requests: 20_000, rounds: 9 },
} as const;

const quick = {
  compare: { requests: 10_000, rounds: 7, roundMs: 50, size: 'quick' },
  compile: { compiles: 2, deltas: 40 },
  hostile: { patterns: 500, rounds: 3 },
  whole: { requests: 5_000, rounds: 3 },
} as const;

export async function measureDecide(options: BenchOptions): Promise<readonly Figure[]> {
  const { progress } = options;
  const plan = options.quick ? quick : full;
  const comparisons: Comparison[] = [];
  for (const lines of sizes) comparisons.push(await compare(lines, { ...plan.compare, progress }));
  progress('compiling and changing 100,000 lines');
  const compile = compileCost(100_000, plan.compile.compiles, plan.compile.deltas);
  progress('hostile paths');
  const hostile = [10_000, 100_000].map((lines): DecideResults['hostile'][number] => {
    const corpus = makeCorpus(lines, 0);
    return { lines, ...hostilePaths(compileCasbin(sourceOf(corpus)), corpus, plan.hostile) };
  });
  progress('whole decisions of the engine');
  const whole = [1_000, 10_000].map((grants) => wholeEngine(grants, plan.whole.requests, plan.whole.rounds));
  return decideFigures({ comparisons, compile, hostile, whole });
}
