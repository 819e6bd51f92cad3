// HTTP forward-auth for nginx `auth_request` (and proxies of the same kind): one subrequest, answered with 200, 401 or
// 403 and all identity headers. Listens on a unix socket whose directory only the proxy may enter, or on loopback.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AuthzPorts, authorize } from '../authorize.ts';
import { forwardAuthTimeoutMs, maxForwardAuthHeaderBytes } from '../limits.ts';
import { parseFulfils } from '../obligations.ts';
import { identityHeaders, type Question } from '../question.ts';
import { challengeHeaders, denialStatus } from '../step-up.ts';

/** Headers that the proxy sets itself, in `examples/nginx/edgeward.conf`. A repeated one is refused. */
const proxyHeaders = {
  interface: 'x-edgeward-interface',
  method: 'x-original-method',
  target: 'x-original-uri',
  certificate: 'x-client-cert',
  verified: 'x-client-verify',
  connection: 'x-client-connection',
} as const;

/**
 * In the URL that the proxy asks, `/?fulfils=custom:badge%20custom:door`: unlike a header it is always the proxy's own, also
 * where a configuration that does not know of it passes on what the client sends.
 */
const fulfilsParameter = 'fulfils';

export function createForwardAuth(ports: AuthzPorts): Server {
  const server = createServer(
    {
      maxHeaderSize: maxForwardAuthHeaderBytes,
      requestTimeout: forwardAuthTimeoutMs,
      headersTimeout: forwardAuthTimeoutMs,
    },
    (request, response) => {
      void answer(ports, request, response);
    },
  );
  return server;
}

async function answer(ports: AuthzPorts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume();
  const question = readQuestion(request);
  if (question === undefined) {
    // 403 rather than 400: nginx turns everything but 2xx, 401 and 403 into a 500 for the client.
    reply(response, 403, {
      'x-edgeward-subject': '',
      'x-edgeward-decision': 'deny',
      'x-edgeward-rule': '',
      'x-edgeward-obligations': '',
    });
    return;
  }
  const given = await authorize(ports, question);
  const status = given.decision.allow ? 200 : denialStatus(given);
  reply(response, status, { ...identityHeaders(given), ...challengeHeaders(given) });
}

function reply(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>): void {
  const safe = Object.fromEntries(
    Object.entries(headers).map(([key, value]) => [key, value.replaceAll(/[^\x20-\x7e]/g, '?')]),
  );
  response.writeHead(status, { ...safe, 'content-length': '0', 'cache-control': 'no-store' }).end();
}

/** The question in the proxy's headers; undefined when one is missing, repeated or malformed. */
function readQuestion(request: IncomingMessage): Question | undefined {
  const interfaceName = single(request, proxyHeaders.interface);
  const method = single(request, proxyHeaders.method);
  const target = single(request, proxyHeaders.target);
  if (interfaceName === undefined || method === undefined || target === undefined) return undefined;
  const certificatePem = clientCertificate(request);
  const fulfils = fulfilsOf(request);
  return {
    interface: interfaceName,
    operation: { protocol: 'http', method, path: target },
    peer: certificatePem === undefined ? {} : { certificatePem },
    connection: single(request, proxyHeaders.connection) ?? '',
    source: 'forward-auth',
    ...(fulfils === undefined ? {} : { fulfils }),
  };
}

function fulfilsOf({ url = '' }: IncomingMessage): Question['fulfils'] {
  const start = url.indexOf('?');
  if (start === -1) return undefined;
  const said = new URLSearchParams(url.slice(start)).getAll(fulfilsParameter);
  return said.length === 1 ? parseFulfils(said[0]) : undefined;
}

function clientCertificate(request: IncomingMessage): string | undefined {
  const escaped = single(request, proxyHeaders.certificate);
  if (escaped === undefined || single(request, proxyHeaders.verified) !== 'SUCCESS') return undefined;
  try {
    return decodeURIComponent(escaped);
  } catch {
    return undefined;
  }
}

function single(request: IncomingMessage, name: string): string | undefined {
  const values = request.headersDistinct[name];
  const value = values?.[0];
  return values?.length === 1 && value !== undefined && value !== '' ? value : undefined;
}
