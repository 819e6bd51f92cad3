// Rules in the order in which an author reads them; a repository holds them by id.
import type { At } from '../repository.ts';

/** By file and line of the id. */
export function asWritten<Rule extends { readonly at: At }>(rules: readonly Rule[]): Rule[] {
  return rules
    .map((rule) => ({ rule, place: rule.at('id') }))
    .sort(({ place: a }, { place: b }) =>
      a.file === b.file ? (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0) : a.file < b.file ? -1 : 1,
    )
    .map(({ rule }) => rule);
}
