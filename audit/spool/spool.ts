// The edge's durable queue of events: hash-chained per epoch, group-committed, delivered and acknowledged by sequence.
// Only what is durable is ever delivered, so a sequence that the cloud has seen cannot come back with other content.
import { join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { isErrno, type FileSystem } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { auditErrors } from '../errors.ts';
import { defaultSpoolLimits, fullGroupBytes, maxGroupBytes, maxGroupRecords, type SpoolLimits } from '../limits.ts';
import { SpoolDisk } from './disk.ts';
import type { AuditEvent, NewEvent } from './event.ts';
import { GroupQueue } from './group-queue.ts';
import { saltFile } from './layout.ts';
import type { LossReason } from './losses.ts';
import { encodeEvent, type Masking } from './payload.ts';
import type { SpoolRecord } from './segment.ts';
import { isFull, type ChainHead } from './segments.ts';

export interface SpoolOptions {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly clock: Clock;
  /** Unpredictable bytes, as node:crypto randomBytes. */
  readonly random: (bytes: number) => Uint8Array;
  /** What differs from `defaultSpoolLimits`. */
  readonly limits?: Partial<SpoolLimits>;
  readonly log?: Logger;
}

export interface Appended {
  /** Known once durable, so only to those who waited for it. */
  readonly sequence?: number;
}

export interface SpoolStatus {
  readonly epoch: string;
  /** Last durable sequence, and the last that the cloud has. */
  readonly sequence: number;
  readonly acknowledged: number;
  readonly firstSequence: number;
  readonly queued: number;
  readonly bytes: number;
  /** `full`: durable appends are refused, others dropped and counted. */
  readonly state: 'writable' | 'full' | 'closed';
  /** Events dropped since the spool was made. */
  readonly lost: number;
}

export interface Spool {
  /**
   * Takes an event. With `durable` it resolves when the event is on disk, and rejects with SPOOL_FULL, SPOOL_OVERLOADED
   * or SPOOL_UNWRITABLE when it is not: the caller denies. Without, it resolves when queued; what then finds no room is
   * counted in a loss record.
   */
  append(event: NewEvent, durable?: boolean): Promise<Appended>;
  /** Resolves when everything appended before is durable or counted as lost. */
  flush(): Promise<void>;
  /** Durable records after `after`, ascending, at most `max`. Throws SPOOL_DAMAGED before one that cannot be read. */
  read(after: number, max: number): AsyncIterable<SpoolRecord>;
  /** Resolves when the head moved or the epoch changed. */
  changed(signal: AbortSignal): Promise<void>;
  /** The cloud stored everything up to `through` of this epoch. */
  acknowledged(through: number): Promise<void>;
  /** Ends the chain and goes on under a new epoch with what is not acknowledged; see renew.ts. */
  renew(reason: 'damage' | 'refused'): Promise<void>;
  /** Last durable link. */
  head(): ChainHead;
  status(): SpoolStatus;
  /** Commits what is queued and saves the cursor. */
  close(): Promise<void>;
}

export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const limits = { ...defaultSpoolLimits, ...options.limits };
  const { fs, directory, clock, random } = options;
  try {
    const disk = await SpoolDisk.open({ fs, directory, limits, random, now: () => clock.now() });
    const masking = { keys: new Set(limits.maskedKeys), salt: await loadSalt(options) };
    const spool = new DiskSpool(options, limits, disk, masking);
    await spool.start();
    return spool;
  } catch (error) {
    if (error instanceof CodedError || !isErrnoError(error)) throw error;
    throw auditErrors.error('SPOOL_UNWRITABLE', `the spool in ${directory} cannot be opened: ${error.message}`, {
      cause: error,
    });
  }
}

async function loadSalt({ fs, directory, random }: SpoolOptions): Promise<Buffer> {
  const path = join(directory, saltFile);
  try {
    return await fs.readFile(path, 64);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    const salt = Buffer.from(random(32));
    await writeDurably(fs, path, salt);
    return salt;
  }
}

interface Item {
  readonly payload: Buffer;
  readonly atMs: number;
  readonly durable: boolean;
  /** Severity high or critical: may use the reserve. */
  readonly urgent: boolean;
  /** Of who waits for the disk. */
  readonly settled?: PromiseWithResolvers<Appended>;
}

const isUrgent = (severity: AuditEvent['severity'] | undefined): boolean =>
  severity === 'high' || severity === 'critical';

class DiskSpool implements Spool {
  readonly #clock: Clock;
  readonly #log: Logger | undefined;
  readonly #limits: SpoolLimits;
  readonly #disk: SpoolDisk;
  readonly #masking: Masking;
  readonly #queue: GroupQueue<Item>;
  readonly #stop = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();
  #full = false;
  #retrying: Promise<void> | undefined;
  #watchers: (() => void)[] = [];

  constructor(options: SpoolOptions, limits: SpoolLimits, disk: SpoolDisk, masking: Masking) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#limits = limits;
    this.#disk = disk;
    this.#masking = masking;
    this.#queue = new GroupQueue<Item>({
      clock: options.clock,
      lullMs: limits.groupCommitMs,
      enoughBytes: fullGroupBytes,
      // One for the loss record.
      maxItems: maxGroupRecords - 1,
      maxBytes: maxGroupBytes,
      commit: (group) => this.#serially(() => this.#commit(group)),
    });
  }

  async start(): Promise<void> {
    if (!(await this.#disk.hold())) this.#becomeFull();
    else if (this.#disk.losses.unrecorded > 0) await this.#commit([]);
  }

  async append(event: NewEvent, durable = false): Promise<Appended> {
    if (this.#stop.signal.aborted) throw auditErrors.error('SPOOL_CLOSED', 'the spool is closed');
    const atMs = Math.trunc(this.#clock.now());
    const payload = encodeEvent(event, atMs, this.#masking);
    const urgent = isUrgent(event.severity);
    const item: Item = {
      payload,
      atMs,
      durable,
      urgent,
      ...(durable && { settled: Promise.withResolvers<Appended>() }),
    };
    if (this.#full && !urgent) return this.#refuse(item, 'full');
    // Grave events find room when others no longer do.
    const allowed = this.#limits.queueBytes * (urgent ? 2 : 1);
    if (this.#queue.bytes + payload.length > allowed) return this.#refuse(item, 'overload');
    this.#queue.add(item);
    return item.settled?.promise ?? {};
  }

  /** An event that finds no room: an error for who waits, a count for who does not. */
  #refuse(item: Item, reason: LossReason, cause?: unknown): Appended {
    if (item.durable) throw refusal(reason, cause);
    this.#disk.losses.note(item.payload, item.atMs, reason);
    return {};
  }

  flush(): Promise<void> {
    return this.#queue.flush();
  }

  async *read(after: number, max: number): AsyncGenerator<SpoolRecord> {
    let position = after;
    for (let left = max; left > 0;) {
      const records = await this.#serially(() => this.#disk.read(position));
      if (records.length === 0) return;
      for (const record of records.slice(0, left)) yield record;
      left -= records.length;
      position += records.length;
    }
  }

  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => {
        this.#watchers = this.#watchers.filter((watcher) => watcher !== wake);
        reject(signal.reason as Error);
      };
      const wake = (): void => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#watchers.push(wake);
    });
  }

  acknowledged(through: number): Promise<void> {
    return this.#serially(async () => {
      await this.#disk.acknowledge(through);
      if (this.#full) await this.#reopen();
    });
  }

  renew(reason: 'damage' | 'refused'): Promise<void> {
    return this.#serially(async () => {
      await this.#disk.renew(reason);
      this.#wake();
    });
  }

  head(): ChainHead {
    return this.#disk.head;
  }

  status(): SpoolStatus {
    const { epoch, sequence } = this.#disk.head;
    return {
      epoch: epoch.toString('hex'),
      sequence,
      acknowledged: this.#disk.acknowledged,
      firstSequence: this.#disk.firstSequence,
      queued: this.#queue.items,
      bytes: this.#disk.bytes,
      state: this.#stop.signal.aborted ? 'closed' : this.#full ? 'full' : 'writable',
      lost: this.#disk.losses.total,
    };
  }

  async close(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    await this.#queue.flush();
    await this.#retrying;
    await this.#serially(() => this.#disk.close());
  }

  /** One at a time: commit, read, acknowledge, renew. */
  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #commit(group: readonly Item[]): Promise<void> {
    try {
      await this.#write(group, false);
    } catch (error) {
      if (isFull(error)) await this.#commitWhenFull(group);
      else this.#refuseAll(group, 'unwritable', error);
    }
  }

  /** Writes one group and behind it the loss record that is due. */
  async #write(group: readonly Item[], urgent: boolean): Promise<void> {
    const { losses } = this.#disk;
    const told = losses.total;
    const payloads = group.map((item) => item.payload);
    const due = !urgent && losses.unrecorded > 0;
    if (due) {
      const event = losses.event(this.#disk.head.sequence);
      payloads.push(encodeEvent(event, this.#clock.now(), this.#masking));
    }
    if (payloads.length === 0) return;
    const before = this.#disk.head.sequence;
    await this.#disk.write(payloads, urgent);
    if (due) losses.recorded(told);
    for (const [at, item] of group.entries()) item.settled?.resolve({ sequence: before + 1 + at });
    this.#wake();
  }

  /** The reserve is for grave events; everything else is refused or counted. */
  async #commitWhenFull(group: readonly Item[]): Promise<void> {
    this.#becomeFull();
    await this.#disk.release();
    const grave = group.filter((item) => item.urgent);
    this.#refuseAll(
      group.filter((item) => !item.urgent),
      'full',
    );
    if (grave.length > 0) {
      await this.#write(grave, true).catch((error: unknown) => this.#refuseAll(grave, 'full', error));
    }
    await this.#disk.save().catch((error: unknown) => this.#log?.warn({ err: error }, 'losses are only in memory'));
  }

  #refuseAll(group: readonly Item[], reason: LossReason, cause?: unknown): void {
    for (const item of group) {
      try {
        this.#refuse(item, reason, cause);
      } catch (error) {
        item.settled?.reject(error);
      }
    }
  }

  #becomeFull(): void {
    if (this.#full) return;
    this.#full = true;
    this.#log?.error({ bytes: this.#disk.bytes }, 'the spool is full');
    this.#retrying ??= this.#retryWhileFull();
  }

  async #retryWhileFull(): Promise<void> {
    const { signal } = this.#stop;
    while (this.#full && !signal.aborted) {
      await this.#clock.sleep(this.#limits.retryFullMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      await this.#serially(async () => {
        await this.#reopen();
        if (this.#full) await this.#disk.saveLosses();
      }).catch((error: unknown) => {
        this.#log?.warn({ err: error }, 'the spool is still full');
      });
    }
    this.#retrying = undefined;
  }

  /** Writable again when the reserve is back and the losses are told. */
  async #reopen(): Promise<void> {
    if (!this.#full || !this.#disk.hasRoom || !(await this.#disk.hold())) return;
    this.#wake();
    try {
      await this.#write([], false);
      this.#full = false;
    } catch (error) {
      if (!isFull(error)) throw error;
      await this.#disk.release();
    }
  }

  #wake(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const wake of watchers) wake();
  }
}

function refusal(reason: LossReason, cause?: unknown): CodedError {
  const details = cause === undefined ? {} : { cause };
  switch (reason) {
    case 'full':
      return auditErrors.error('SPOOL_FULL', 'the event was not stored: the spool is full', details);
    case 'overload':
      return auditErrors.error('SPOOL_OVERLOADED', 'the event was not stored: too many wait for the disk', details);
    case 'unwritable':
      return auditErrors.error('SPOOL_UNWRITABLE', 'the event was not stored: the disk refuses it', details);
  }
}

function isErrnoError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}
