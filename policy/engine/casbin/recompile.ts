// A changed policy.csv without compiling what did not change: what both texts begin and end with stays, the lines between
// are a delta.
import { MAX_CASBIN_LINES } from '../limits.ts';
import { type CasbinModel, type CasbinSource, compileCasbin, type NumberedLine } from './casbin-model.ts';

export interface CompiledSource {
  readonly source: CasbinSource;
  readonly model: CasbinModel;
}

/** More changed lines than this share of all are compiled anew, which is then about as fast. */
const largestShare = 0.1;

/**
 * As compileCasbin, also in what it throws. `before` is left as it is; it serves only where model.conf and the names of
 * the files are the same and lines mean the same wherever they stand.
 */
export function recompileCasbin(source: CasbinSource, before: CompiledSource | undefined): CasbinModel {
  if (before === undefined || before.model.worn || !before.model.mendable) return compileCasbin(source);
  const { model, policy, modelFile, policyFile } = before.source;
  if (source.model !== model || source.modelFile !== modelFile || source.policyFile !== policyFile) {
    return compileCasbin(source);
  }
  if (source.policy === policy) return before.model;
  const [left, now] = [policy.split('\n'), source.policy.split('\n')];
  const { start, end } = commonEnds(left, now);
  const changed = left.length + now.length - 2 * (start + end);
  if (changed > largestShare * now.length || now.length > MAX_CASBIN_LINES) return compileCasbin(source);
  try {
    return before.model.with({
      remove: numbered(left, start, end),
      renumber: { from: left.length - end + 1, by: now.length - left.length },
      add: numbered(now, start, end),
    });
  } catch {
    // The whole says whether it is wrong, and where.
    return compileCasbin(source);
  }
}

/** How many lines both begin with, and how many of the others both end with. */
function commonEnds(left: readonly string[], right: readonly string[]): { start: number; end: number } {
  const shorter = Math.min(left.length, right.length);
  let start = 0;
  while (start < shorter && left[start] === right[start]) start++;
  let end = 0;
  while (end < shorter - start && left[left.length - 1 - end] === right[right.length - 1 - end]) end++;
  return { start, end };
}

function numbered(lines: readonly string[], start: number, end: number): NumberedLine[] {
  return lines.slice(start, lines.length - end).map((text, index) => ({ text, line: start + index + 1 }));
}
