// The sample repository with a Rego package, and a compiler that needs no opa: it hands out what was compiled before.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hours } from '../../engine/testing/sample-rego.ts';
import { sampleFiles, treeOf } from '../sample-tree.ts';
import type { PolicyTree } from '../tree.ts';
import type { RegoCompiler } from './compiler.ts';

const folder = join(import.meta.dirname, '../../../examples/policy-rego/rego/hours');
/** A file of package hours, e.g. `hours.rego`. */
export const regoText = (file: string): string => readFileSync(join(folder, file), 'utf8');

export const regoFiles: Readonly<Record<string, string>> = {
  ...sampleFiles,
  'interfaces/cell.yaml': (sampleFiles['interfaces/cell.yaml'] ?? '').replace(
    'casbin: hmi',
    'casbin: hmi\n    rego: hours',
  ),
  'rego/hours/hours.rego': regoText('hours.rego'),
  'rego/hours/hours_test.rego': regoText('hours_test.rego'),
  'rego/hours/data.json': regoText('data.json'),
};

/** The sample with files changed, or with `undefined` taken away. */
export function regoTree(changes: Readonly<Record<string, string | undefined>> = {}): PolicyTree {
  const files = Object.entries({ ...regoFiles, ...changes });
  return treeOf(Object.fromEntries(files.flatMap(([path, text]) => (text === undefined ? [] : [[path, text]]))));
}

/** Whatever the folder holds, it is package hours. */
export const preparedCompiler: RegoCompiler = {
  compile: () => ({ wasm: hours.wasm, place: { file: 'rego/hours/hours.rego', line: 5, column: 1 } }),
  test: () => ({ passed: 3, problems: [] }),
};
