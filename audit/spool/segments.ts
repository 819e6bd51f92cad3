// The segment files of one chain: appends groups durably, reads them back, frees what the cloud has.
// Order matters everywhere: a group counts only after sync (and, for a new file, after syncDirectory).
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isErrno, type FileSystem, type OpenFile } from '../../store/files.ts';
import { auditErrors } from '../errors.ts';
import { chainNext } from '../log/chain.ts';
import { hashedAtOnce, maxSegmentFileBytes } from '../limits.ts';
import { segmentFile } from './layout.ts';
import { encodeFrames, encodeSegmentHeader, scanFrames, segmentHeaderBytes, type SpoolRecord } from './segment.ts';

/** Last durable link of a chain. Sequence 0 is the start, before the first record. */
export interface ChainHead {
  readonly epoch: Buffer;
  readonly sequence: number;
  readonly chain: Buffer;
}

export interface SegmentFile {
  readonly name: string;
  readonly firstSequence: number;
  /** Bytes known to be good; more may be in the file after a failed write. */
  size: number;
}

export interface SegmentsOptions {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly recentBytes: number;
}

export class Segments {
  readonly #options: SegmentsOptions;
  readonly #files: SegmentFile[];
  #head: ChainHead;
  #active: OpenFile | undefined;
  /** The latest records, so that a connected edge reads nothing from disk. */
  #recent: SpoolRecord[] = [];
  #recentBytes = 0;
  /** The segment read last, decoded. */
  #decoded: { readonly name: string; readonly size: number; readonly records: readonly SpoolRecord[] } | undefined;

  constructor(options: SegmentsOptions, head: ChainHead, files: SegmentFile[] = [], active?: OpenFile) {
    this.#options = options;
    this.#head = head;
    this.#files = files;
    this.#active = active;
  }

  get head(): ChainHead {
    return this.#head;
  }

  get files(): readonly SegmentFile[] {
    return this.#files;
  }

  get bytes(): number {
    return this.#files.reduce((sum, file) => sum + file.size, 0);
  }

  /** Appends one group; durable when it resolves. When it rejects nothing of the group counts, and the error is errno's. */
  async write(payloads: readonly Buffer[]): Promise<void> {
    let { sequence, chain } = this.#head;
    const records: SpoolRecord[] = [];
    const frames: Buffer[] = [];
    for (let from = 0; from < payloads.length; from += hashedAtOnce) {
      // Whoever waits for an answer has a turn between.
      if (from > 0) await nextTurn();
      const some = payloads.slice(from, from + hashedAtOnce).map((payload): SpoolRecord => {
        sequence += 1;
        chain = chainNext(chain, sequence, payload);
        return { sequence, payload, chain };
      });
      records.push(...some);
      frames.push(encodeFrames(some, from === 0));
    }
    const group = Buffer.concat(frames);
    if (!(await this.#extend(group))) await this.#begin(group);
    this.#head = { epoch: this.#head.epoch, sequence, chain };
    this.#remember(records);
  }

  /** False when the group has to go to a new segment. */
  async #extend(group: Buffer): Promise<boolean> {
    const { fs, segmentBytes } = this.#options;
    const file = this.#files.at(-1);
    const active = this.#active;
    if (file === undefined || active === undefined || file.size >= segmentBytes) return false;
    try {
      await active.append(group);
    } catch (error) {
      // What a short write left must not stand before the next group.
      const restored = await active.truncate(file.size).then(
        () => true,
        () => false,
      );
      if (restored && isFull(error)) throw error;
      await this.#abandon();
      return false;
    }
    try {
      fs.point?.('group written');
      await active.sync();
    } catch {
      // After a failed fsync the kernel may have dropped the pages and call them clean; retrying here would lie.
      await active.truncate(file.size).catch(() => undefined);
      await this.#abandon();
      return false;
    }
    fs.point?.('group synced');
    file.size += group.length;
    return true;
  }

  /** The last segment keeps what is durable in it and is never written again. */
  async #abandon(): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    await active?.close().catch(() => undefined);
  }

  async #begin(group: Buffer): Promise<void> {
    const { fs, directory } = this.#options;
    const { epoch, sequence, chain } = this.#head;
    const firstSequence = sequence + 1;
    const name = segmentFile(epoch, firstSequence);
    const path = join(directory, name);
    await this.#abandon();
    await removeIfThere(fs, path);
    const file = await fs.open(path, 'create');
    try {
      const bytes = Buffer.concat([encodeSegmentHeader({ epoch, firstSequence, chain }), group]);
      await file.append(bytes);
      fs.point?.('segment written');
      await file.sync();
      fs.point?.('segment synced');
      await fs.syncDirectory(directory);
      fs.point?.('segment named');
      this.#files.push({ name, firstSequence, size: bytes.length });
      this.#active = file;
    } catch (error) {
      await file.close().catch(() => undefined);
      await removeIfThere(fs, path).catch(() => undefined);
      throw error;
    }
  }

  /** Segments whose records all have at most this sequence, except the one that is written. */
  freeable(through: number): SegmentFile[] {
    return this.#files.filter((_, at) => {
      const next = this.#files[at + 1];
      return next !== undefined && next.firstSequence <= through + 1;
    });
  }

  /** Call after the cursor is durable. */
  async free(through: number): Promise<void> {
    const { fs, directory } = this.#options;
    const files = this.freeable(through);
    for (const file of files) {
      await removeIfThere(fs, join(directory, file.name));
      this.#files.splice(this.#files.indexOf(file), 1);
      fs.point?.('segment unlinked');
    }
    if (files.length > 0) await fs.syncDirectory(directory);
    fs.point?.('unlinks synced');
  }

  /**
   * Some durable records after `after`, ascending without gaps; empty when there is none. Throws SPOOL_DAMAGED when the
   * next one cannot be read.
   */
  async read(after: number): Promise<readonly SpoolRecord[]> {
    if (after >= this.#head.sequence) return [];
    const recentFrom = this.#recent[0]?.sequence ?? Number.POSITIVE_INFINITY;
    if (after + 1 >= recentFrom) return this.#recent.slice(after + 1 - recentFrom);
    const file = this.#files.findLast((candidate) => candidate.firstSequence <= after + 1);
    const records = file === undefined ? [] : await this.#decode(file, after);
    const found = records.filter((record) => record.sequence > after);
    if (found[0]?.sequence !== after + 1) {
      throw auditErrors.error(
        'SPOOL_DAMAGED',
        `record ${after + 1} of ${file?.name ?? 'a missing segment'} cannot be read`,
      );
    }
    return found;
  }

  async #decode(file: SegmentFile, after: number): Promise<readonly SpoolRecord[]> {
    const known = this.#decoded;
    if (known?.name === file.name && (known.size === file.size || (known.records.at(-1)?.sequence ?? 0) > after)) {
      return known.records;
    }
    const { fs, directory } = this.#options;
    const size = file.size;
    const bytes = await fs.readFile(join(directory, file.name), maxSegmentFileBytes);
    const next = this.#files[this.#files.indexOf(file) + 1];
    const records = scanFrames(bytes.subarray(0, size), segmentHeaderBytes, file.firstSequence).records.filter(
      (record, at) =>
        record.sequence === file.firstSequence + at && record.sequence < (next?.firstSequence ?? Infinity),
    );
    this.#decoded = { name: file.name, size, records };
    return records;
  }

  #remember(records: readonly SpoolRecord[]): void {
    this.#recent.push(...records);
    for (const record of records) this.#recentBytes += record.payload.length;
    let drop = 0;
    while (this.#recentBytes > this.#options.recentBytes && drop < this.#recent.length) {
      this.#recentBytes -= this.#recent[drop]?.payload.length ?? 0;
      drop += 1;
    }
    if (drop > 0) this.#recent = this.#recent.slice(drop);
  }

  async close(): Promise<void> {
    await this.#abandon();
  }
}

export async function removeIfThere(fs: FileSystem, path: string): Promise<void> {
  try {
    await fs.unlink(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

/** The quota is used up; to callers the same as a full disk. */
export class SpoolFullError extends Error {
  override readonly name = 'SpoolFullError';
  readonly code = 'ENOSPC';
  constructor() {
    super('the quota of the spool is used up');
  }
}

export function isFull(error: unknown): boolean {
  return isErrno(error, 'ENOSPC') || isErrno(error, 'EDQUOT');
}
