// Streams over real sockets, each on a connection of its own, in the pieces given.
import { connect } from 'node:net';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { Target } from './modbus-client.ts';

export interface SentStream {
  readonly pieces: readonly Uint8Array[];
  /** Answers that a stream of whole messages gets; undefined for others: silence ends them. */
  readonly answers?: number;
}

export interface StreamsOrder {
  readonly target: Target;
  readonly streams: readonly SentStream[];
  /** Connections at the same time. */
  readonly atOnce: number;
}

export interface StreamsSent {
  readonly connected: number;
  /** Of those with a known number of answers, those that got them all. */
  readonly answered: number;
}

const QUIET_MS = 25;
const PATIENCE_MS = 3_000;

export async function sendStreams({ target, streams, atOnce }: StreamsOrder): Promise<StreamsSent> {
  const seen = { connected: 0, answered: 0 };
  const waiting = [...streams];
  const work = async (): Promise<void> => {
    for (let stream = waiting.pop(); stream !== undefined; stream = waiting.pop()) await send(target, stream, seen);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return seen;
}

async function send(target: Target, stream: SentStream, seen: { connected: number; answered: number }): Promise<void> {
  const socket = connect({ host: target.address, port: target.port, localAddress: target.from, noDelay: true });
  const state = { connected: false, closed: false, heardAt: performance.now(), received: Buffer.alloc(0) };
  socket.on('connect', () => (state.connected = true));
  socket.on('data', (chunk: Buffer) => {
    state.received = Buffer.concat([state.received, chunk]);
    state.heardAt = performance.now();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => (state.closed = true));
  for (let waited = 0; !state.connected && !state.closed && waited < QUIET_MS; waited += 1) await delay(1);
  if (state.connected) seen.connected += 1;
  for (const piece of stream.pieces) {
    if (!state.connected || state.closed) break;
    socket.write(piece);
    if (stream.pieces.length < 50) await turn();
  }
  const begun = (state.heardAt = performance.now());
  const { answers } = stream;
  while (state.connected && !state.closed && performance.now() - begun < PATIENCE_MS) {
    if (answers === undefined ? performance.now() - state.heardAt > QUIET_MS : answersIn(state.received) >= answers)
      break;
    await delay(1);
  }
  if (answers !== undefined && answersIn(state.received) === answers) seen.answered += 1;
  socket.destroy();
}

function answersIn(received: Buffer): number {
  let count = 0;
  for (let at = 0; received.length - at >= 6; count += 1) {
    at += 6 + received.readUInt16BE(at + 4);
    if (at > received.length) return count;
  }
  return count;
}
