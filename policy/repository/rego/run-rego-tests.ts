// The Rego tests of a repository, as `edgeward policy test` reports them and a publication needs them.
import { formatProblem, type Problem } from '../problems.ts';
import type { Repository } from '../repository.ts';
import type { FindRegoCompiler } from './compiler.ts';

export interface RegoTestReport {
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: number;
  /** One for each test that is not true or ends with an error, at the test. */
  readonly problems: readonly Problem[];
}

/** Of a repository that was loaded with the same compiler. */
export function runRegoTests({ rego }: Repository, findCompiler: FindRegoCompiler): RegoTestReport {
  const compiler = rego.length === 0 ? undefined : findCompiler();
  if (compiler === undefined) return { ok: rego.length === 0, passed: 0, failed: 0, problems: [] };
  const runs = rego.map(({ folder }) => compiler.test(folder));
  const problems = runs.flatMap((run) =>
    run.problems.map(({ place, message }): Problem => {
      const { file, line = 1, column = 1 } = place;
      return { rule: 'POLICY_REGO', severity: 'error', place: { file, line, column }, message };
    }),
  );
  const passed = runs.reduce((sum, run) => sum + run.passed, 0);
  return { ok: problems.length === 0, passed, failed: problems.length, problems };
}

/** Lines for a terminal; empty for a repository without Rego tests. */
export function formatRegoTests({ passed, failed, problems }: RegoTestReport): string {
  if (passed + failed === 0) return '';
  return [...problems.map(formatProblem), `${passed} Rego tests passed, ${failed} failed`].join('\n');
}
