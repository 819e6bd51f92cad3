// The stand-in's ear: whether an enforcer is there, whether its event loop turns, and who had an allowed flow when it died. One
// that lives and is silent is hung; it keeps its listeners, and with them every client. It is killed, so that they go.
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import type { Clock } from '../../runtime/clock.ts';
import { type HeldProcess, holdProcess } from '../../runtime/linux-process.ts';
import type { Logger } from '../../runtime/log.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import { type HeldPeer, type Message, messageSchema } from './beat.ts';
import { BEAT_MS, MAX_MESSAGE_BYTES, MISSED_BEATS } from './limits.ts';

export interface WatchParts {
  /** An enforcer listens on its own ports now. */
  readonly onThere: () => void;
  /** It is gone, with the peers that it spoke of last. `killed`: it was hung. */
  readonly onGone: (peers: readonly HeldPeer[], killed: boolean) => void;
  readonly clock: Clock;
  readonly log: Logger;
  /** undefined for none (any more). */
  readonly hold?: (pid: number, started: string) => HeldProcess | undefined;
}

export interface Watch {
  /** `on` makes the server listen. */
  listen(on: (server: Server) => Promise<unknown>): Promise<void>;
  /** An enforcer is there, whether or not it is hung. */
  readonly isThere: () => boolean;
  /** Counts missed beats. */
  readonly task: Task;
  close(): void;
}

/** One enforcer as it speaks to us. */
interface Speaker {
  readonly socket: Socket;
  process?: HeldProcess;
  peers: readonly HeldPeer[];
  /** Our own ticks since its last word: time in which we were held up ourselves counts for one. */
  missed: number;
  killed: boolean;
}

export function createWatch(parts: WatchParts): Watch {
  const { clock, log, hold = holdProcess } = parts;
  const speakers = new Set<Speaker>();
  const server: Server = createServer((socket) => hear(socket));

  function hear(socket: Socket): void {
    const speaker: Speaker = { socket, peers: [], missed: 0, killed: false };
    speakers.add(speaker);
    readLines(socket, (line) => take(speaker, line));
    socket.on('error', () => undefined);
    socket.once('close', () => forget(speaker));
  }

  function take(speaker: Speaker, line: string): void {
    const message = messageSchema.parse(JSON.parse(line));
    speaker.missed = 0;
    switch (message.kind) {
      case 'beat':
        return;
      case 'peers':
        speaker.peers = message.peers;
        return;
      case 'hello':
        greet(speaker, message);
    }
  }

  function greet(speaker: Speaker, { pid, started }: Extract<Message, { kind: 'hello' }>): void {
    if (speaker.process !== undefined) throw new Error('a second hello');
    const held = hold(pid, started);
    if (held === undefined) throw new Error(`process ${pid} is not there, or not the one that speaks`);
    speaker.process = held;
    log.info({ pid }, 'the enforcer is there');
    parts.onThere();
  }

  function forget(speaker: Speaker): void {
    speakers.delete(speaker);
    const { process: held, peers, killed } = speaker;
    if (held === undefined) return;
    log.warn({ pid: held.pid, killed, peers: peers.length }, 'the enforcer is gone');
    held[Symbol.dispose]();
    // Another one may have taken its place before this one was seen to be gone.
    if (!isThere()) parts.onGone(peers, killed);
  }

  const isThere = (): boolean => [...speakers].some((speaker) => speaker.process !== undefined);

  function look(speaker: Speaker): void {
    speaker.missed += 1;
    if (speaker.missed <= MISSED_BEATS) return;
    const { process: held } = speaker;
    if (held === undefined) {
      speaker.socket.destroy();
      return;
    }
    if (held.isAlive() && !speaker.killed) {
      log.error({ pid: held.pid }, 'the enforcer lives and its event loop does not turn: it is killed');
      speaker.killed = true;
      held.kill();
    }
    // Its socket goes with it; one that somebody else has kept open says nothing about it.
    if (!held.isAlive()) speaker.socket.destroy();
  }

  return {
    async listen(on) {
      await on(server);
    },
    isThere,
    task: periodically(clock, BEAT_MS, () => {
      for (const speaker of speakers) {
        try {
          look(speaker);
        } catch (error) {
          log.error({ err: error }, 'a hung enforcer could not be ended');
        }
      }
      return Promise.resolve();
    }),
    close() {
      server.close();
      for (const { socket } of speakers) socket.destroy();
    },
  };
}

/** Ends a socket that sends what is no message of ours. */
function readLines(socket: Socket, take: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    try {
      for (const line of lines) take(line);
      if (rest.length > MAX_MESSAGE_BYTES) throw new Error('too long a message');
    } catch {
      socket.destroy();
    }
  });
}
