// Which named operations of an interface a request is an instance of. Two answers: those it surely is, which a grant
// may open, and those it possibly is, which a deny and a stricter class reach: in a deny, doubt counts as a match.
import type { Operation } from './request.ts';

export type OperationMatch =
  | {
      readonly kind: 'matched';
      /** Indexes into the interface's operations, ascending, each once. */
      readonly sure: readonly number[];
      /** A superset of `sure`; computed only when asked. */
      readonly possible: () => readonly number[];
      /** Of http, where the interface has a profile: the normal form of the path. */
      readonly path?: string;
    }
  | { readonly kind: 'ambiguous'; readonly why: string };

/** `subject`: id of who asks; what an operation says of its own subject is read by it. */
export type MatchOperation = (operation: Operation, subject: string) => OperationMatch;

export const noMatch: OperationMatch = { kind: 'matched', sure: [], possible: () => [] };

export function ascending(indexes: readonly number[]): readonly number[] {
  return indexes.length < 2 ? indexes : [...new Set(indexes)].sort((a, b) => a - b);
}
