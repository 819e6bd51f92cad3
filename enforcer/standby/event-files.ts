// What the stand-in records until the enforcer is back: small files in a folder of its own, each written whole and durably, taken
// over one by one into the spool and removed when they are on disk there. The stand-in never touches the spool, which has one
// writer. A crash between the two makes an event come twice, never not at all.
import { join } from 'node:path';
import { z } from 'zod';
import { type EmitEvent, eventSchema, type NewEvent } from '../../audit/spool/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { isAbort, periodically, type Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { standbyErrors } from './errors.ts';
import { GATHER_MS, MAX_FILE_BYTES, MAX_WAITING_BYTES, MAX_WAITING_FILES, TAKE_OVER_MS } from './limits.ts';

const kept = eventSchema.omit({ class_uid: true, time: true }).extend({ at: z.int() });
const file = z.strictObject({
  format: z.literal(1),
  /** Dropped before these, for want of room. */
  lost: z.int().nonnegative(),
  events: z.array(kept),
});
type Kept = z.infer<typeof kept>;

const nameOf = (number: number): string => `${String(number).padStart(12, '0')}.json`;
const numberOf = (name: string): number | undefined => {
  const found = /^(\d{12})\.json$/.exec(name)?.[1];
  return found === undefined ? undefined : Number(found);
};

export interface EventFiles {
  /** Durable: resolves when it is on disk, rejects with STANDBY_EVENTS_FULL or the disk's error when it is not. */
  readonly emit: EmitEvent;
  /** Dropped, and in no file yet. */
  readonly lost: () => number;
  /** Writes what is gathered, until the signal aborts and once more. */
  readonly task: Task;
}

export interface EventFilesOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Names of event fields that are not stored here: only the spool knows how to commit to them. */
  readonly masked: readonly string[];
}

interface Waiting {
  readonly event: Kept;
  readonly bytes: number;
  readonly settled?: PromiseWithResolvers<void>;
}

export async function openEventFiles(options: EventFilesOptions): Promise<EventFiles> {
  const { fs, folder, clock, log } = options;
  await fs.mkdir(folder);
  let next = Math.max(0, ...(await fs.list(folder)).map((name) => numberOf(name) ?? 0)) + 1;
  let waiting: Waiting[] = [];
  let lost = 0;
  let wake = (): void => undefined;

  const drop = (items: readonly Waiting[], error: unknown): void => {
    lost += items.length;
    for (const { settled } of items) settled?.reject(error);
  };

  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const items = firstOf(waiting);
      waiting = waiting.slice(items.length);
      const losing = lost;
      try {
        await requireRoom(fs, folder);
        const content: z.infer<typeof file> = { format: 1, lost: losing, events: items.map(({ event }) => event) };
        await writeDurably(fs, join(folder, nameOf(next)), Buffer.from(JSON.stringify(content)));
        next += 1;
        lost -= losing;
        for (const { settled } of items) settled?.resolve();
      } catch (error) {
        log.error({ err: error, events: items.length }, 'events of the stand-in are lost');
        drop(items, error);
      }
    }
  }

  return {
    lost: () => lost,
    emit(given, durable = false) {
      const event = keptOf(given, Math.trunc(clock.now()), options.masked);
      const bytes = JSON.stringify(event).length;
      const item: Waiting = { event, bytes, ...(durable && { settled: Promise.withResolvers<void>() }) };
      // What is gathered is bounded too: a disk that hangs must not cost memory.
      if (waiting.reduce((sum, each) => sum + each.bytes, bytes) > MAX_WAITING_BYTES) {
        const full = standbyErrors.error('STANDBY_EVENTS_FULL', 'too many events wait for the disk');
        item.settled?.promise.catch(() => undefined);
        drop([item], full);
        return durable ? Promise.reject(full) : Promise.resolve();
      }
      waiting.push(item);
      if (durable) wake();
      return item.settled?.promise ?? Promise.resolve();
    },
    async task(signal) {
      while (!signal.aborted) {
        const woken = new AbortController();
        wake = () => woken.abort();
        const ended = AbortSignal.any([signal, woken.signal]);
        if (waiting.every(({ settled }) => settled === undefined)) {
          await clock.sleep(GATHER_MS, ended).catch((error: unknown) => {
            if (!isAbort(error, ended)) throw error;
          });
        }
        await write();
      }
      await write();
    },
  };
}

/** As many as one file holds, and at least one. */
function firstOf(waiting: readonly Waiting[]): Waiting[] {
  let size = 0;
  const end = waiting.findIndex(({ bytes }, at) => (size += bytes) > MAX_FILE_BYTES && at > 0);
  return end === -1 ? [...waiting] : waiting.slice(0, end);
}

async function requireRoom(fs: FileSystem, folder: string): Promise<void> {
  const names = await fs.list(folder);
  const sizes = await Promise.all(names.map(async (name) => (await fs.stat(join(folder, name)))?.size ?? 0));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  if (names.length < MAX_WAITING_FILES && bytes + MAX_FILE_BYTES <= MAX_WAITING_BYTES) return;
  throw standbyErrors.error(
    'STANDBY_EVENTS_FULL',
    `${names.length} files with ${bytes} bytes wait in ${folder}; at most ${MAX_WAITING_BYTES} bytes do`,
  );
}

function keptOf({ kind, activity, severity = 'info', data, bundle }: NewEvent, at: number, masked: readonly string[]) {
  const shown = Object.entries(data).filter(([name]) => !masked.includes(name));
  return {
    kind,
    activity,
    severity,
    data: { ...Object.fromEntries(shown), enforcement_point: 'standby' } as Kept['data'],
    ...(bundle === undefined ? {} : { bundle }),
    at,
  } satisfies Kept;
}

export interface TakeOverParts {
  readonly fs: FileSystem;
  readonly folder: string;
  /** The spool. */
  readonly emit: EmitEvent;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The enforcer's side: takes over what a stand-in recorded, now and whenever something is there. */
export function createTakeOver(parts: TakeOverParts): Task {
  return periodically(parts.clock, TAKE_OVER_MS, async () => {
    await takeOver(parts).catch((error: unknown) =>
      parts.log.warn({ err: error }, 'events of the stand-in wait: they are taken over when the spool has room'),
    );
  });
}

/** A file is gone when all it held is on disk in the spool. Rejects when the spool refuses; what is left is tried again. */
export async function takeOver({ fs, folder, emit, log }: Omit<TakeOverParts, 'clock'>): Promise<void> {
  if ((await fs.stat(folder)) === undefined) return;
  for (const name of await fs.list(folder)) {
    if (numberOf(name) === undefined) continue;
    const path = join(folder, name);
    const found = await read(fs, path);
    if (found === undefined) {
      log.error({ path }, 'a file of events of the stand-in is damaged');
      await emit(loss({ reason: 'unwritable', message: `${name} of the stand-in is damaged` }), true);
    } else {
      if (found.lost > 0) await emit(loss({ reason: 'full', count: found.lost }), true);
      // Durable together: the last one's group holds those before it.
      await Promise.all(
        found.events.map(async ({ at, data, ...event }) => {
          await emit({ ...event, data: { first_ms: at, ...data } } as NewEvent, true);
        }),
      );
    }
    await fs.unlink(path);
  }
}

const loss = (data: NewEvent['data']): NewEvent => ({
  kind: 'log',
  activity: 'lost',
  severity: 'high',
  data: { source: 'standby', ...data },
});

/** undefined for what is not as a stand-in writes it. */
async function read(fs: FileSystem, path: string): Promise<z.infer<typeof file> | undefined> {
  const bytes = await fs.readFile(path, 2 * MAX_FILE_BYTES);
  try {
    return file.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    return undefined;
  }
}
