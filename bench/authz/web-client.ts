// A client of proxies in a process of its own: HTTP/1.1 on kept TLS connections, one for each device, one request in flight
// (closed loop), the time of each from writing it to the last byte of its answer.
import { connect, type TLSSocket } from 'node:tls';

export interface WebOrder {
  readonly port: number;
  /** Server name of the handshake and Host of the requests, without port. */
  readonly host: string;
  readonly clients: readonly { readonly certPem: string; readonly keyPem: string }[];
  /** Asked in turn, `count` in all, from `from` on. */
  readonly requests: readonly { readonly client: number; readonly method: string; readonly path: string }[];
  readonly from: number;
  readonly count: number;
}

export interface WebReport {
  /** Microseconds. */
  readonly latencies: readonly number[];
  /** How often each status came; 0 for a connection that ended without an answer. */
  readonly statuses: Readonly<Record<string, number>>;
}

const open = new Map<string, TLSSocket>();

process.on('message', (order: WebOrder) => void run(order));
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function run({ port, host, clients, requests, from, count }: WebOrder): Promise<void> {
  const latencies: number[] = [];
  const statuses: Record<string, number> = {};
  for (let n = 0; n < count; n++) {
    const request = requests[(from + n) % requests.length];
    if (request === undefined) break;
    const { certPem, keyPem } = clients[request.client] ?? { certPem: '', keyPem: '' };
    const key = `${port} ${request.client}`;
    const socket = open.get(key) ?? (await dial(port, host, certPem, keyPem));
    open.set(key, socket);
    const text = `${request.method} ${request.path} HTTP/1.1\r\nHost: ${host}:${port}\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n`;
    const started = performance.now();
    const { status, last } = await ask(socket, text);
    latencies.push((performance.now() - started) * 1_000);
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (last) open.delete(key);
  }
  process.send?.({ latencies, statuses } satisfies WebReport);
}

function dial(port: number, host: string, cert: string, key: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername: host, cert, key, rejectUnauthorized: false };
    const socket = connect({ ...options, ALPNProtocols: ['http/1.1'] }, () => resolve(socket));
    socket.setNoDelay(true);
    socket.once('error', reject);
  });
}

/** `last` when the connection cannot be used again. */
function ask(socket: TLSSocket, text: string): Promise<{ status: number; last: boolean }> {
  return new Promise((resolve) => {
    let answer = '';
    const end = (status: number, last: boolean): void => {
      socket.off('data', read);
      socket.off('close', gone);
      resolve({ status, last });
    };
    const gone = (): void => end(0, true);
    const read = (bytes: Buffer): void => {
      answer += bytes.toString('latin1');
      const head = answer.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(answer)?.[1] ?? '0');
      const chunked = /\r\ntransfer-encoding: *chunked/i.test(answer.slice(0, head));
      const whole = chunked ? answer.endsWith('0\r\n\r\n') : answer.length >= head + 4 + length;
      if (whole) end(Number(answer.split(' ')[1]), /\r\nconnection: *close/i.test(answer.slice(0, head)));
    };
    socket.on('data', read);
    socket.on('close', gone);
    socket.write(text);
  });
}
