// Caddy `forward_auth` with examples/caddy/Caddyfile. Caddy passes on every header of the client beside those that it sets, so
// the convention has names of its own: the shipped configuration first drops what the client calls so, then sets them all.
import type { Question } from '../question.ts';
import { bearerOf } from '../bearer.ts';
import { parseFulfils } from '../obligations.ts';
import { fromBase64Der } from './client-certificate.ts';
import { ownHeaders } from './own-headers.ts';
import { clientHeaders, questionOf, type ReadsOf } from './question-of.ts';

export const caddyHeaders = [
  'x-edgeward-interface',
  'x-edgeward-method',
  'x-edgeward-uri',
  'x-edgeward-host',
  'x-edgeward-scheme',
  'x-edgeward-connection',
  'x-edgeward-certificate',
  'x-edgeward-authorization',
  'x-edgeward-fulfils',
  'x-edgeward-client-connection',
] as const;

/** What Caddy says for a placeholder that has no value: the client showed no certificate. */
const noCertificate = '{http.request.tls.client.certificate_der_base64}';

/** Set or changed by Caddy itself on the way to us (reverse_proxy, "Headers"). */
const ofCaddy =
  /^(?:x-edgeward-|x-forwarded-(?:for|host|proto|method|uri)$|accept-encoding$|host$|connection$|upgrade$)/;

const isClientConnection = (name: string): boolean => name.toLowerCase() === 'x-edgeward-client-connection';

export function readCaddy(headers: readonly string[], readsOf: ReadsOf): Question | undefined {
  const own = ownHeaders(headers, caddyHeaders);
  // Empty for most clients, but never absent: a configuration that does not set it leaves this unseen.
  if (own === undefined || !headers.some((name, at) => at % 2 === 0 && isClientConnection(name))) return undefined;
  const certificate = own['x-edgeward-certificate'];
  const fulfils = own['x-edgeward-fulfils'];
  const options = own['x-edgeward-client-connection'];
  return questionOf(
    {
      interface: own['x-edgeward-interface'],
      method: own['x-edgeward-method'],
      target: own['x-edgeward-uri'],
      host: own['x-edgeward-host'],
      scheme: own['x-edgeward-scheme'],
      connection: own['x-edgeward-connection'],
      certificatePem: certificate === noCertificate ? '' : fromBase64Der(certificate),
      bearer: bearerOf(own['x-edgeward-authorization']),
      fulfils: fulfils === '' ? undefined : parseFulfils(fulfils),
      // Caddy obeys Connection on the way to us and again on the way to the workload, there for our identity headers too.
      clientHeaders: [...clientHeaders(headers, ofCaddy), ...(options === '' ? [] : ['connection', options])],
    },
    readsOf,
  );
}
