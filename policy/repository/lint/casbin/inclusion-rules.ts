// What lines mean together: the same line again, a line another one includes entirely, an allow that a deny always
// beats. Exact for what containers.ts understands; of everything else only equal values are compared.
import type { Expression } from '../../../engine/casbin/matcher-syntax.ts';
import type { ModelFile } from '../../../engine/casbin/model-file.ts';
import { MAX_LINT_COMPARISONS, MAX_LINT_COMPARISONS_A_LINE } from '../../../limits.ts';
import type { Report } from '../../problems.ts';
import { columnContainers } from './containers.ts';
import type { ScannedLine } from './policy-scan.ts';
import type { RoleGraph } from './role-graph.ts';

export interface InclusionInput {
  readonly model: ModelFile;
  /** Lines without a fault. */
  readonly lines: readonly ScannedLine[];
  readonly expression: Expression;
  readonly roles: ReadonlyMap<string, RoleGraph>;
}

interface PolicyLine {
  readonly source: ScannedLine;
  readonly values: readonly string[];
  readonly allow: boolean;
}

/** Over a model and policy that compile. */
export function lintInclusion(input: InclusionInput, problems: Report): void {
  const { effect, policy } = input.model;
  const effectColumn = policy.indexOf('eft');
  const lines = input.lines
    .filter(({ kind }) => kind === 'p')
    .map((source): PolicyLine => {
      const values = source.values.map(({ text }) => text);
      return { source, values, allow: effectColumn === -1 || values[effectColumn] === 'allow' };
    });
  const allows = lines.filter(({ allow }) => allow);
  const denies = lines.filter(({ allow }) => !allow);
  const budget = { left: MAX_LINT_COMPARISONS, cut: 0 };
  const reported = new Set<PolicyLine>();
  if (effect === 'allow-and-deny') {
    const find = finder(input, denies, budget);
    for (const line of allows) {
      const found = find(line, false);
      if (found === undefined) continue;
      reported.add(line);
      const rule = found.same ? 'CASBIN_LINE_CONTRADICTORY' : 'CASBIN_LINE_DENIED';
      const message = `the deny at line ${found.line.source.line} matches whatever this allow matches`;
      problems.add(rule, line.source.place, message);
    }
  }
  for (const group of [allows, denies]) {
    const find = finder(input, group, budget);
    for (const line of group) {
      const found = reported.has(line) ? undefined : find(line, !line.allow);
      if (found === undefined) continue;
      const other = found.line.source.line;
      const identical = line.values.every((value, index) => value === found.line.values[index]);
      if (identical) {
        problems.add('CASBIN_LINE_DUPLICATE', line.source.place, `the same line stands at line ${other} already`);
      } else {
        problems.add('CASBIN_LINE_SHADOWED', line.source.place, `line ${other} matches whatever this line matches`);
      }
    }
  }
  if (budget.cut === 0) return;
  const message = `${budget.cut} of ${lines.length} lines were not compared with all others`;
  problems.add('CASBIN_ANALYSIS_CUT', { file: lines[0]?.source.place.file ?? '' }, message);
}

interface Found {
  readonly line: PolicyLine;
  /** Matches exactly the same, not more. */
  readonly same: boolean;
}

/** Looks for a line of `lines` that includes a given one; of two that include each other the first stays. */
function finder(
  { expression, roles }: InclusionInput,
  lines: readonly PolicyLine[],
  budget: { left: number; cut: number },
): (line: PolicyLine, wide: boolean) => Found | undefined {
  const columns = columnContainers(
    expression,
    roles,
    lines.map(({ values }) => values),
  );
  const byKey = new Map<string, PolicyLine>();
  for (const line of lines) {
    const key = keyOf(columns.map(({ canonical, column }) => canonical(line.values[column] ?? '')));
    if (!byKey.has(key)) byKey.set(key, line);
  }
  return (line, wide) => {
    const own = keyOf(columns.map(({ canonical, column }) => canonical(line.values[column] ?? '')));
    const equal = byKey.get(own);
    if (equal !== undefined && equal !== line) return { line: equal, same: true };
    const choices = columns.map((column) => [...column.containers(line.values, wide)]);
    const count = choices.reduce((product, values) => product * values.length, 1);
    if (count > MAX_LINT_COMPARISONS_A_LINE || count > budget.left) {
      budget.cut++;
      return undefined;
    }
    budget.left -= count;
    for (const key of combinations(choices)) {
      const found = key === own ? undefined : byKey.get(key);
      if (found !== undefined) return { line: found, same: false };
    }
    return undefined;
  };
}

function* combinations(choices: readonly (readonly string[])[], chosen: readonly string[] = []): Iterable<string> {
  const next = choices[chosen.length];
  if (next === undefined) yield keyOf(chosen);
  else for (const value of next) yield* combinations(choices, [...chosen, value]);
}

const keyOf = (values: readonly string[]): string => JSON.stringify(values);
