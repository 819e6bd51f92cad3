// Streams through the frame, the protocol and the engine of the product, between two sockets in memory: what was written to
// the server is judged by the suite's own reader.
import { setImmediate as turn } from 'node:timers/promises';
import { serve } from '../../../enforcer/proxy/connection.ts';
import { defaultLimits } from '../../../enforcer/proxy/limits.ts';
import type { ConnectionInfo, ProxyOperation } from '../../../enforcer/proxy/index.ts';
import { noRequestUsage } from '../../../enforcer/request-usage.ts';
import { compileSlice, type Decision } from '../../../policy/engine/index.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { peerName, plcSlice } from '../policy.ts';
import { MemorySocket } from './memory-socket.ts';
import { type Random, randomFrom } from './random.ts';
import type { Stream, Suite, Who } from './suite.ts';

export interface MutatedOrder {
  readonly streams: number;
  readonly seed: number;
  /** A proxy that is no good, for finding out whether that is found out. */
  readonly broken?: 'allows-all' | 'denies-all';
}

export interface Mutated {
  readonly streams: number;
  readonly wholeStreams: number;
  /** Bytes that came from clients. */
  readonly bytes: number;
  /** Messages that may be asked, and those that reached a server. */
  readonly allowed: number;
  readonly delivered: number;
  /** The same of streams of whole messages. */
  readonly allowedWhole: number;
  readonly deliveredWhole: number;
  readonly deniedBytes: number;
  /** Messages that the engine denied, and input that is none. */
  readonly denied: number;
  readonly refused: number;
  readonly mutations: Readonly<Record<string, number>>;
  readonly faulty: number;
  /** The first faulty streams, with what is wrong. */
  readonly examples: readonly string[];
}

const subjects: Readonly<Record<Who, { id: string; state: 'trusted' | 'quarantined' | 'unknown' }>> = {
  operator: { id: peerName(20), state: 'trusted' },
  viewer: { id: peerName(21), state: 'trusted' },
  quarantined: { id: peerName(22), state: 'quarantined' },
  nobody: { id: '', state: 'unknown' },
};

/** Turns of the event loop after which a stream that still waits is said to hang. */
const MOST_TURNS = 200;
const EXAMPLES = 5;

interface Tally extends Omit<{ -readonly [K in keyof Mutated]: Mutated[K] }, 'mutations' | 'examples'> {
  readonly mutations: Record<string, number>;
  readonly examples: string[];
}

export async function runMutated(suite: Suite, { streams, seed, broken }: MutatedOrder): Promise<Mutated> {
  const random = randomFrom(seed);
  const engine = compileSlice(plcSlice(), { digest: 'cd'.repeat(32), softExpiry: 2 ** 52, hardExpiry: 2 ** 53 });
  const entry = plcSlice().interfaces.find(({ name }) => name === suite.interface);
  const protocol = suite.open(() => systemClock.monotonic());
  const tally: Tally = {
    streams: 0,
    wholeStreams: 0,
    bytes: 0,
    allowed: 0,
    delivered: 0,
    allowedWhole: 0,
    deliveredWhole: 0,
    deniedBytes: 0,
    denied: 0,
    refused: 0,
    mutations: {},
    faulty: 0,
    examples: [],
  };
  const decide = ({ subject, interface: name }: ConnectionInfo, operation: ProxyOperation): Decision => {
    const whose = Object.values(subjects).find(({ id }) => id === subject.id) ?? subjects.nobody;
    const decision = engine.decide(
      {
        subject: { ...subject, state: whose.state, attributes: {} },
        operation,
        resource: { interface: name, attributes: {} },
        context: { time: Date.now(), source: suite.name, connection: '', attributes: {} },
      },
      'fresh',
    );
    return broken === undefined ? decision : { ...decision, allow: broken === 'allows-all' };
  };

  const connect = (stream: Stream) => {
    const answer = suite.server();
    const received: Buffer[] = [];
    const server: MemorySocket = new MemorySocket((bytes) => {
      // As written: the frame may not use its memory again before it is out, and here it is out at once.
      received.push(Buffer.from(bytes));
      const answered = answer(bytes);
      if (answered !== undefined) queueMicrotask(() => server.deliver(answered));
    });
    const client = new MemorySocket(() => undefined);
    serve(client.socket, protocol, {
      describe: () => ({
        source: { address: client.remoteAddress, port: client.remotePort },
        destination: { address: client.localAddress, port: client.localPort },
        interface: suite.interface,
        subject: { id: subjects[stream.who].id, binding: 'port+mac+ip' },
      }),
      decide,
      usage: () => noRequestUsage,
      entry: () => entry,
      connectUpstream: () => Promise.resolve(server.socket),
      onAllowed: () => undefined,
      onDenied: () => void tally.denied++,
      onRefused: () => void tally.refused++,
      onClosed: () => undefined,
      clock: systemClock,
      limits: defaultLimits,
    });
    return { client, received };
  };

  async function play(stream: Stream, other: Stream | undefined): Promise<void> {
    const played = [stream, ...(other === undefined ? [] : [other])].map((one) => ({
      stream: one,
      pieces: piecesOf(one.bytes, random),
      ...connect(one),
    }));
    // The second connection's pieces come between the first one's.
    while (played.some(({ pieces }) => pieces.length > 0)) {
      for (const { client, pieces } of played) {
        const piece = pieces.shift();
        if (piece !== undefined) client.deliver(piece);
      }
      if (random.chance(0.3)) await Promise.resolve();
    }
    const isSettled = ({ stream: one, client, received }: (typeof played)[number]): boolean =>
      client.isEnded ||
      (!client.isWaiting && (!one.isWhole || suite.judge(one, Buffer.concat(received)).faults.length === 0));
    for (let turns = 0; turns < MOST_TURNS; turns += 1) {
      for (let ticks = 0; ticks < 8; ticks += 1) await Promise.resolve();
      if (played.every(isSettled)) break;
      await turn();
    }
    for (const { stream: one, received, client } of played) {
      count(one, Buffer.concat(received), client.isEnded);
      client.destroy();
    }
  }

  function count(stream: Stream, received: Buffer, isEnded: boolean): void {
    const verdict = suite.judge(stream, received);
    const faults = [...verdict.faults, ...(stream.isWhole && isEnded ? ['the connection was ended'] : [])];
    tally.streams++;
    tally.bytes += stream.bytes.length;
    tally.allowed += verdict.allowed;
    tally.delivered += verdict.delivered;
    tally.deniedBytes += verdict.deniedBytes;
    if (stream.isWhole) {
      tally.wholeStreams++;
      tally.allowedWhole += verdict.allowed;
      tally.deliveredWhole += verdict.delivered;
    }
    for (const name of stream.mutations) tally.mutations[name] = (tally.mutations[name] ?? 0) + 1;
    if (faults.length === 0) return;
    tally.faulty++;
    if (tally.examples.length < EXAMPLES) {
      tally.examples.push(
        `${stream.who} ${stream.mutations.join(',')} ${stream.bytes.toString('hex')}: ${faults.join('; ')}`,
      );
    }
  }

  while (tally.streams < streams) {
    await play(suite.stream(random), random.chance(0.2) ? suite.stream(random) : undefined);
    if (tally.streams % 1_000 < 2) await turn();
  }
  return tally;
}

/** As segments may cut it: whole, byte by byte, at one place, or anywhere. */
export function piecesOf(bytes: Buffer, random: Random): Buffer[] {
  const way = random.below(10);
  if (way < 3 || bytes.length < 2) return [bytes];
  if (way === 3) return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  if (way < 7) {
    const cut = random.between(1, bytes.length - 1);
    return [bytes.subarray(0, cut), bytes.subarray(cut)];
  }
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = random.between(1, 40);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}
