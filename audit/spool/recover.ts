// Finds the chain's end after any kind of stop. Only bytes that nobody was promised may go: a torn tail is dropped;
// anything else that cannot be read is damage, which the caller answers with a new epoch (renew.ts).
import { dirname, join } from 'node:path';
import { CodedError } from '../../runtime/errors.ts';
import type { FileSystem } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { chainNext, chainStart, sameBytes } from '../log/chain.ts';
import { maxSegmentFileBytes } from '../limits.ts';
import { parseSegmentName, reserveFile, segmentFile } from './layout.ts';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  frameOverheadBytes,
  scanFrames,
  segmentHeaderBytes,
  type Frame,
  type SegmentHeader,
} from './segment.ts';
import { removeIfThere, type ChainHead, type SegmentFile } from './segments.ts';

export interface Recovered {
  readonly head: ChainHead;
  readonly files: SegmentFile[];
  /** Why the chain cannot be continued, when it cannot. */
  readonly damage: string | undefined;
  /**
   * True when there was no room to make the last group certain. It is behind `head`, and nothing may be written, until
   * a later recovery succeeds.
   */
  readonly unsettled: boolean;
}

export async function listSegments(fs: FileSystem, directory: string, epochHex: string): Promise<SegmentFile[]> {
  const files: SegmentFile[] = [];
  for (const name of await fs.list(directory)) {
    const parsed = parseSegmentName(name);
    if (parsed?.epochHex !== epochHex) continue;
    const info = await fs.stat(join(directory, name));
    if (info?.kind === 'file') files.push({ name, firstSequence: parsed.firstSequence, size: info.size });
  }
  return files.sort((left, right) => left.firstSequence - right.firstSequence);
}

/** `durable` is a lower bound of the last durable sequence. */
export async function recover(fs: FileSystem, directory: string, epoch: Buffer, durable: number): Promise<Recovered> {
  const files = await listSegments(fs, directory, epoch.toString('hex'));
  for (;;) {
    const last = files.at(-1);
    if (last === undefined) {
      const head = { epoch, sequence: 0, chain: chainStart(epoch) };
      const damage = durable > 0 ? `all segments up to ${durable} are missing` : undefined;
      return { head, files, damage, unsettled: false };
    }
    const bytes = await fs.readFile(join(directory, last.name), maxSegmentFileBytes);
    const tail = readTail(bytes, epoch, last.firstSequence);
    if (typeof tail === 'string') {
      const head = { epoch, sequence: durable, chain: chainStart(epoch) };
      return { head, files, damage: `${last.name}: ${tail}`, unsettled: false };
    }
    if (tail === undefined) {
      // A segment is freed only when its successor holds a durable record, so this one has a predecessor or is the first.
      if (files.length === 1 && last.firstSequence > 1) {
        const head = { epoch, sequence: last.firstSequence - 1, chain: chainStart(epoch) };
        return { head, files, damage: `${last.name} lost its records`, unsettled: false };
      }
      await fs.unlink(join(directory, last.name));
      await fs.syncDirectory(directory);
      files.pop();
      continue;
    }
    last.size = tail.end;
    const shorter = tail.head.sequence < durable;
    const damage = shorter ? `ends at ${tail.head.sequence}, was durable up to ${durable}` : undefined;
    const certain = tail.head.sequence <= durable || (await settle(fs, directory, files, bytes, tail));
    // A segment without a certain record must not let the one before it be freed.
    if (!certain && tail.certain.sequence < last.firstSequence) files.pop();
    return { head: certain ? tail.head : tail.certain, files, damage, unsettled: !certain };
  }
}

interface Tail {
  readonly head: ChainHead;
  /** The chain before the last group. */
  readonly certain: ChainHead;
  /** At least one. */
  readonly frames: readonly Frame[];
  /** Offset behind the last of them. */
  readonly end: number;
}

/** undefined: never durably written, as when the power goes while a segment begins. A text: damaged, and how. */
function readTail(bytes: Buffer, epoch: Buffer, firstSequence: number): Tail | undefined | string {
  const header = decodeSegmentHeader(bytes);
  const scan = scanFrames(bytes, segmentHeaderBytes, firstSequence);
  if (header === undefined || header.firstSequence !== firstSequence || !sameBytes(header.epoch, epoch)) {
    const groups = scan.records.filter((record) => record.firstOfGroup).length;
    return groups > 1 ? 'the header is damaged' : undefined;
  }
  if (scan.holes.some((hole) => hole.provenDurable)) return 'records are damaged';
  const frames = scanFrames(bytes.subarray(0, scan.end), segmentHeaderBytes, firstSequence).records;
  if (frames.length === 0) return undefined;
  const head = followChain(header, frames);
  const groupStart = frames.findLastIndex((frame) => frame.firstOfGroup);
  const certain = followChain(header, frames.slice(0, Math.max(groupStart, 0)));
  if (head === undefined || certain === undefined) return 'the chain does not hold';
  return { head, certain, frames, end: scan.end };
}

function followChain(header: SegmentHeader, frames: readonly Frame[]): ChainHead | undefined {
  let { chain } = header;
  let sequence = header.firstSequence - 1;
  for (const frame of frames) {
    if (frame.sequence !== sequence + 1) return undefined;
    chain = chainNext(chain, frame.sequence, frame.payload);
    if (!sameBytes(chain, frame.chain)) return undefined;
    sequence = frame.sequence;
  }
  return { epoch: Buffer.from(header.epoch), sequence, chain: Buffer.from(chain) };
}

/**
 * After kill -9 the last group may be readable without being on the disk, and after a failed fsync no later one brings
 * it there. Nothing is delivered before it is durable, so that group is written anew; every group before it is durable.
 * False when there is no room for that, even without the reserve.
 */
async function settle(
  fs: FileSystem,
  directory: string,
  files: SegmentFile[],
  bytes: Buffer,
  tail: Tail,
): Promise<boolean> {
  const file = files.at(-1) as SegmentFile;
  const { epoch, sequence, chain } = tail.certain;
  const firstSequence = sequence + 1;
  const rewritten = tail.frames.filter((frame) => frame.sequence >= firstSequence);
  const group = rewritten.reduce((sum, frame) => sum + frameOverheadBytes + frame.payload.length, 0);
  file.size = tail.end - group;
  const header = encodeSegmentHeader({ epoch, firstSequence, chain });
  const content = Buffer.concat([header, bytes.subarray(tail.end - group, tail.end)]);
  const name = segmentFile(epoch, firstSequence);
  if (!(await writeIfRoom(fs, join(directory, name), content))) return false;
  // A segment of one group was replaced as a whole.
  if (name === file.name) file.size = content.length;
  else files.push({ name, firstSequence, size: content.length });
  return true;
}

async function writeIfRoom(fs: FileSystem, path: string, content: Buffer): Promise<boolean> {
  for (const withoutReserve of [false, true]) {
    try {
      if (withoutReserve) await removeIfThere(fs, join(dirname(path), reserveFile));
      await writeDurably(fs, path, content);
      return true;
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'FILE_SYSTEM_FULL') throw error;
    }
  }
  return false;
}
