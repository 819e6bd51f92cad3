// The sample repository with a Rego package, and a compiler that needs no opa: it hands out what was compiled before.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hours } from '../../engine/testing/sample-rego.ts';
import { sampleFiles, treeOf } from '../sample-tree.ts';
import type { PolicyTree } from '../tree.ts';
import type { RegoCompiler } from './compiler.ts';

const folder = join(import.meta.dirname, '../../engine/testing/rego');
/** A file of the engine's sample packages, e.g. `hours/hours.rego`. */
export const regoText = (path: string): string => readFileSync(join(folder, path), 'utf8');

export const regoFiles: Readonly<Record<string, string>> = {
  ...sampleFiles,
  'interfaces/cell.yaml': (sampleFiles['interfaces/cell.yaml'] ?? '').replace(
    'casbin: hmi',
    'casbin: hmi\n    rego: hours',
  ),
  'rego/hours/hours.rego': regoText('hours/hours.rego'),
  'rego/hours/hours_test.rego': regoText('hours/hours_test.rego'),
  'rego/hours/data.json': regoText('hours/data.json'),
};

/** The sample with files changed, or with `undefined` taken away. */
export function regoTree(changes: Readonly<Record<string, string | undefined>> = {}): PolicyTree {
  const files = Object.entries({ ...regoFiles, ...changes });
  return treeOf(Object.fromEntries(files.flatMap(([path, text]) => (text === undefined ? [] : [[path, text]]))));
}

/** Whatever the folder holds, it is package hours. */
export const preparedCompiler: RegoCompiler = {
  compile: () => ({ wasm: hours.wasm, place: { file: 'rego/hours/hours.rego', line: 4, column: 1 } }),
  test: () => ({ passed: 3, problems: [] }),
};
