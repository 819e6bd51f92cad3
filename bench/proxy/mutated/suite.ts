// What the streams of one protocol are, and how they are judged by a reader that is not ours.
import type { Protocol } from '../../../enforcer/proxy/index.ts';
import type { Random } from './random.ts';

/** Who connects. `quarantined` is a known peer that orders have contained, `nobody` an address of no device. */
export type Who = 'operator' | 'viewer' | 'quarantined' | 'nobody';

export interface Stream {
  readonly who: Who;
  readonly bytes: Buffer;
  /** Made of whole messages in their order: what is allowed of them has to get through, and the connection has to stay. */
  readonly isWhole: boolean;
  /** Names of what was done to it. */
  readonly mutations: readonly string[];
}

export interface Verdict {
  /** Messages that reached the server, all of them allowed. */
  readonly delivered: number;
  /** Messages of the stream that may be. */
  readonly allowed: number;
  /** Bytes that reached the server and are of no message that may. */
  readonly deniedBytes: number;
  /** What is wrong, for people. */
  readonly faults: readonly string[];
}

export interface Suite {
  readonly name: string;
  readonly interface: string;
  readonly open: (nowMs: () => number) => Protocol;
  readonly stream: (random: Random) => Stream;
  /** A server's answers to the bytes that reached it since the last call. */
  readonly server: () => (received: Buffer) => Buffer | undefined;
  /** `received` is all that reached the server of this stream. */
  readonly judge: (stream: Stream, received: Buffer) => Verdict;
}
