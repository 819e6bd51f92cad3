// Runs inside one host of the bench's network: on the peer it holds thousands of flows and numbers what it sends, on the
// server it remembers the highest number that came. A JSON object a line, as test/support/line-requests.ts speaks.
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

export type RevocationRequest =
  | { readonly op: 'serve'; readonly udp: number; readonly tcp: number }
  /** What the server had: the highest number of every sender, and numbered datagrams in all. */
  | { readonly op: 'received' }
  | {
      readonly op: 'open';
      readonly protocol: 'udp' | 'tcp';
      readonly address: string;
      readonly port: number;
      readonly count: number;
    }
  /** One datagram over each UDP flow; resolves with how many were answered within the time. */
  | { readonly op: 'touch'; readonly timeoutMs: number }
  /** Numbered datagrams over all UDP flows in turn, so many each millisecond; 0 ends it. */
  | { readonly op: 'busy'; readonly perMs: number }
  /** Monotonic milliseconds at which the datagram of this number had been handed to the network. */
  | { readonly op: 'sent'; readonly number: number }
  /** TCP connections that ended, and when the last of them did. */
  | { readonly op: 'ended' };

export interface Received {
  /** By address. */
  readonly highest: Readonly<Record<string, number>>;
  readonly count: number;
}
export interface EndedConnections {
  readonly open: number;
  readonly ended: number;
  readonly lastAt: number;
}

/** The clock that all processes of a machine share (CLOCK_MONOTONIC), milliseconds. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Datagrams whose time is remembered; more are sent than a sample is long. */
const REMEMBERED = 1 << 16;
const TOUCH = 0;
const SLICE = 200;

const received = { highest: {} as Record<string, number>, count: 0 };
const datagrams: UdpSocket[] = [];
const sentAt = new Float64Array(REMEMBERED);
const ended = { open: 0, ended: 0, lastAt: 0 };
let answered = 0;
let number = 0;
let timer: NodeJS.Timeout | undefined;

function serve(udp: number, tcp: number): Promise<void> {
  const socket = createSocket({ type: 'udp6', ipv6Only: false, recvBufferSize: 8 * 1024 * 1024 });
  socket.on('message', (bytes, from) => {
    const value = bytes.readUInt32BE(0);
    if (value === TOUCH) {
      socket.send(bytes, from.port, from.address, () => {});
      return;
    }
    const sender = from.address.replace('::ffff:', '');
    received.count += 1;
    received.highest[sender] = Math.max(received.highest[sender] ?? 0, value);
  });
  const server = createServer((connection) => connection.on('error', () => {}));
  return new Promise((resolve) => {
    server.listen({ port: tcp, host: '::', backlog: 4096 }, () => socket.bind(udp, '::', resolve));
  });
}

async function open({ protocol, address, port, count }: Extract<RevocationRequest, { op: 'open' }>): Promise<void> {
  for (let from = 0; from < count; from += SLICE) {
    const slice = Array.from({ length: Math.min(SLICE, count - from) });
    await Promise.all(
      slice.map(() => (protocol === 'udp' ? openDatagrams(address, port) : openConnection(address, port))),
    );
  }
}

function openDatagrams(address: string, port: number): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', () => (answered += 1));
  socket.on('error', () => {});
  return new Promise((resolve) => {
    socket.connect(port, address, () => {
      datagrams.push(socket);
      resolve();
    });
  });
}

function openConnection(address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port }, () => {
      ended.open += 1;
      resolve();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      ended.ended += 1;
      ended.lastAt = monotonicMs();
    });
  });
}

async function touch(timeoutMs: number): Promise<number> {
  answered = 0;
  const bytes = Buffer.alloc(4);
  for (let from = 0; from < datagrams.length; from += SLICE) {
    for (const socket of datagrams.slice(from, from + SLICE)) socket.send(bytes, () => {});
    await delay(1);
  }
  const until = monotonicMs() + timeoutMs;
  while (answered < datagrams.length && monotonicMs() < until) await delay(5);
  return answered;
}

function busy(perMs: number): void {
  clearInterval(timer);
  if (perMs === 0) return;
  timer = setInterval(() => {
    for (let sent = 0; sent < perMs; sent += 1) {
      number += 1;
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(number);
      // It leaves inside the call: a datagram socket with an empty queue waits for nothing.
      datagrams[number % datagrams.length]?.send(bytes, () => {});
      sentAt[number % REMEMBERED] = monotonicMs();
    }
  }, 1);
}

async function perform(request: RevocationRequest): Promise<unknown> {
  switch (request.op) {
    case 'serve':
      return serve(request.udp, request.tcp);
    case 'received':
      return received;
    case 'open':
      return open(request);
    case 'touch':
      return touch(request.timeoutMs);
    case 'busy':
      return busy(request.perMs);
    case 'sent':
      return sentAt[request.number % REMEMBERED];
    case 'ended':
      return ended;
  }
}

if (process.argv[1] === import.meta.filename) {
  const write = (answer: object): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const { id, ...request } = JSON.parse(line) as RevocationRequest & { id: number };
      perform(request).then(
        (result) => write({ id, result: result ?? null }),
        (error: unknown) => write({ id, error: String(error) }),
      );
    })
    .on('close', () => process.exit(0));
}
