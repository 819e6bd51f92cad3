// Runs in a process of its own: node test/policy/oracle/mutant-hunt.ts <seed> <cases>
// Loads the engine once for every mutant, with its source changed by a module hook, and lets the differential look for
// the bugs. One JSON line each. A mutant whose text is not there exactly once ends it.
import { registerHooks } from 'node:module';
import { type CompileCasbin, judge, newTally, type Tally } from './differential.ts';
import { generate } from './generate.ts';
import { mutants } from './mutants.ts';
import { putQuestion } from './question.ts';

export interface Hunt {
  /** Undefined for the engine as it is. */
  readonly id: string | undefined;
  readonly cases: number;
  /** Empty when nothing was found. */
  readonly problem: string;
}

interface Candidate {
  readonly id: string | undefined;
  readonly compileCasbin: CompileCasbin;
  readonly tally: Tally;
}

const engine = new URL('../../../policy/engine/', import.meta.url).href;
/** Loaded anew for each mutant. The table of errors is not: a code exists once in a process. */
const isMutable = (url: string): boolean => url.startsWith(`${engine}casbin/`) || url === `${engine}limits.ts`;
const mutantOf = (url: string | undefined): string | null =>
  url?.startsWith(engine) === true ? new URL(url).searchParams.get('mutant') : null;

registerHooks({
  resolve: (specifier, context, next) => {
    const found = next(specifier, context);
    const id = mutantOf(context.parentURL);
    return id === null || !isMutable(found.url) ? found : { ...found, url: `${found.url}?mutant=${id}` };
  },
  load: (url, context, next) => {
    const loaded = next(url, context);
    const id = mutantOf(url);
    const mutant = mutants.find((candidate) => candidate.id === id);
    if (mutant === undefined || new URL(url).pathname !== new URL(mutant.file, engine).pathname) return loaded;
    const { source } = loaded;
    const parts = (typeof source === 'string' ? source : new TextDecoder().decode(source)).split(mutant.find);
    if (parts.length !== 2)
      throw new Error(`${mutant.id}: its text stands ${parts.length - 1} times in ${mutant.file}`);
    return { ...loaded, source: parts.join(mutant.replace) };
  },
});

const [seed = 1, cases = 1] = process.argv.slice(2).map(Number);
const engines = await Promise.all([undefined, ...mutants.map(({ id }) => id)].map(load));
const alive = new Set(engines);
for (let index = 0, asked = 0; asked < cases && alive.size > 1; index++) {
  const question = await putQuestion(generate(seed, index));
  asked += question.instance.requests.length;
  for (const candidate of alive) {
    judge(question, candidate.compileCasbin, candidate.tally);
    if (candidate.tally.differences.length > 0) alive.delete(candidate);
  }
}
for (const { id, tally } of engines) {
  const hunt: Hunt = { id, cases: tally.cases, problem: tally.differences[0]?.problem ?? '' };
  process.stdout.write(`${JSON.stringify(hunt)}\n`);
}

async function load(id: string | undefined): Promise<Candidate> {
  const path = `${engine}casbin/casbin-model.ts${id === undefined ? '' : `?mutant=${id}`}`;
  const { compileCasbin } = (await import(path)) as { readonly compileCasbin: CompileCasbin };
  return { id, compileCasbin, tally: newTally() };
}
