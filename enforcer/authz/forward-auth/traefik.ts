// Traefik ForwardAuth with examples/traefik/edgeward.yaml. With `trustForwardHeader: false` Traefik overwrites X-Forwarded-Method,
// -Proto, -Host, -Uri and -For with what it saw itself; X-Forwarded-Tls-Client-Cert is of its passTLSClientCert middleware.
// https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/forwardauth/
import { isIP } from 'node:net';
import type { Question } from '../question.ts';
import { bearerOf } from '../bearer.ts';
import { fromBase64DerList } from './client-certificate.ts';
import { fulfilsOf } from './fulfils.ts';
import { ownHeaders } from './own-headers.ts';
import { clientHeaders, questionOf, type ReadsOf } from './question-of.ts';

export const traefikHeaders = [
  'x-forwarded-method',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-uri',
  'x-forwarded-for',
  'x-forwarded-tls-client-cert',
  'authorization',
] as const;

/** Of Traefik itself, or of the request to us (the address has its own Host). */
const ofTraefik = /^(?:x-forwarded-|x-real-ip$|accept-encoding$|host$|connection$|user-agent$)/;

/** @param interfaceName Of the address in Traefik's configuration: nothing that a client sends comes near it. */
export function readTraefik(
  headers: readonly string[],
  query: string,
  interfaceName: string,
  readsOf: ReadsOf,
): Question | undefined {
  const own = ownHeaders(headers, traefikHeaders);
  if (own === undefined) return undefined;
  return questionOf(
    {
      interface: interfaceName,
      method: own['x-forwarded-method'],
      target: own['x-forwarded-uri'],
      host: own['x-forwarded-host'],
      scheme: own['x-forwarded-proto'],
      connection: connectionOf(own['x-forwarded-for']),
      certificatePem: fromBase64DerList(own['x-forwarded-tls-client-cert']),
      bearer: bearerOf(own.authorization),
      fulfils: fulfilsOf(query),
      clientHeaders: clientHeaders(headers, ofTraefik),
    },
    readsOf,
  );
}

/** One address, without a port: Traefik does not say it. A list has been appended to, and is nobody's word. */
function connectionOf(address: string): string {
  const family = isIP(address);
  if (family === 0) return '';
  return family === 6 ? `[${address}]:0` : `${address}:0`;
}
