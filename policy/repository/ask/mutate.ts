// The mutation score of the repository's own tests: each small mistake of mutants.ts is made, and the tests have to
// notice. A mistake that changes no answer at all (compare.ts) is not counted.
import { CodedError } from '../../../runtime/errors.ts';
import type { Slice } from '../../bundle/slice.ts';
import { slicesToAsk } from '../build.ts';
import { decideWithEngine, type SliceEngine } from '../decide.ts';
import { MAX_MUTANTS } from '../../limits.ts';
import type { Repository } from '../repository.ts';
import { runTest } from '../run-tests.ts';
import { comparePolicies } from './compare.ts';
import { checkInvariant } from './invariants.ts';
import { mutantsOf, type Mutant } from './mutants.ts';
import { describeQuestion, testEntry, testYaml } from './question.ts';

export interface Survivor {
  readonly what: string;
  /** `file:line`. */
  readonly place: string;
  /** A request that gets another answer, in words; absent when none was found and not every request could be asked. */
  readonly request?: string;
  /** The test that would notice, as an entry of tests/*.yaml, and as text. */
  readonly test?: object;
  readonly yaml?: string;
  /** Why it is not known whether any answer changes. */
  readonly gaps?: readonly string[];
}

export interface MutationReport {
  /** Mistakes that the tests noticed, of those that change an answer; 0 to 100, rounded down. */
  readonly score: number;
  readonly killed: number;
  readonly survived: number;
  /** Change no answer: not counted. */
  readonly equivalent: number;
  /** Do not compile: not counted. */
  readonly refused: number;
  /** Of a policy with more mistakes to make than are made. */
  readonly leftOut: number;
  readonly survivors: readonly Survivor[];
}

/** The tests of the repository have to pass. `onProgress` is told the number of mistakes made so far. */
export function mutatePolicy(
  repository: Repository,
  now: number,
  onProgress: (done: number, total: number) => void = () => undefined,
): MutationReport {
  const all = mutantsOf(repository);
  const mutants = all.slice(0, MAX_MUTANTS);
  const serving = new Set(repository.interfaces.flatMap(({ devices }) => devices));
  const original = slicesToAsk(repository, serving);
  const engine = decideWithEngine();
  const count = { killed: 0, equivalent: 0, refused: 0 };
  const survivors: Survivor[] = [];
  for (const [index, mutant] of mutants.entries()) {
    onProgress(index, mutants.length);
    const outcome = tryMutant(repository, mutant, original, engine, now);
    if (typeof outcome === 'string') count[outcome] += 1;
    else survivors.push(outcome);
  }
  onProgress(mutants.length, mutants.length);
  const counted = count.killed + survivors.length;
  return {
    score: counted === 0 ? 100 : Math.floor((count.killed * 100) / counted),
    ...count,
    survived: survivors.length,
    leftOut: all.length - mutants.length,
    survivors,
  };
}

function tryMutant(
  repository: Repository,
  mutant: Mutant,
  original: ReadonlyMap<string, Slice>,
  engine: SliceEngine,
  now: number,
): 'killed' | 'equivalent' | 'refused' | Survivor {
  try {
    const entries = repository.interfaces.filter(({ name }) => mutant.interfaces.includes(name));
    const slices = slicesToAsk(mutant.repository, new Set(entries.flatMap(({ devices }) => devices)));
    if (isNoticed(mutant, engine, slices, now)) return 'killed';
    const compared = comparePolicies(repository, engine, original, slices, mutant.interfaces, now);
    if (compared.kind === 'same') return 'equivalent';
    const { what, place } = mutant;
    if (compared.kind === 'unknown') return { what, place, gaps: compared.gaps };
    const { question, first } = compared;
    const name = `not: ${what}`;
    return {
      what,
      place,
      request: `${describeQuestion(question)} was ${first.allow ? 'allowed' : 'denied'}`,
      test: testEntry(name, question, first),
      yaml: testYaml(name, question, first),
    };
  } catch (error) {
    if (error instanceof CodedError && error.code.startsWith('ENGINE_')) return 'refused';
    throw error;
  }
}

function isNoticed(
  { repository, interfaces }: Mutant,
  engine: SliceEngine,
  slices: ReadonlyMap<string, Slice>,
  now: number,
): boolean {
  const tests = repository.tests.filter(({ when }) => interfaces.includes(when.interface));
  if (tests.some((test) => !runTest(repository, test, engine, now, slices).ok)) return true;
  const statements = repository.invariants.filter((entry) => interfaces.includes(entry.interface));
  return statements.some((entry) => !checkInvariant(repository, entry, engine, slices, now).ok);
}

/** Lines for a terminal. */
export function formatMutation(report: MutationReport): string {
  const { score, killed, survived, equivalent, refused, leftOut, survivors } = report;
  return [
    ...survivors.flatMap(({ what, place, request, yaml, gaps = [] }) => [
      `SURVIVED ${place}: ${what}`,
      ...(request === undefined ? [] : [`         no test asks: ${request}`]),
      ...(yaml ?? '')
        .trimEnd()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => `           ${line}`),
      ...gaps.map((gap) => `         not proved to change nothing: ${gap}`),
    ]),
    `mutation score ${score} %: ${killed} mistakes noticed, ${survived} not; ${equivalent} change no answer, ${refused} do not compile` +
      (leftOut === 0 ? '' : `; ${leftOut} not tried`),
  ].join('\n');
}
