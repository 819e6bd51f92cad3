// Where a person on this device brings a break-glass ticket: `POST /tickets` on a unix socket of the enforcer's own user. The
// ticket proves itself; the mode of the socket only keeps others from filling the log with refusals.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenUnix } from '../../enforcer/authz/index.ts';
import type { BreakGlass } from '../../enforcer/break-glass/index.ts';
import { CodedError } from '../../runtime/errors.ts';

/** Bytes of a ticket: as many as its reader takes. */
const maxTicketBytes = 64 * 1024;
const timeoutMs = 5_000;
const socketMode = 0o600;

export interface BreakGlassSocket {
  close(): void;
}

export async function serveBreakGlass(glass: Pick<BreakGlass, 'use'>, path: string): Promise<BreakGlassSocket> {
  const server = createServer({ requestTimeout: timeoutMs, headersTimeout: timeoutMs }, (request, response) => {
    answer(glass, request, response).catch(() => response.destroy());
  });
  await listenUnix(server, path, socketMode, 'break-glass');
  return {
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  glass: Pick<BreakGlass, 'use'>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'POST' || request.url !== '/tickets') {
    reply(response, 404, { ok: false });
    return;
  }
  const text = await read(request);
  if (text === undefined) {
    reply(response, 413, { ok: false });
    return;
  }
  try {
    reply(response, 200, { ok: true, open: await glass.use(text) });
  } catch (error) {
    const { code, message, remedy } =
      error instanceof CodedError ? error : { code: 'INTERNAL', message: 'the ticket was not used', remedy: '' };
    reply(response, 403, { ok: false, error: { code, message, remedy } });
  }
}

async function read(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxTicketBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('latin1');
}

function reply(response: ServerResponse, status: number, document: object): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify(document)}\n`);
}
