// What `policy lint` prints: for people each problem with the line it is about, for programs one JSON document.
import { visible } from '../../runtime/table.ts';
import { formatProblem, isError } from './problems.ts';
import type { Problem, WaivedProblem } from './problems.ts';
import { lintRules } from './rules.ts';
import type { LintRule, RuleId } from './rules.ts';
import type { PolicyTree } from './tree.ts';

/** Characters of a source line that are shown before and behind its fault. */
const SHOWN_BEFORE = 80;
const SHOWN_BEHIND = 100;

interface ReportedProblem {
  readonly rule: RuleId;
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly fix: string;
}

/** The document of `policy lint --json`. */
export interface LintReport {
  /** No problem that fails the command: no error, with `strict` no warning either. */
  readonly ok: boolean;
  readonly errors: number;
  readonly warnings: number;
  readonly problems: readonly ReportedProblem[];
  readonly waived: readonly (ReportedProblem & {
    readonly waiver: string;
    readonly owner: string;
    readonly reason: string;
    /** Milliseconds since the epoch. */
    readonly until: number;
  })[];
}

export interface LintFindings {
  readonly problems: readonly Problem[];
  readonly waived: readonly WaivedProblem[];
}

export function lintReport({ problems, waived }: LintFindings, strict = false): LintReport {
  const errors = problems.filter(isError).length;
  return {
    ok: strict ? problems.length === 0 : errors === 0,
    errors,
    warnings: problems.length - errors,
    problems: problems.map(reported),
    waived: waived.map((problem) => {
      const { id, owner, reason, until } = problem.waiver;
      return { ...reported(problem), waiver: id, owner, reason, until };
    }),
  };
}

function reported({ rule, severity, place, message }: Problem): ReportedProblem {
  return { rule, severity, ...place, message, fix: lintRules[rule].fix };
}

/** `tree`: the files the problems are about, to show their lines. */
export function formatReport({ problems, waived }: LintFindings, tree: PolicyTree): string {
  const linesOf = sourceLines(tree);
  const blocks = problems.map((problem) => {
    const { file, line, column } = problem.place;
    const source = linesOf(file)?.[line - 1];
    return [visible(formatProblem(problem)), ...(source === undefined ? [] : marked(source, column))].join('\n');
  });
  return [...blocks, summary({ problems, waived })].join('\n');
}

/** The lines of a file of the tree, decoded once; undefined where there is no such file. */
export function sourceLines(tree: PolicyTree): (file: string) => readonly string[] | undefined {
  const decoded = new Map<string, readonly string[]>();
  return (file) => {
    const content = tree.files.get(file);
    if (content === undefined) return undefined;
    let lines = decoded.get(file);
    if (lines === undefined) decoded.set(file, (lines = new TextDecoder().decode(content).split(/\r?\n/)));
    return lines;
  };
}

/** The line with a caret below the column; nothing for an empty line. */
function marked(source: string, column: number): string[] {
  if (source.trim() === '') return [];
  const from = Math.max(0, column - 1 - SHOWN_BEFORE);
  const before = visible(source.slice(from, column - 1).replaceAll('\t', ' '));
  const behind = visible(source.slice(column - 1, column - 1 + SHOWN_BEHIND).replaceAll('\t', ' '));
  return [`    ${before}${behind}`.trimEnd(), `    ${' '.repeat(before.length)}^`];
}

function summary({ problems, waived }: LintFindings): string {
  const errors = problems.filter(isError).length;
  const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
  const excused = waived.length === 0 ? '' : `, ${waived.length} waived`;
  return `${count(errors, 'error')}, ${count(problems.length - errors, 'warning')}${excused}`;
}

/** What `policy lint --explain` says of a rule. */
export function explainRule(id: RuleId): string {
  const { severity, waivable, explanation, example, fix }: LintRule = lintRules[id];
  const waiver = waivable ? 'a waiver can excuse it' : 'cannot be waived';
  return `${id}: ${severity}, ${waiver}\n\n${explanation}\n\n  example  ${example}\n  fix      ${fix}`;
}

export function isRuleId(text: string): text is RuleId {
  return Object.hasOwn(lintRules, text);
}
