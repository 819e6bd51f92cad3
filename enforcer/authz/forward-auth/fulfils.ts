// Which custom obligations a proxy carries out, said in the URL that its configuration asks: `/?fulfils=custom:badge%20custom:door`.
// Unlike a header it is always the proxy's own, also where a configuration passes on what the client sends.
import { parseFulfils } from '../obligations.ts';
import type { Question } from '../question.ts';

const fulfilsParameter = 'fulfils';

/** @param query With its question mark; empty for none. */
export function fulfilsOf(query: string): Question['fulfils'] {
  const said = new URLSearchParams(query).getAll(fulfilsParameter);
  return said.length === 1 ? parseFulfils(said[0]) : undefined;
}
