// Listens to the commits of this network namespace and has the table compared when somebody else wrote to it. Every few
// seconds it is compared anyway, for what no message told.
import type { Clock } from '../../../runtime/clock.ts';
import { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { openNetlink } from '../../../runtime/linux-netlink.ts';
import type { NetlinkSocket } from '../../../runtime/linux-netlink.ts';
import { NETLINK, netlinkMessages } from '../../../runtime/linux-netlink-wire.ts';
import type { Task } from '../../../runtime/tasks.ts';
import { LOOK_BURST_MS, LOOK_EVERY_MS, MAX_LOOK_PAUSE_MS } from '../limits.ts';
import { TABLE } from '../render.ts';
import { authorOf } from './author.ts';
import { CommitReader, NFTABLES_GROUP } from './commits.ts';
import { type Notice, Notices } from './notices.ts';

export interface WatchParts {
  readonly clock: Clock;
  readonly log: Logger;
  /** Compares and repairs, unless `take` says that only this process wrote. */
  readonly repair: (take: () => Notice) => Promise<string | undefined>;
  /** Network namespace to listen to; default the process's own. */
  readonly namespace?: string | undefined;
  /** Called when tables beside ours may have changed, and once at the beginning. */
  readonly elsewhere?: () => Promise<void>;
}

/** Datagrams taken in one turn of the event loop: a program that commits in a loop must not starve timers and sockets. */
const DATAGRAMS_PER_TURN = 32;
const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024;
const NFPROTO_INET = 1;
const [, tableName = ''] = TABLE.split(' ');

export function watchTable(parts: WatchParts): Task {
  const { clock, log } = parts;
  return async (signal) => {
    const notices = new Notices();
    const wake = new Wake();
    const socket = open(parts, notices, wake);
    wake.elsewhere = socket !== undefined;
    try {
      let nextLook = clock.monotonic() + LOOK_EVERY_MS;
      let spentMs = 0;
      let lastEnded = clock.monotonic();
      while (!signal.aborted) {
        const waitMs = Math.max(0, nextLook - clock.monotonic());
        if (!notices.any && !wake.elsewhere) await wake.wait(clock, waitMs, signal);
        if (signal.aborted) return;
        const always = clock.monotonic() >= nextLook;
        const started = clock.monotonic();
        await look(parts, () => notices.take(always));
        if (always) nextLook = clock.monotonic() + LOOK_EVERY_MS;
        if (wake.elsewhere) {
          wake.elsewhere = false;
          await parts.elsewhere?.();
        }
        // Half of the time at most, however fast others write; a change that comes alone never waits.
        const ended = clock.monotonic();
        spentMs = Math.max(0, spentMs - (started - lastEnded)) + (ended - started);
        lastEnded = ended;
        if (spentMs > LOOK_BURST_MS) {
          await clock.sleep(Math.min(MAX_LOOK_PAUSE_MS, ended - started), signal).catch(() => undefined);
        }
      }
    } finally {
      socket?.close();
      log.debug('the watch over the table has ended');
    }
  };
}

/** One look; what fails is logged, and the next look comes. */
async function look({ repair, log }: WatchParts, take: () => Notice): Promise<void> {
  try {
    const found = await repair(take);
    if (found !== undefined) log.error({ drift: found }, 'the firewall was changed by others and is repaired');
  } catch (error) {
    log.error({ err: error }, 'the firewall could not be repaired');
  }
}

/** undefined where the kernel cannot be listened to: then every few seconds has to do. */
function open({ log, namespace }: WatchParts, notices: Notices, wake: Wake): NetlinkSocket | undefined {
  try {
    const socket = openNetlink(NETLINK.netfilter, {
      groups: NFTABLES_GROUP,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      ...(namespace === undefined ? {} : { namespace }),
    });
    const reader = new CommitReader(NFPROTO_INET, tableName);
    socket.onReadable(() => {
      hear(socket, reader, notices, wake);
      if (notices.any || wake.elsewhere) wake.up();
    });
    return socket;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    log.warn({ err: error }, 'changes of the firewall are noticed within seconds only');
    return undefined;
  }
}

function hear(socket: NetlinkSocket, reader: CommitReader, notices: Notices, wake: Wake): void {
  const unknown = (): void => {
    reader.forget();
    notices.overrun();
  };
  for (let turn = 0; turn < DATAGRAMS_PER_TURN; turn += 1) {
    const read = socket.read();
    if (read.kind === 'empty') return;
    if (read.kind === 'overrun') {
      unknown();
      continue;
    }
    try {
      for (const message of netlinkMessages(read.bytes)) {
        const ended = reader.take(message);
        if (ended === undefined) continue;
        const { commit, lost } = ended;
        if (lost > 0) notices.lose(lost);
        if (commit.changes.length > 0) notices.add(commit, ({ pid, process }) => authorOf(pid, process));
        wake.elsewhere ||= commit.elsewhere;
      }
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      unknown();
    }
  }
}

/** Lets the task sleep until something was heard. */
class Wake {
  elsewhere = false;
  #now: (() => void) | undefined;

  up(): void {
    this.#now?.();
  }

  async wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const heard = new Promise<void>((resolve) => {
      this.#now = resolve;
    });
    const slept = clock.sleep(ms, AbortSignal.any([signal, stop.signal])).catch(() => undefined);
    await Promise.race([heard, slept]);
    this.#now = undefined;
    stop.abort();
    await slept;
  }
}
