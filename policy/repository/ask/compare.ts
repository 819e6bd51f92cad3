// Whether two policies give the same answers: asked cell by cell, of cells that tell apart whatever either tells apart.
import type { Slice } from '../../bundle/slice.ts';
import type { Decision } from '../../engine/index.ts';
import type { SliceEngine } from '../decide.ts';
import { MAX_CELLS } from '../../limits.ts';
import type { Repository } from '../repository.ts';
import type { Question } from './question.ts';
import { forEachCell, spaceOf } from './space.ts';

export type Comparison =
  /** No request gets another answer, or the same with other obligations. */
  | { readonly kind: 'same' }
  /** `first` is the answer of the first. */
  | { readonly kind: 'different'; readonly question: Question; readonly first: Decision }
  /** No difference was found, and not every request was asked. */
  | { readonly kind: 'unknown'; readonly gaps: readonly string[] };

/** `first` and `second` are slices by device; requests from `now` on. */
export function comparePolicies(
  repository: Repository,
  engine: SliceEngine,
  first: ReadonlyMap<string, Slice>,
  second: ReadonlyMap<string, Slice>,
  interfaces: readonly string[],
  now: number,
): Comparison {
  const subjects = repository.devices.map(({ id }) => id);
  const gaps = new Set<string>();
  for (const entry of repository.interfaces.filter(({ name }) => interfaces.includes(name))) {
    for (const device of entry.devices) {
      const [a, b] = [first.get(device), second.get(device)];
      if (a === undefined || b === undefined) continue;
      const space = spaceOf(engine, [a, b], entry.name, device, { subjects, strangers: true, now });
      for (const gap of space.gaps) gaps.add(gap);
      if (space.cells > MAX_CELLS) {
        gaps.add(`${entry.name} of ${device} has ${space.cells} different requests, more than ${MAX_CELLS}`);
        continue;
      }
      let found: Comparison | undefined;
      forEachCell(space, ({ request, freshness, question, members }) => {
        const subject = members.find((member) => member !== device);
        if (subject === undefined) return undefined;
        const before = engine.decide(a, request, freshness);
        const after = engine.decide(b, request, freshness);
        if (before.allow === after.allow && sameObligations(before, after)) return undefined;
        const asked = question();
        found = { kind: 'different', question: { ...asked, given: { ...asked.given, subject } }, first: before };
        return 'stop';
      });
      if (found !== undefined) return found;
    }
  }
  return gaps.size === 0 ? { kind: 'same' } : { kind: 'unknown', gaps: [...gaps] };
}

function sameObligations(a: Decision, b: Decision): boolean {
  return JSON.stringify(a.obligations) === JSON.stringify(b.obligations);
}
