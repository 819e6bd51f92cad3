// Rego packages for tests, compiled beforehand so that the engine's tests need no opa. Sources: trial.rego beside
// it, examples/policy-rego. policy/repository/rego/compiler.test.ts compiles them again, and writes them with
// EDGEWARD_GOLDEN=write.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RegoSource } from '../rego/rego-package.ts';

const folder = join(import.meta.dirname, 'rego');

/** Rule `decision` is `input.answer`, or as long a computation as `input.turns` asks for. */
export const trial: RegoSource = {
  name: 'trial',
  wasm: readFileSync(join(folder, 'trial.wasm')),
  data: '{}',
  place: 'rego/trial/trial.rego:4',
};

/** Denies outside 06:00 to 22:00 UTC, and writing by who is not well known. */
export const hours: RegoSource = {
  name: 'hours',
  wasm: readFileSync(join(folder, 'hours.wasm')),
  data: `{"hours":${readFileSync(join(import.meta.dirname, '../../../examples/policy-rego/rego/hours/data.json'), 'utf8').trim()}}`,
  place: 'rego/hours/hours.rego:5',
};
