// Everything at once, at steady rates, by peers that are known and by strangers: connections, garbage, denied writes in
// bursts, requests whose answers are never read, requests that are begun and never finished.
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Target } from './modbus-client.ts';
import { FORBIDDEN } from './ping-pong.ts';

export interface AttackOrder {
  readonly target: Omit<Target, 'from'>;
  readonly peers: readonly string[];
  readonly strangers: readonly string[];
  readonly seconds: number;
  /** Connections a second, of all kinds together. */
  readonly connectionsPerSecond: number;
}

export interface Attacked {
  readonly connections: number;
  readonly established: number;
  /** Ended by the other side. */
  readonly reset: number;
  readonly deniedWrites: number;
  readonly garbageBytes: number;
}

/** Denied writes of one burst. */
const BURST = 50;
const TURN_MS = 20;
const KEPT_OPEN = 400;
/** Requests, all allowed, of a client that never reads; one connection in so many is of that kind, for each keeps a core busy for a while. */
const UNREAD = 2_000;
const UNREAD_EVERY = 25;

export async function attack(order: AttackOrder): Promise<Attacked> {
  const { target, peers, strangers, seconds, connectionsPerSecond } = order;
  const tally = { connections: 0, established: 0, reset: 0, deniedWrites: 0, garbageBytes: 0 };
  const open: Socket[] = [];
  const writes = Buffer.concat(Array.from({ length: BURST }, (_, at) => forbiddenWrite(at)));
  const reads = Buffer.concat(Array.from({ length: UNREAD }, (_, at) => bigRead(at)));
  const kinds: readonly ((socket: Socket) => void)[] = [
    () => undefined,
    (socket) => {
      const bytes = randomBytes(700);
      tally.garbageBytes += bytes.length;
      socket.write(bytes);
    },
    (socket) => {
      tally.deniedWrites += BURST;
      socket.write(writes);
      socket.resume();
    },
    // Never finishes.
    (socket) => void socket.write(reads.subarray(0, 7)),
  ];
  const neverRead = (socket: Socket): void => void socket.pause().write(reads);
  const begun = performance.now();
  while (performance.now() - begun < seconds * 1_000) {
    const due = ((performance.now() - begun) * connectionsPerSecond) / 1_000;
    while (tally.connections < due) {
      const at = (tally.connections += 1);
      const isStranger = at % 4 === 0;
      const of = isStranger ? strangers : peers;
      const from = of[at % of.length] ?? '';
      const act = at % UNREAD_EVERY === 1 ? neverRead : kinds[at % kinds.length];
      const socket = connect({ host: target.address, port: target.port, localAddress: from, noDelay: true });
      socket.on('error', () => (tally.reset += 1));
      socket.on('connect', () => {
        tally.established += 1;
        act?.(socket);
      });
      open.push(socket);
      if (open.length > KEPT_OPEN) open.shift()?.destroy();
    }
    await delay(TURN_MS);
  }
  for (const socket of open) socket.destroy();
  return tally;
}

function request(transaction: number, functionCode: number, first: number, second: number): Buffer {
  const bytes = Buffer.from([0, 0, 0, 0, 0, 6, 1, functionCode, 0, 0, 0, 0]);
  bytes.writeUInt16BE(transaction & 0xffff, 0);
  bytes.writeUInt16BE(first, 8);
  bytes.writeUInt16BE(second, 10);
  return bytes;
}

const forbiddenWrite = (at: number): Buffer => request(at, 6, FORBIDDEN, 666);
const bigRead = (at: number): Buffer => request(at, 3, 0, 125);
