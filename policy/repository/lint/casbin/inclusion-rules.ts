// What lines mean together: the same line again, a line another one includes entirely, an allow that a deny always
// beats. Exact for what containers.ts understands; of everything else only equal values are compared.
import { valuesOf, type Expression } from '../../../engine/casbin/matcher-syntax.ts';
import type { ModelFile } from '../../../engine/casbin/model-file.ts';
import { MAX_LINT_COMPARISONS, MAX_LINT_COMPARISONS_A_LINE } from '../../../limits.ts';
import type { Report } from '../../problems.ts';
import { columnContainers } from './containers.ts';
import { termsOf } from './matcher-terms.ts';
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
  /** Place in the order of decision, where the effect has one; a line is covered only by one before it. */
  readonly order: number;
}

/** Over a model and policy that compile. */
export function lintInclusion(input: InclusionInput, problems: Report): void {
  const { effect, policy } = input.model;
  const effectColumn = policy.indexOf('eft');
  const lines = input.lines
    .filter(({ kind }) => kind === 'p')
    .map((source): PolicyLine => {
      const values = source.values.map(({ text }) => text);
      return { source, values, allow: effectColumn === -1 || values[effectColumn] === 'allow', order: 0 };
    });
  const ordered = effect === 'priority' ? inOrder(lines, input.model.priority) : lines;
  const allows = ordered.filter(({ allow }) => allow);
  const denies = ordered.filter(({ allow }) => !allow);
  const budget = { left: MAX_LINT_COMPARISONS, cut: 0 };
  const reported = new Set<PolicyLine>();
  if (effect === 'allow-and-deny' || effect === 'priority') {
    const find = finder(input, denies, budget);
    for (const line of allows) reportBeaten(line, find(line, false), reported, problems);
  }
  if (effect === 'priority' && hasOneReading(input.expression)) {
    const find = finder(input, allows, budget);
    for (const line of denies) reportBeaten(line, find(line, false), reported, problems);
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

function reportBeaten(line: PolicyLine, found: Found | undefined, reported: Set<PolicyLine>, problems: Report): void {
  if (found === undefined) return;
  reported.add(line);
  const [this_, other] = line.allow ? ['allow', 'deny'] : ['deny', 'allow'];
  const rule = found.same ? 'CASBIN_LINE_CONTRADICTORY' : 'CASBIN_LINE_DENIED';
  const message = `the ${other} at line ${found.line.source.line} matches whatever this ${this_} matches, and comes first`;
  problems.add(rule, line.source.place, message);
}

/** By the column of priorities, where there is one, then as written. */
function inOrder(lines: readonly PolicyLine[], priority: number | undefined): PolicyLine[] {
  const first = (line: PolicyLine): number => (priority === undefined ? 0 : Number(line.values[priority]));
  return lines
    .toSorted((a, b) => first(a) - first(b) || a.source.line - b.source.line)
    .map((line, order) => ({ ...line, order: order + 1 }));
}

/** No term is true of more values in a deny line than in an allow line. */
function hasOneReading(expression: Expression): boolean {
  return termsOf(expression).every(({ term }) => {
    const texts = valuesOf(term).every((value) => value.kind !== 'request' || value.path.length === 0);
    if (term.kind === 'call')
      return texts && !['eval', 'regexMatch', 'globMatch'].includes(term.name) && !/^keyMatch[2-5]$/.test(term.name);
    return texts && (term.kind === 'equal' || term.kind === 'in');
  });
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
    const before = (other: PolicyLine | undefined): boolean => other !== undefined && other.order <= line.order;
    const equal = byKey.get(own);
    if (equal !== undefined && equal !== line && before(equal)) return { line: equal, same: true };
    const choices = columns.map((column) => [...column.containers(line.values, wide)]);
    const count = choices.reduce((product, values) => product * values.length, 1);
    if (count > MAX_LINT_COMPARISONS_A_LINE || count > budget.left) {
      budget.cut++;
      return undefined;
    }
    budget.left -= count;
    for (const key of combinations(choices)) {
      const found = key === own ? undefined : byKey.get(key);
      if (found !== undefined && before(found)) return { line: found, same: false };
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
