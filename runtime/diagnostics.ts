// Health and metrics over HTTP, for people and machines on this host only: /healthz, /readyz, /metrics, /status.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { runtimeErrors } from './error-codes.ts';
import { maxDiagnosticsConnections } from './limits.ts';
import type { Metrics } from './metrics.ts';

/** What is not ready, by name; empty when all is. */
export type Readiness = () => Record<string, string> | Promise<Record<string, string>>;

export interface DiagnosticsOptions {
  /** Loopback only. Default 127.0.0.1. */
  readonly host?: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly metrics: Metrics;
  readonly notReady: Readiness;
  /** What /status answers, as JSON; absent for none. */
  readonly status?: () => object | Promise<object>;
  /** Further documents by path; each gets the query. undefined answers 404. */
  readonly views?: Readonly<
    Record<string, (query: URLSearchParams) => object | undefined | Promise<object | undefined>>
  >;
}

export interface Diagnostics {
  readonly port: number;
  close(): Promise<void>;
}

export async function serveDiagnostics(options: DiagnosticsOptions): Promise<Diagnostics> {
  const { host = '127.0.0.1', port } = options;
  if (!/^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host)) {
    throw runtimeErrors.error('CONFIG_INVALID', `diagnostics listen on loopback only, found ${host}`);
  }
  const server = createServer(
    { requestTimeout: 5000, headersTimeout: 5000, keepAliveTimeout: 5000 },
    (request, response) => {
      answer(request, response, options).catch(() => {
        if (!response.headersSent) response.writeHead(500);
        response.end();
      });
    },
  );
  server.maxConnections = maxDiagnosticsConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        runtimeErrors.error('LISTEN_FAILED', `diagnostics cannot listen on ${host}:${port}: ${cause.message}`, {
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { metrics, notReady, status, views = {} }: DiagnosticsOptions,
): Promise<void> {
  const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const view = Object.hasOwn(views, path) ? views[path] : undefined;
  // A page in a browser of this host could otherwise read us under a name of its own (DNS rebinding).
  if (!/^(127\.\d+\.\d+\.\d+|\[::1\]|localhost)(:\d+)?$/.test(request.headers.host ?? '')) {
    send(response, 403, 'text/plain', 'not under this name\n');
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(response, 405, 'text/plain', 'only GET\n');
  } else if (path === '/healthz') {
    send(response, 200, 'text/plain', 'ok\n');
  } else if (path === '/readyz') {
    const missing = Object.entries(await notReady());
    const body = missing.length === 0 ? 'ok\n' : missing.map(([name, why]) => `${name}: ${why}\n`).join('');
    send(response, missing.length === 0 ? 200 : 503, 'text/plain', body);
  } else if (path === '/metrics') {
    send(response, 200, metrics.contentType, await metrics.text());
  } else if (path === '/status' && status !== undefined) {
    sendJson(response, await status());
  } else if (view !== undefined) {
    const document = await view(searchParams);
    if (document === undefined) send(response, 404, 'text/plain', 'nothing to say about that\n');
    else sendJson(response, document);
  } else {
    send(response, 404, 'text/plain', 'try /healthz, /readyz, /metrics or /status\n');
  }
}

function sendJson(response: ServerResponse, document: object): void {
  const body = JSON.stringify(document, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
  send(response, 200, 'application/json', `${body}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}
