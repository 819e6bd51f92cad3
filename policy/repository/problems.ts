// What is wrong with a policy repository, as values: every problem names its rule, file, line and column, and a run
// reports all of them, not the first.
import { formatPlace } from '../../runtime/errors.ts';
import type { Place } from '../../runtime/errors.ts';
import { MAX_PROBLEMS } from '../limits.ts';
import type { Waiver } from './repository.ts';
import { lintRules } from './rules.ts';
import type { RuleId } from './rules.ts';

export interface Problem {
  readonly rule: RuleId;
  readonly severity: 'error' | 'warning';
  /** Always with line and column; 1:1 for a whole file. */
  readonly place: Required<Place>;
  /** What was found and what was expected. */
  readonly message: string;
  /** The grant it is about, where it is about one. */
  readonly grant?: string;
  /** The interface it is about, where a waiver names that. */
  readonly interface?: string;
}

/** A problem that a waiver excuses. */
export interface WaivedProblem extends Problem {
  readonly waiver: Pick<Waiver, 'id' | 'owner' | 'reason' | 'until'>;
}

/** Where a rule reports to. */
export type Report = Pick<Problems, 'add'>;

/** Collects problems while a repository is read and checked. */
export interface Problems {
  add(rule: RuleId, place: Place, message: string, about?: Pick<Problem, 'grant' | 'interface'>): void;
  /** Takes out every problem so far for which there is a waiver; `waived` lists them. */
  waive(waiverOf: (problem: Problem) => Waiver | undefined): void;
  /** By file, line, column; not capped. */
  waived(): readonly WaivedProblem[];
  /** By file, line, column; capped, with a last entry that says how many more there are. */
  list(): readonly Problem[];
}

export function collectProblems(): Problems {
  let found: Problem[] = [];
  const waived: WaivedProblem[] = [];
  return {
    add(rule, place, message, about): void {
      // A problem of a whole file, or of a line, still has a place that editors can jump to.
      const { file, line = 1, column = 1 } = place;
      found.push({ rule, severity: lintRules[rule].severity, place: { file, line, column }, message, ...about });
    },
    waive(waiverOf): void {
      found = found.filter((problem) => {
        const waiver = waiverOf(problem);
        if (waiver === undefined) return true;
        const { id, owner, reason, until } = waiver;
        waived.push({ ...problem, waiver: { id, owner, reason, until } });
        return false;
      });
    },
    waived: () => waived.toSorted(byPlace),
    list(): readonly Problem[] {
      // Errors first when cut off, so that the cap never hides the only error behind warnings.
      const sorted = found.toSorted(byPlace);
      if (sorted.length <= MAX_PROBLEMS) return sorted;
      const kept = [...sorted.filter(isError), ...sorted.filter((problem) => !isError(problem))].slice(0, MAX_PROBLEMS);
      const rest = sorted.length - kept.length;
      const last = kept[kept.length - 1];
      if (last !== undefined) kept.push({ ...last, message: `and ${rest} more problems` });
      return kept;
    },
  };
}

export function isError(problem: Problem): boolean {
  return problem.severity === 'error';
}

/** One line for a terminal, as editors understand it: `file:line:column: error RULE: message; fix`. */
export function formatProblem(problem: Problem): string {
  const fix = lintRules[problem.rule].fix;
  return `${formatPlace(problem.place)}: ${problem.severity} ${problem.rule}: ${problem.message}; ${fix}`;
}

function byPlace(a: Problem, b: Problem): number {
  if (a.place.file !== b.place.file) return a.place.file < b.place.file ? -1 : 1;
  return a.place.line - b.place.line || a.place.column - b.place.column;
}
