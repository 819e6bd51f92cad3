// A matcher as the ways in which it can come true: a disjunction of conjunctions of literals, so that each way can have
// an index of its own.
//
// Values can be unknown (an attribute is missing), so an expression is true, false or unknown. An allow needs what is
// *surely* true, a deny what is *possibly* true (design, section 3: an error in a deny counts as a match), and a negation
// turns one question into the other. So there are two readings of one matcher, and both are plain boolean.
import { MAX_MATCHER_WAYS } from '../limits.ts';
import type { Atom, Expression } from './matcher-syntax.ts';

export type Reading = 'sure' | 'possible';

export interface Literal {
  readonly atom: Atom;
  readonly negated: boolean;
}

export type Way = readonly Literal[];

/** Undefined when there are more than MAX_MATCHER_WAYS. */
export function waysOf(expression: Expression, negated = false): readonly Way[] | undefined {
  switch (expression.kind) {
    case 'not':
      return waysOf(expression.term, !negated);
    case 'and':
    case 'or':
      return (expression.kind === 'or') === negated
        ? productOf(expression.terms, negated)
        : sumOf(expression.terms, negated);
    case 'equal':
    case 'order':
    case 'in':
    case 'truth':
    case 'call':
      return [[{ atom: expression, negated }]];
  }
}

function sumOf(terms: readonly Expression[], negated: boolean): readonly Way[] | undefined {
  const sum: Way[] = [];
  for (const term of terms) {
    const ways = waysOf(term, negated);
    if (ways === undefined || sum.length + ways.length > MAX_MATCHER_WAYS) return undefined;
    sum.push(...ways);
  }
  return sum;
}

function productOf(terms: readonly Expression[], negated: boolean): readonly Way[] | undefined {
  let product: readonly Way[] = [[]];
  for (const term of terms) {
    const ways = waysOf(term, negated);
    if (ways === undefined || product.length * ways.length > MAX_MATCHER_WAYS) return undefined;
    product = product.flatMap((left) => ways.map((right) => [...left, ...right]));
  }
  return product;
}

/** The reading in which the atom of a literal is asked. */
export const readingOf = (literal: Literal, reading: Reading): Reading =>
  literal.negated ? (reading === 'sure' ? 'possible' : 'sure') : reading;
