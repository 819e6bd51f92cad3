// nginx `auth_request` with examples/nginx/edgeward.conf, which passes on no header of the client: all there is comes from
// nginx's own variables.
import type { Question } from '../question.ts';
import { bearerOf } from '../bearer.ts';
import { fromEscapedPem } from './client-certificate.ts';
import { fulfilsOf } from './fulfils.ts';
import { ownHeaders } from './own-headers.ts';
import { questionOf, type ReadsOf } from './question-of.ts';

export const nginxHeaders = [
  'x-edgeward-interface',
  'x-original-method',
  'x-original-uri',
  'x-original-host',
  'x-original-scheme',
  'x-client-verify',
  'x-client-cert',
  'x-client-connection',
  'x-client-authorization',
] as const;

export function readNginx(headers: readonly string[], query: string, readsOf: ReadsOf): Question | undefined {
  const own = ownHeaders(headers, nginxHeaders);
  if (own === undefined) return undefined;
  const certificate = own['x-client-verify'] === 'SUCCESS' ? own['x-client-cert'] : '';
  return questionOf(
    {
      interface: own['x-edgeward-interface'],
      method: own['x-original-method'],
      target: own['x-original-uri'],
      host: own['x-original-host'],
      scheme: own['x-original-scheme'],
      connection: own['x-client-connection'],
      certificatePem: fromEscapedPem(certificate),
      bearer: bearerOf(own['x-client-authorization']),
      fulfils: fulfilsOf(query),
      clientHeaders: [],
    },
    readsOf,
  );
}
