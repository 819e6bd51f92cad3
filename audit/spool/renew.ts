// A chain that cannot go on (damage, refusal by the cloud) ends; a new epoch begins with everything of the old one that
// can be read and is not acknowledged, and with a `log`/`gap` event that says what is missing. A chain is never
// rewritten under its old epoch: the cloud would have to take that for a fork.
import { join } from 'node:path';
import type { FileSystem } from '../../store/files.ts';
import {
  maxBatchBytes,
  maxBatchRecords,
  maxQuarantineBytes,
  maxQuarantineFiles,
  maxSegmentFileBytes,
} from '../limits.ts';
import type { NewEvent } from './event.ts';
import { quarantineFile, quarantinePrefix } from './layout.ts';
import { decodeSegmentHeader, scanFrames, segmentHeaderBytes } from './segment.ts';
import { isFull, type SegmentFile, type Segments } from './segments.ts';

export interface Salvage {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly epochHex: string;
  /** Segments of the ended chain, ascending. */
  readonly files: readonly SegmentFile[];
  /** Records up to here are with the cloud. */
  readonly acknowledged: number;
  /** Last sequence that was certainly written. */
  readonly written: number;
  readonly reason: string;
}

/** Copies what is left into `target` and returns the gap event that describes it. */
export async function salvage(source: Salvage, target: Segments): Promise<NewEvent> {
  const kept = new Kept(source.acknowledged, source.written);
  let room = true;
  for (const [at, file] of source.files.entries()) {
    const path = join(source.directory, file.name);
    const bytes = await source.fs.readFile(path, maxSegmentFileBytes).catch(() => Buffer.alloc(0));
    const headerGood = decodeSegmentHeader(bytes) !== undefined;
    const next = source.files[at + 1]?.firstSequence ?? Number.POSITIVE_INFINITY;
    const scan = scanFrames(bytes, segmentHeaderBytes, file.firstSequence);
    const records = scan.records.filter((record) => record.sequence > kept.last && record.sequence < next);
    if (!headerGood && bytes.length > 0) {
      await quarantine(source, file.firstSequence, 0, bytes.subarray(0, segmentHeaderBytes));
    }
    for (const hole of scan.holes) {
      await quarantine(source, file.firstSequence, hole.from, bytes.subarray(hole.from, hole.to));
    }
    for (const group of groups(records)) {
      room &&= await writeIfRoom(
        target,
        group.map((record) => Buffer.from(record.payload)),
      );
      for (const record of group) kept.note(record.sequence, room);
    }
  }
  return {
    kind: 'log',
    activity: 'gap',
    severity: 'high',
    data: { reason: source.reason, epoch: source.epochHex, ...kept.summary() },
  };
}

/** Which sequences of the ended chain are missing. */
class Kept {
  last: number;
  readonly #written: number;
  #missing = 0;
  #firstMissing = 0;
  #lastMissing = 0;
  #copied = 0;

  constructor(acknowledged: number, written: number) {
    this.last = acknowledged;
    this.#written = written;
  }

  note(sequence: number, copied: boolean): void {
    this.#miss(this.last + 1, sequence - 1);
    if (copied) this.#copied += 1;
    else this.#miss(sequence, sequence);
    this.last = sequence;
  }

  #miss(from: number, to: number): void {
    if (to < from) return;
    if (this.#missing === 0) this.#firstMissing = from;
    this.#missing += to - from + 1;
    this.#lastMissing = to;
  }

  summary(): NewEvent['data'] {
    this.#miss(this.last + 1, this.#written);
    return {
      count: this.#missing,
      first_sequence: this.#firstMissing,
      last_sequence: this.#lastMissing,
      kept: this.#copied,
    };
  }
}

function* groups<T extends { readonly payload: Uint8Array }>(records: readonly T[]): Generator<T[]> {
  let group: T[] = [];
  let bytes = 0;
  for (const record of records) {
    if (group.length >= maxBatchRecords || bytes + record.payload.length > maxBatchBytes) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(record);
    bytes += record.payload.length;
  }
  if (group.length > 0) yield group;
}

async function writeIfRoom(target: Segments, payloads: readonly Buffer[]): Promise<boolean> {
  try {
    await target.write(payloads);
    return true;
  } catch (error) {
    if (isFull(error)) return false;
    throw error;
  }
}

/** Keeps damaged bytes for whoever examines the disk; best effort, bounded. */
async function quarantine(source: Salvage, sequence: number, offset: number, bytes: Buffer): Promise<void> {
  const { fs, directory, epochHex } = source;
  try {
    const kept = (await fs.list(directory)).filter((name) => name.startsWith(quarantinePrefix));
    const name = quarantineFile(epochHex, sequence, offset);
    if (kept.length >= maxQuarantineFiles || kept.includes(name)) return;
    const file = await fs.open(join(directory, name), 'create');
    try {
      await file.append(bytes.subarray(0, maxQuarantineBytes));
      await file.sync();
    } finally {
      await file.close();
    }
  } catch {
    // The records matter more than the remains.
  }
}
