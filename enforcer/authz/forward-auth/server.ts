// HTTP forward-auth: one subrequest of a proxy, answered with 200, 401 or 403 and all identity headers, whatever comes.
// What is no plain GET without a body is not from a proxy as we ship its configuration: denied, and the connection closed.
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type AuthzPorts, authorize } from '../authorize.ts';
import {
  forwardAuthCheckIntervalMs,
  forwardAuthTimeoutMs,
  maxForwardAuthConnections,
  maxForwardAuthHeaderBytes,
} from '../limits.ts';
import { identityHeaders } from '../question.ts';
import { challengeHeaders, denialStatus } from '../step-up.ts';
import { readQuestion } from './convention.ts';

export function createForwardAuth(ports: AuthzPorts): Server {
  const server = createServer({
    maxHeaderSize: maxForwardAuthHeaderBytes,
    requestTimeout: forwardAuthTimeoutMs,
    headersTimeout: forwardAuthTimeoutMs,
    connectionsCheckingInterval: forwardAuthCheckIntervalMs,
    insecureHTTPParser: false,
    // Looked at below: Node would answer 400.
    requireHostHeader: false,
  });
  // All that fit are looked at: above a count some versions of Node drop them without a word, others refuse the request.
  server.maxHeadersCount = 0;
  server.maxConnections = maxForwardAuthConnections;
  const asking = new WeakSet<Duplex>();
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    if (asking.has(socket) || !isPlain(request)) {
      refuse(response);
      return;
    }
    asking.add(socket);
    response.once('close', () => asking.delete(socket));
    void answer(ports, request, response);
  };
  server.on('request', take);
  // Node would answer these itself, with statuses that proxies read differently.
  server.on('checkContinue', take);
  server.on('checkExpectation', take);
  server.on('connect', (_, socket) => denyRaw(socket));
  server.on('clientError', (_, socket) => denyRaw(socket));
  return server;
}

/** HTTP/1 as proxies speak it: one GET without a body, and nothing to come before the answer. */
function isPlain({ method, headers, httpVersion }: IncomingMessage): boolean {
  const body = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
  const known = httpVersion === '1.0' || (httpVersion === '1.1' && headers.host !== undefined);
  return known && method === 'GET' && !body && headers.expect === undefined;
}

async function answer(ports: AuthzPorts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const question = readQuestion({ url: request.url ?? '', headers: request.rawHeaders }, ports.httpReads);
  if (question === undefined) {
    reply(response, 403, deniedHeaders);
    return;
  }
  const given = await authorize(ports, question);
  const status = given.decision.allow ? 200 : denialStatus(given);
  reply(response, status, { ...identityHeaders(given), ...challengeHeaders(given) });
}

/** 403 rather than 400: nginx turns everything but 2xx, 401 and 403 into a 500 for the client. */
const deniedHeaders = identityHeaders({
  subject: '',
  decision: { allow: false, reason: 'fault', rule: '', place: '', operation: '', bundle: '' },
});

function reply(response: ServerResponse, status: 200 | 401 | 403, headers: Readonly<Record<string, string>>): void {
  response.writeHead(status, { ...printable(headers), 'content-length': '0', 'cache-control': 'no-store' }).end();
}

function refuse(response: ServerResponse): void {
  response.shouldKeepAlive = false;
  response.once('finish', () => response.socket?.destroySoon());
  reply(response, 403, deniedHeaders);
}

/** For what is no HTTP that could be answered as such. */
function denyRaw(socket: Duplex): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const lines = Object.entries({ ...deniedHeaders, 'content-length': '0', connection: 'close' });
  const head = [`HTTP/1.1 403 ${STATUS_CODES[403]}`, ...lines.map(([name, value]) => `${name}: ${value}`)];
  socket.end(`${head.join('\r\n')}\r\n\r\n`, () => socket.destroy());
}

const printable = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([key, value]) => [key, value.replaceAll(/[^\x20-\x7e]/g, '?')]));
