// Servers of HTTP/1.1 that know nothing of Edgeward and say what they read: Node's (llhttp), and nginx where there is one,
// which reads requests by its own parser and tells them to the same recorder. And one that reads as carelessly as the field's
// worst, so that an attack can be seen to work.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from '../support/capabilities.ts';
import { freePort } from '../support/free-ports.ts';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

export interface RecordingServer extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  /** Requests that were read to their end, in order. */
  readonly seen: SeenRequest[];
  /** Every byte that arrived, in order of arrival; of nginx none. */
  readonly bytes: () => string;
  readonly forget: () => void;
}

export async function nodeServer(): Promise<RecordingServer> {
  const seen: SeenRequest[] = [];
  let chunks: Buffer[] = [];
  const server = createServer({ requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
    const body: Buffer[] = [];
    request.on('data', (chunk: Buffer) => body.push(chunk));
    request.on('error', () => undefined);
    request.on('end', () => {
      const { method = '', url = '' } = request;
      seen.push({ method, url, body: Buffer.concat(body).toString('latin1') });
      response.end(`${method} ${url}\n`);
    });
  });
  server.on('connection', (socket: Socket) => socket.on('data', (chunk: Buffer) => void chunks.push(chunk)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    name: 'node',
    port: (server.address() as AddressInfo).port,
    seen,
    bytes: () => Buffer.concat(chunks).toString('latin1'),
    forget: () => {
      seen.length = 0;
      chunks = [];
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Undefined where there is none. */
export async function nginxServer(): Promise<RecordingServer | undefined> {
  const program = findProgram('nginx');
  if (program === undefined) return undefined;
  const recorder = await nodeServer();
  const folder = mkdtempSync(join(tmpdir(), 'ew-http-nginx-'));
  const port = await freePort();
  for (const part of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) mkdirSync(join(folder, part));
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  client_max_body_size 0;
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${recorder.port}; proxy_http_version 1.1; } }
}
`,
  );
  const child = spawn(program, ['-p', folder, '-c', file, '-g', 'master_process off;'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  for (let look = 0; look < 200 && !(await answers(port)); look++) await delay(25);
  return {
    ...recorder,
    name: 'nginx',
    port,
    bytes: () => '',
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
      await recorder[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** What a careless reader believes. */
export interface Carelessness {
  /** A length counts although a coding is given. */
  readonly lengthWins?: boolean;
  /** Of several lengths this one counts. */
  readonly lengthOf?: 'first' | 'last';
  /** Any spelling of chunked in any coding header counts. */
  readonly looseCoding?: boolean;
  /** No coding counts, as of HTTP/1.0. */
  readonly noCoding?: boolean;
  /** A body is not looked for in methods that have none. */
  readonly noBodyOfGet?: boolean;
  /** Lines may end with LF alone, and a CR anywhere may end one. */
  readonly looseLines?: boolean;
  /** A chunk's size is kept in 32 bits. */
  readonly looseSizes?: boolean;
}

export async function carelessServer(how: Carelessness): Promise<RecordingServer> {
  const seen: SeenRequest[] = [];
  let chunks: Buffer[] = [];
  const server = createTcpServer((socket) => {
    let held = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      held += chunk.toString('latin1');
      for (let next = readCarelessly(held, how); next !== undefined; next = readCarelessly(held, how)) {
        held = held.slice(next.used);
        seen.push(next.request);
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    name: 'careless',
    port: (server.address() as AddressInfo).port,
    seen,
    bytes: () => Buffer.concat(chunks).toString('latin1'),
    forget: () => {
      seen.length = 0;
      chunks = [];
    },
    async [Symbol.asyncDispose]() {
      server.close();
      await Promise.resolve();
    },
  };
}

function readCarelessly(text: string, how: Carelessness): { request: SeenRequest; used: number } | undefined {
  const start = /^(?:\r?\n)*/.exec(text)?.[0].length ?? 0;
  const rest = text.slice(start);
  const end = (how.looseLines === true ? /\r?\n\r?\n/ : /\r\n\r\n/).exec(rest);
  if (end === null) return undefined;
  const [first = '', ...lines] = rest.slice(0, end.index).split(how.looseLines === true ? /\r\n|\n|\r/ : '\r\n');
  const [method = '', url = ''] = first.split(/\s+/);
  const from = end.index + end[0].length;
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [
      line.slice(0, colon).trim().toLowerCase().replaceAll('_', '-'),
      line
        .slice(colon + 1)
        .trim()
        .toLowerCase(),
    ];
  });
  const body = bodyCarelessly(rest.slice(from), method, fields, how);
  if (body === undefined) return undefined;
  return { request: { method, url, body: body.text }, used: start + from + body.used };
}

function bodyCarelessly(
  rest: string,
  method: string,
  fields: readonly (readonly [string, string])[],
  how: Carelessness,
): { text: string; used: number } | undefined {
  const none = { text: '', used: 0 };
  if (how.noBodyOfGet === true && /^(?:GET|HEAD|DELETE|OPTIONS)$/.test(method)) return none;
  const codings = fields
    .filter(([name]) => name.replaceAll(/[^a-z-]/g, '') === 'transfer-encoding')
    .map(([, value]) => value);
  const isChunked =
    how.looseCoding === true ? codings.some((value) => value.includes('chunked')) : codings.at(-1) === 'chunked';
  const lengths = fields.filter(([name]) => name === 'content-length').map(([, value]) => value);
  const length = how.lengthOf === 'last' ? lengths.at(-1) : lengths[0];
  if (isChunked && how.noCoding !== true && !(how.lengthWins === true && length !== undefined)) {
    return chunksCarelessly(rest, how);
  }
  const bytes = Number.parseInt(length ?? '0', 10);
  if (!(bytes > 0)) return none;
  return rest.length < bytes ? undefined : { text: rest.slice(0, bytes), used: bytes };
}

function chunksCarelessly(rest: string, how: Carelessness): { text: string; used: number } | undefined {
  let at = 0;
  let text = '';
  for (;;) {
    const line = how.looseLines === true ? /[^\n]*\n/y : /[^\r]*\r\n/y;
    line.lastIndex = at;
    const found = line.exec(rest);
    if (found === null) return undefined;
    const parsed = Number.parseInt(found[0], 16);
    const size = how.looseSizes === true ? parsed % 2 ** 32 : parsed;
    at += found[0].length;
    if (!(size > 0)) {
      const end = rest.indexOf('\r\n', at);
      return end === -1 ? undefined : { text, used: end + 2 };
    }
    if (rest.length < at + size + 2) return undefined;
    text += rest.slice(at, at + size);
    at += size + 2;
  }
}
