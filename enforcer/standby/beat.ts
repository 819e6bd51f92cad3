// The enforcer's heart: its event loop says every quarter of a second that it turns, and now and then who has an allowed flow
// through its proxies. One unix socket, one JSON document a line. Told rather than kept in a file: what the stand-in knows is
// as old as the last beat, and belongs to this very process.
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { isAbort, type Task } from '../../runtime/tasks.ts';
import { BEAT_MS, MAX_HELD, MAX_UNREAD_BYTES, PEERS_MS, RECONNECT_MS } from './limits.ts';

/** Who has a flow that a decision allowed, at one interface. */
export const heldPeerSchema = z.strictObject({
  interface: z.string().max(64),
  address: z.string().max(64),
  /** Device that it was then. */
  subject: z.string().max(64),
});
export type HeldPeer = z.infer<typeof heldPeerSchema>;

export const messageSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('hello'),
    format: z.literal(1),
    pid: z.int().positive(),
    /** Clock ticks after boot, as text (proc_pid_stat(5), field 22). */
    started: z.string().regex(/^\d{1,20}$/),
  }),
  z.strictObject({ kind: z.literal('beat') }),
  z.strictObject({ kind: z.literal('peers'), peers: z.array(heldPeerSchema).max(MAX_HELD) }),
]);
export type Message = z.infer<typeof messageSchema>;

export interface BeatParts {
  readonly socket: string;
  readonly pid: number;
  readonly started: string;
  /** Who has an allowed flow now; the first MAX_HELD are told. */
  readonly peers: () => readonly HeldPeer[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Beat {
  /** Whether a stand-in hears it. */
  readonly isHeard: () => boolean;
  /** Starts when the proxies listen: from then on the stand-in lets go of what it serves. */
  readonly task: Task;
}

export function createBeat(parts: BeatParts): Beat {
  const { clock, log } = parts;
  let socket: Socket | undefined;
  let saidAlone = false;

  const round = async (signal: AbortSignal): Promise<void> => {
    const opened = await dial(parts.socket);
    if (opened === undefined) {
      if (!saidAlone)
        log.warn({ socket: parts.socket }, 'no stand-in hears this edge: when it dies, proxied interfaces are shut');
      saidAlone = true;
      await clock.sleep(RECONNECT_MS, signal);
      return;
    }
    saidAlone = false;
    socket = opened;
    try {
      await beat(opened, parts, signal);
    } finally {
      socket = undefined;
      opened.destroy();
    }
  };

  return {
    isHeard: () => socket !== undefined,
    async task(signal) {
      while (!signal.aborted) {
        try {
          await round(signal);
        } catch (error) {
          if (!isAbort(error, signal)) throw error;
        }
      }
    },
  };
}

/** Until the stand-in is gone, or does not read. */
async function beat(socket: Socket, { pid, started, peers, clock }: BeatParts, signal: AbortSignal): Promise<void> {
  const say = (message: Message): void => void socket.write(`${JSON.stringify(message)}\n`);
  say({ kind: 'hello', format: 1, pid, started });
  let toldAt = -Infinity;
  let told = '';
  while (!socket.destroyed && socket.writableLength <= MAX_UNREAD_BYTES) {
    if (clock.monotonic() - toldAt >= PEERS_MS) {
      toldAt = clock.monotonic();
      const now: Message = { kind: 'peers', peers: [...peers()].slice(0, MAX_HELD) };
      if (told !== (told = JSON.stringify(now))) say(now);
    }
    say({ kind: 'beat' });
    await clock.sleep(BEAT_MS, signal);
  }
}

/** undefined where nobody listens. */
function dial(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    // Nothing is said to us; reading finds out that the other side is gone.
    socket.resume();
    socket.once('connect', () => resolve(socket));
    socket.on('error', () => resolve(undefined));
  });
}
