// Runs the differential over instances from 0 on until enough cases were asked or a difference was found.
import { type CompileCasbin, type Difference, judge, newTally, type Tally } from './differential.ts';
import { generate } from './generate.ts';
import { putQuestion } from './question.ts';
import { shrink } from './shrink.ts';

/** Differences after which the rest of a run teaches nothing. */
const ENOUGH = 20;

export interface OracleRun {
  readonly seed: number;
  readonly cases: number;
  readonly progress?: (tally: Tally) => void;
}

export async function runOracle(compileCasbin: CompileCasbin, { seed, cases, progress }: OracleRun): Promise<Tally> {
  const tally = newTally();
  for (let index = 0; tally.cases < cases && tally.differences.length < ENOUGH; index++) {
    judge(await putQuestion(generate(seed, index)), compileCasbin, tally);
    if (progress !== undefined && index % 5_000 === 4_999) progress(tally);
  }
  return tally;
}

/** The first difference made small, with what it takes to see it. */
export async function firstDifference(compileCasbin: CompileCasbin, tally: Tally): Promise<Difference | undefined> {
  const [first] = tally.differences;
  return first === undefined ? undefined : shrink(first, compileCasbin);
}
