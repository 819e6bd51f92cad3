// Where a person on this device brings something to the running edge: POST on a unix socket of the enforcer's own user, mode
// 0600, so that only that user and root may. One small text in, one JSON document out.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenUnix } from '../../enforcer/authz/index.ts';
import { CodedError } from '../../runtime/errors.ts';

const timeoutMs = 5_000;
const socketMode = 0o600;

export interface LocalPosts {
  /** `label` names the socket in errors. */
  readonly label: string;
  /** Bytes of a body; a longer one is answered with 413. */
  readonly maxBytes: number;
  /** By path. What it resolves with is the answer's document, beside `ok: true`; a CodedError becomes 403 and its code. */
  readonly routes: Readonly<Record<string, (text: string) => Promise<object>>>;
}

export interface LocalSocket {
  close(): void;
}

export async function servePosts(path: string, posts: LocalPosts): Promise<LocalSocket> {
  const server = createServer({ requestTimeout: timeoutMs, headersTimeout: timeoutMs }, (request, response) => {
    answer(posts, request, response).catch(() => response.destroy());
  });
  await listenUnix(server, path, socketMode, posts.label);
  return {
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  { routes, maxBytes, label }: LocalPosts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { url = '' } = request;
  const route = request.method === 'POST' && Object.hasOwn(routes, url) ? routes[url] : undefined;
  if (route === undefined) {
    reply(response, 404, { ok: false });
    return;
  }
  const text = await read(request, maxBytes);
  if (text === undefined) {
    reply(response, 413, { ok: false });
    return;
  }
  try {
    reply(response, 200, { ok: true, ...(await route(text)) });
  } catch (error) {
    const { code, message, remedy } =
      error instanceof CodedError ? error : { code: 'INTERNAL', message: `${label}: a fault`, remedy: '' };
    reply(response, 403, { ok: false, error: { code, message, remedy } });
  }
}

async function read(request: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function reply(response: ServerResponse, status: number, document: object): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify(document)}\n`);
}
