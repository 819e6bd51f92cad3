// The matcher as a list of terms, each with whether its truth helps the line to match. What other rules reason about:
// a line includes another when every term that helps does, and every term that hinders is included the other way.
import { valuesOf, type Atom, type Expression, type Value } from '../../../engine/casbin/matcher-syntax.ts';

export interface PlacedTerm {
  readonly term: Atom;
  readonly positive: boolean;
}

export function termsOf(expression: Expression, positive = true): PlacedTerm[] {
  if (expression.kind === 'not') return termsOf(expression.term, !positive);
  if ('terms' in expression) return expression.terms.flatMap((term) => termsOf(term, positive));
  return [{ term: expression, positive }];
}

export function columnsOf(term: Atom): number[] {
  return valuesOf(term).flatMap((value) => (value.kind === 'policy' ? [value.column] : []));
}

/** The field of the request that the value is; undefined for anything else, also for an attribute inside a field. */
export function wholeField(value: Value | undefined): number | undefined {
  return value?.kind === 'request' && value.path.length === 0 ? value.field : undefined;
}

/** The terms that stand in an "and" at the top: each has to hold for any line to match. */
export function conjuncts(expression: Expression): readonly Expression[] {
  return expression.kind === 'and' ? expression.terms.flatMap(conjuncts) : [expression];
}
