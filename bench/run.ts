// npm run bench -- NAME [--json] [--quick]
// Measures the figures of an issue and says whether each goal is met; progress goes to standard error.
import { parseArgs } from 'node:util';
import type { BenchOptions } from './bench-options.ts';
import { tableOf } from './figure-table.ts';
import { allMet, benchDocument, type Figure, writeDocument } from './machine.ts';

/** Loaded one at a time: reloads loads the engine in its own way. */
const benches: Readonly<Record<string, (options: BenchOptions) => Promise<readonly Figure[]>>> = {
  authz: async (options) => (await import('./authz.ts')).measureAuthz(options),
  'authz-endurance': async (options) => (await import('./authz.ts')).measureEndurance(options),
  decide: async (options) => (await import('./decide.ts')).measureDecide(options),
  firewall: async (options) => (await import('./firewall.ts')).measureFirewall(options),
  proxy: async (options) => (await import('./proxy.ts')).measureProxy(options),
  reloads: async (options) => (await import('./reloads.ts')).measureReloads(options),
};

const usage = `usage: npm run bench -- NAME [--json] [--quick]
  NAME     ${Object.keys(benches).join(' or ')}
  --json   one document at the end instead of the table
  --quick  smaller and less certain
`;

function readOptions(): { name: string; json: boolean; quick: boolean } | undefined {
  try {
    const { values, positionals } = parseArgs({
      options: { json: { type: 'boolean' }, quick: { type: 'boolean' } },
      allowPositionals: true,
    });
    const [name = '', ...others] = positionals;
    if (!Object.hasOwn(benches, name) || others.length > 0) return undefined;
    return { name, json: values.json === true, quick: values.quick === true };
  } catch {
    return undefined;
  }
}

const options = readOptions();
const measure = options === undefined ? undefined : benches[options.name];
if (options === undefined || measure === undefined) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  const { name, json, quick } = options;
  const figures = await measure({ quick, progress: (text) => process.stderr.write(`${text}\n`) });
  const document = benchDocument(name, figures);
  if (json) await writeDocument(document);
  else process.stdout.write(tableOf(document));
  if (!allMet(document)) process.exitCode = 1;
}
