// For each lint rule the files that trigger it and where it points, and the nearest files that do not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlace } from '../../../../runtime/errors.ts';
import { loadRepository } from '../../load.ts';
import type { RuleId } from '../../rules.ts';
import { sampleFiles, sampleNow, treeOf } from '../../sample-tree.ts';

/** Files beside those of the sample, or instead of them. */
export type Files = Readonly<Record<string, string>>;

export interface RuleCase {
  /** With `file:line:column` of the finding. */
  readonly fires: readonly (readonly [Files, string])[];
  readonly silent: readonly Files[];
}

export function problemsOf(files: Files): string[] {
  return loadRepository(treeOf({ ...sampleFiles, ...files }), sampleNow).problems.map(
    ({ place, rule, message }) => `${formatPlace(place)} ${rule} ${message}`,
  );
}

/** One test a rule. */
export function testRules<Rule extends RuleId>(cases: Readonly<Record<Rule, RuleCase>>): void {
  for (const [rule, { fires, silent }] of Object.entries(cases) as [Rule, RuleCase][]) {
    test(`${rule} is found where it is, and not beside it`, () => {
      for (const [files, place] of fires) {
        const found = problemsOf(files);
        assert.ok(
          found.some((line) => line.startsWith(`${place} ${rule} `)),
          `${rule} at ${place} in\n${Object.values(files).join('\n').slice(0, 2_000)}\n${found.join('\n')}`,
        );
      }
      for (const files of silent) {
        const found = problemsOf(files);
        const wrong =
          found.some((line) => line.includes(` ${rule} `)) || found.some((line) => line.includes('POLICY_FORMAT'));
        assert.ok(!wrong, `${Object.values(files).join('\n').slice(0, 2_000)}\n${found.join('\n')}`);
      }
    });
  }
}
