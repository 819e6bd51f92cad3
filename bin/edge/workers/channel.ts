// The worker's end of the channel: what it cannot do itself (write the spool, count uses) it asks of the edge, and waits until
// that has an answer: what was called lost and then kept would be counted twice, and asked again it would pile up there. For how
// long a request waits is for admission to say. Bounded: what finds no room is dropped and counted, as the spool does.
import type { EmitEvent, NewEvent } from '../../../audit/spool/index.ts';
import type { RequestUsage } from '../../../enforcer/request-usage.ts';
import type { FromWorker, WantedUse } from './messages.ts';

/** Events that wait for the edge to take them. */
const MAX_WAITING_EVENTS = 8_192;
/** Requests that wait for the disk of the edge. */
const MAX_WAITING_ANSWERS = 2_048;

export interface Channel {
  readonly emit: EmitEvent;
  readonly usage: () => RequestUsage;
  /** Resolves when every event that was taken has left this process. */
  flushed(): Promise<void>;
  /** The edge's answer to a `keep` or a `use`. */
  answered(id: number, ok: boolean): void;
}

/** `send` calls back when the message has left this process. */
export function createChannel(send: (message: FromWorker, sent: () => void) => void): Channel {
  const waiting = new Map<number, (ok: boolean) => void>();
  let next = 1;
  let events: NewEvent[] = [];
  let dropped = 0;
  let sending = false;
  let idle: (() => void)[] = [];

  const flush = (): void => {
    if (sending || (events.length === 0 && dropped === 0)) return;
    sending = true;
    const message: FromWorker = { kind: 'events', events, dropped };
    events = [];
    dropped = 0;
    send(message, () => {
      sending = false;
      flush();
      if (sending) return;
      for (const resolve of idle) resolve();
      idle = [];
    });
  };

  const ask = async (message: (id: number) => FromWorker): Promise<boolean> => {
    if (waiting.size >= MAX_WAITING_ANSWERS) return false;
    const id = next++;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    waiting.set(id, resolve);
    send(message(id), () => undefined);
    const ok = await promise;
    waiting.delete(id);
    return ok;
  };

  return {
    async emit(event, durable = false) {
      if (durable) {
        if (!(await ask((id) => ({ kind: 'keep', id, event })))) throw new Error('the edge did not keep the event');
        return;
      }
      if (events.length >= MAX_WAITING_EVENTS) dropped++;
      else events.push(event);
      // What one turn of the event loop says travels together.
      if (events.length === 1 || dropped === 1) setImmediate(flush);
    },
    usage: () => remoteUsage((uses) => ask((id) => ({ kind: 'use', id, uses }))),
    async flushed() {
      flush();
      if (sending) await new Promise<void>((resolve) => idle.push(resolve));
    },
    answered: (id, ok) => waiting.get(id)?.(ok),
  };
}

/**
 * The counts are the edge's. Here a use is taken on trust, and the answer waits until the edge has taken it in truth: where
 * it says no, the request is denied (`unrecorded`), also where another grant with room would have opened it.
 */
function remoteUsage(take: (uses: readonly WantedUse[]) => Promise<boolean>): RequestUsage {
  const wanted: WantedUse[] = [];
  return {
    look: () => 'taken',
    take(limit, subject, time) {
      wanted.push({ limit, subject, time });
      return 'taken';
    },
    recorded: () => (wanted.length === 0 ? undefined : take([...wanted])),
    settled: {
      look: (limit, subject) => (hasTaken(wanted, limit, subject) ? 'taken' : 'unavailable'),
      take: (limit, subject) => (hasTaken(wanted, limit, subject) ? 'taken' : 'unavailable'),
    },
  };
}

const hasTaken = (wanted: readonly WantedUse[], { rate, uses }: WantedUse['limit'], subject: string): boolean =>
  wanted.some(
    (use) => use.subject === subject && use.limit.rate?.key === rate?.key && use.limit.uses?.key === uses?.key,
  );
