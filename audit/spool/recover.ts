// Finds the chain's end after any kind of stop. Only bytes that nobody was promised may go: a torn tail is cut off;
// anything else that cannot be read is damage, which the caller answers with a new epoch (renew.ts).
import { join } from 'node:path';
import type { FileSystem } from '../../store/files.ts';
import { chainNext, chainStart, sameBytes } from '../log/chain.ts';
import { maxSegmentFileBytes } from '../limits.ts';
import { parseSegmentName } from './layout.ts';
import { decodeSegmentHeader, scanFrames, segmentHeaderBytes, type SegmentHeader } from './segment.ts';
import type { ChainHead, SegmentFile } from './segments.ts';

export interface Recovered {
  readonly head: ChainHead;
  readonly files: SegmentFile[];
  /** Why the chain cannot be continued, when it cannot. */
  readonly damage: string | undefined;
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
      return { head, files, damage: durable > 0 ? `all segments up to ${durable} are missing` : undefined };
    }
    const found = await readTail(fs, directory, epoch, last);
    if (found === 'never written') {
      // Its first group was not durable when the power went; the segment before it ends the chain.
      await fs.unlink(join(directory, last.name));
      await fs.syncDirectory(directory);
      files.pop();
      continue;
    }
    const damage =
      found.damage ??
      (found.head.sequence < durable ? `ends at ${found.head.sequence}, was durable up to ${durable}` : undefined);
    return { head: found.head, files, damage };
  }
}

interface Tail {
  readonly head: ChainHead;
  readonly damage: string | undefined;
}

async function readTail(
  fs: FileSystem,
  directory: string,
  epoch: Buffer,
  file: SegmentFile,
): Promise<Tail | 'never written'> {
  const path = join(directory, file.name);
  const bytes = await fs.readFile(path, maxSegmentFileBytes);
  const header = decodeSegmentHeader(bytes);
  const scan = scanFrames(bytes, segmentHeaderBytes, file.firstSequence);
  const unusable = { epoch, sequence: file.firstSequence - 1, chain: chainStart(epoch) };
  if (header === undefined || header.firstSequence !== file.firstSequence || !sameBytes(header.epoch, epoch)) {
    const groups = scan.records.filter((record) => record.firstOfGroup).length;
    return groups > 1 ? { head: unusable, damage: `the header of ${file.name} is damaged` } : 'never written';
  }
  if (scan.holes.some((hole) => hole.provenDurable))
    return { head: unusable, damage: `${file.name} has damaged records` };
  const head = followChain(header, bytes.subarray(0, scan.end));
  if (head === undefined) return { head: unusable, damage: `the chain in ${file.name} does not hold` };
  await settle(fs, path, scan.end, bytes.length);
  await fs.syncDirectory(directory);
  file.size = scan.end;
  return { head, damage: undefined };
}

function followChain(header: SegmentHeader, bytes: Buffer): ChainHead | undefined {
  let chain = Buffer.from(header.chain);
  let sequence = header.firstSequence - 1;
  for (const record of scanFrames(bytes, segmentHeaderBytes, header.firstSequence).records) {
    if (record.sequence !== sequence + 1) return undefined;
    chain = Buffer.from(chainNext(chain, record.sequence, record.payload));
    if (!sameBytes(chain, record.chain)) return undefined;
    sequence = record.sequence;
  }
  return { epoch: Buffer.from(header.epoch), sequence, chain };
}

/** After kill -9 bytes may be readable that never reached the disk. Nothing is delivered from here before it did. */
async function settle(fs: FileSystem, path: string, end: number, size: number): Promise<void> {
  const file = await fs.open(path, 'append');
  try {
    if (end < size) await file.truncate(end);
    await file.sync();
  } finally {
    await file.close();
  }
}
