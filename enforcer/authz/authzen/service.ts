// The HTTP binding of OpenID AuthZEN Authorization API 1.0 (section HTTPS JSON Binding), for enforcement points on this host.
// Answers are 200 whatever was decided; other statuses say that there was no question (section Error Responses).
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { MIMEType } from 'node:util';
import type { Clock } from '../../../runtime/clock.ts';
import { createRateLimit } from '../../../runtime/rate-limit.ts';
import { evaluation, evaluations } from './evaluate.ts';
import { readIJson } from '../../../runtime/i-json.ts';
import * as limits from './limits.ts';
import type { MappingOptions } from './mapping.ts';
import { type EndpointName, metadataOf, pathsOf } from './metadata.ts';
import { search, type SearchPorts } from './search.ts';

export interface AuthzenOptions extends MappingOptions {
  /** URL that callers know this decision point by; no metadata without it. */
  readonly url: string | undefined;
  /** Bearer token that callers have to show (RFC 6750); undefined where the socket's mode says who may ask. */
  readonly token: string | undefined;
  readonly clock: Clock;
}

export function createAuthzen(ports: SearchPorts, options: AuthzenOptions): Server {
  const answer = answering(ports, options);
  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: limits.slowCheckMs,
      keepAliveTimeout: limits.keepAliveMs,
    },
    (request, response) => void answer(request, response),
  );
  server.maxRequestsPerSocket = limits.maxRequestsPerConnection;
  server.maxConnections = limits.maxConnections;
  server.on('clientError', refuseMalformed);
  return server;
}

/** What is sent: a JSON body, or an error message string. */
type Reply =
  | { readonly status: 200; readonly body: object; readonly headers?: Readonly<Record<string, string>> }
  | { readonly status: ErrorStatus; readonly fault: string; readonly headers?: Readonly<Record<string, string>> };
type ErrorStatus = 400 | 401 | 403 | 404 | 405 | 413 | 429 | 500;

function answering(ports: SearchPorts, options: AuthzenOptions) {
  const replyTo = routing(ports, options);
  let busy = 0;
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    busy++;
    try {
      const full = busy > limits.maxConcurrent;
      send(request, response, full ? tooMany('too many requests at once', 1) : await replyTo(request));
    } catch {
      // Nothing of it is told: what went wrong may be of another caller.
      if (!response.headersSent) send(request, response, { status: 500, fault: 'no answer could be made' });
      else response.destroy();
    } finally {
      busy--;
    }
  };
}

const tooMany = (fault: string, seconds: number): Reply => ({
  status: 429,
  fault,
  headers: { 'retry-after': `${seconds}` },
});

function routing(ports: SearchPorts, options: AuthzenOptions): (request: IncomingMessage) => Promise<Reply> {
  const paths = pathsOf(options.url);
  const searches = createRateLimit({ burst: limits.searchBurst, perSecond: limits.searchesPerSecond }, options.clock);
  return async (request) => {
    const refusal = refuseCaller(request, options);
    if (refusal !== undefined) return refusal;
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (path === paths.metadata && options.url !== undefined) return metadata(request, options.url, options.custom);
    const name = paths.endpoint(path);
    if (name === undefined) return { status: 404, fault: 'no such endpoint' };
    if (request.method !== 'POST') return notAllowed('POST');
    const message = await readMessage(request);
    if (!message.ok) return message.reply;
    if (name === 'evaluation' || name === 'evaluations') return await evaluated(ports, options, name, message.value);
    const wait = searches.take('');
    if (wait > 0) return tooMany('too many searches', Math.ceil(wait / 1_000));
    const outcome = await search(ports, options, name, message.value);
    return outcome.ok ? { status: 200, body: outcome.body } : outcome;
  };
}

async function evaluated(
  ports: SearchPorts,
  options: AuthzenOptions,
  name: Extract<EndpointName, 'evaluation' | 'evaluations'>,
  message: unknown,
): Promise<Reply> {
  const outcome = await (name === 'evaluation' ? evaluation : evaluations)(ports, options, message);
  return outcome.ok ? { status: 200, body: outcome.body } : outcome;
}

const notAllowed = (allow: string): Reply => ({
  status: 405,
  fault: `the method here is ${allow}`,
  headers: { allow },
});

function metadata(request: IncomingMessage, url: string, custom: readonly string[]): Reply {
  if (request.method !== 'GET' && request.method !== 'HEAD') return notAllowed('GET, HEAD');
  return {
    status: 200,
    body: metadataOf(url, custom),
    headers: { 'cache-control': `max-age=${limits.metadataAgeSeconds}` },
  };
}

/** Who may not ask at all (sections Sender Authentication Failure and Policy Confidentiality). */
function refuseCaller(request: IncomingMessage, { url, token }: AuthzenOptions): Reply | undefined {
  // What a browser was talked into says where it comes from (Fetch, Origin header): no enforcement point does.
  if (request.headers.origin !== undefined) return { status: 403, fault: 'no requests of browsers' };
  if ((request.headersDistinct['x-request-id']?.length ?? 0) > 1)
    return { status: 400, fault: 'X-Request-ID appears twice' };
  if (token === undefined || isBearer(request, token)) return undefined;
  const realm = url ?? 'edgeward';
  return { status: 401, fault: 'a bearer token is needed', headers: { 'www-authenticate': `Bearer realm="${realm}"` } };
}

function isBearer(request: IncomingMessage, token: string): boolean {
  const shown = request.headersDistinct['authorization'];
  const [, given] = (shown?.length === 1 ? /^bearer +(\S+)$/i.exec(shown[0] ?? '') : null) ?? [];
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

type Message = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reply: Reply };

const bad = (fault: string): Message => ({ ok: false, reply: { status: 400, fault } });

async function readMessage(request: IncomingMessage): Promise<Message> {
  if (!isJson(request)) return bad('Content-Type: expected application/json, in UTF-8 and not compressed');
  const bytes = await readBody(request);
  if (bytes === undefined)
    return { ok: false, reply: { status: 413, fault: `a body has at most ${limits.maxBodyBytes} bytes` } };
  const reading = readIJson(bytes);
  if (!reading.ok) return bad(reading.fault);
  const { value } = reading;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return bad('body: expected an object');
  return { ok: true, value };
}

function isJson(request: IncomingMessage): boolean {
  const types = request.headersDistinct['content-type'];
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (types?.length !== 1 || encoding !== 'identity') return false;
  try {
    const { essence, params } = new MIMEType(types[0] ?? '');
    return essence === 'application/json' && /^utf-8$/i.test(params.get('charset') ?? 'utf-8');
  } catch {
    return false;
  }
}

/** Undefined when it is too large; rejects when the caller goes away. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > limits.maxBodyBytes) return undefined;
  const chunks: Buffer[] = [];
  let size = 0;
  // Not the stream itself: that would end the connection before the refusal is sent.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limits.maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const isError = reply.status !== 200;
  // Bytes: Node writes headers in the encoding of a body that is text.
  const content = Buffer.from(isError ? reply.fault : JSON.stringify(reply.body));
  const id = request.headersDistinct['x-request-id'];
  response
    .writeHead(reply.status, {
      'content-type': isError ? 'text/plain; charset=utf-8' : 'application/json',
      'content-length': content.length,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      // Section Request Identification: the same identifier, of every answer.
      ...(id?.length === 1 ? { 'x-request-id': id[0] } : {}),
      // What is left of a refused request is not read as the next one.
      ...(isError ? { connection: 'close' } : {}),
      ...reply.headers,
    })
    .end(content);
}

/** What is no HTTP, too large or too slow; Node ends the connection afterwards. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, fault] = malformed[error.code ?? ''] ?? ['400 Bad Request', 'not an HTTP request'];
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\ncontent-length: ${fault.length}\r\nconnection: close\r\n\r\n${fault}`,
  );
}

const malformed: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request took too long'],
};
