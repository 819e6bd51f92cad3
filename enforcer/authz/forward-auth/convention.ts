// How a proxy asks: which headers its shipped configuration sets, and what they mean. The path that the proxy's
// configuration asks for chooses one, so that a header of another convention, which only a client can have sent, is never read.
import type { Question } from '../question.ts';
import type { ReadsOf } from './question-of.ts';
import { readCaddy } from './caddy.ts';
import { readNginx } from './nginx.ts';
import { readTraefik } from './traefik.ts';

/** What a proxy asked, untouched. */
export interface Subrequest {
  /** Path and query of the URL in the proxy's configuration. */
  readonly url: string;
  /** Names and values in turn, each header line apart. */
  readonly headers: readonly string[];
}

/** The question in a proxy's subrequest; undefined, which denies, when something of it is missing, repeated or malformed. */
export function readQuestion({ url, headers }: Subrequest, readsOf?: ReadsOf): Question | undefined {
  const [path, query] = split(url);
  const [, convention = 'none', ...rest] = path.split('/');
  switch (convention) {
    case '':
    case 'nginx':
      return rest.length === 0 ? readNginx(headers, query, readsOf) : undefined;
    case 'caddy':
      // Caddy hands on the client's query unless it is told otherwise: it says nothing here.
      return rest.length === 0 ? readCaddy(headers, readsOf) : undefined;
    case 'traefik':
      return rest.length === 1 ? readTraefik(headers, query, rest[0] ?? '', readsOf) : undefined;
    default:
      return undefined;
  }
}

function split(url: string): readonly [string, string] {
  const mark = url.indexOf('?');
  return mark === -1 ? [url, ''] : [url.slice(0, mark), url.slice(mark)];
}
