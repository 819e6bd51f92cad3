// npm run oracle -- [--cases N] [--seed S] [--json]
// Random Casbin models, policies and requests, asked of the compiled engine and of node-casbin.
import { parseArgs } from 'node:util';
import { compileCasbin } from '../policy/engine/casbin/casbin-model.ts';
import { figuresOf, tableOf } from '../test/policy/oracle/figures.ts';
import { firstDifference, runOracle } from '../test/policy/oracle/run.ts';
import { reproducer } from '../test/policy/oracle/shrink.ts';
import { allMet, benchDocument, writeDocument } from './machine.ts';

const usage = `usage: npm run oracle -- [--cases N] [--seed S] [--json]
  --cases  decisions asked of both engines (1000000)
  --seed   of the generator; the same seed asks the same cases (1)
  --json   one document at the end instead of the table
`;

function readOptions(): { cases: number; seed: number; json: boolean } | undefined {
  try {
    const { values } = parseArgs({
      options: { cases: { type: 'string' }, seed: { type: 'string' }, json: { type: 'boolean' } },
    });
    const numbers = [values.cases ?? '1000000', values.seed ?? '1'].map((text) =>
      /^\d{1,9}$/.test(text) ? Number(text) : 0,
    );
    const [cases = 0, seed = 0] = numbers;
    return cases === 0 || seed === 0 ? undefined : { cases, seed, json: values.json === true };
  } catch {
    return undefined;
  }
}

const options = readOptions();
if (options === undefined) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  const { cases, seed, json } = options;
  const tally = await runOracle(compileCasbin, {
    cases,
    seed,
    progress: (seen) => process.stderr.write(`${seen.cases} cases, ${seen.differences.length} unexplained\n`),
  });
  const difference = await firstDifference(compileCasbin, tally);
  if (difference !== undefined) process.stderr.write(`${reproducer(difference)}\n`);
  const document = benchDocument('oracle', figuresOf(tally, seed));
  if (json) await writeDocument(document);
  else process.stdout.write(tableOf(tally));
  if (!allMet(document)) process.exitCode = 1;
}
