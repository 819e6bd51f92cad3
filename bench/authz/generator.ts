// The load generator in a process of its own: reads a corpus, then runs every load that it is told of by IPC.
//   node bench/authz/generator.ts PATH...
import { type Corpus, readCorpus } from './corpus-file.ts';
import { type LoadPlan, type LoadResult, runLoad } from './load.ts';

export interface LoadOrder extends LoadPlan {
  /** Path of the corpus, as on the command line. */
  readonly corpus: string;
}

export type LoadReport = { readonly result: LoadResult } | { readonly error: string };

const corpora = new Map<string, Corpus>(process.argv.slice(2).map((path) => [path, readCorpus(path)]));

process.on('message', (order: LoadOrder) => void run(order));
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function run({ corpus, ...plan }: LoadOrder): Promise<void> {
  let report: LoadReport;
  try {
    const asked = corpora.get(corpus);
    if (asked === undefined) throw new Error(`no corpus ${corpus}`);
    report = { result: await runLoad(asked, plan) };
  } catch (error) {
    report = { error: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(report);
}
