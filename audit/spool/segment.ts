// Bytes of a segment file: a header, then frames. Big-endian. Pure: reading and writing files is elsewhere.
//   header  8 B magic and version | 16 B epoch | u64 first sequence | 32 B chain value before it | u32 CRC-32C of all before
//   frame   u32 magic | u32 CRC-32C of all behind | u32 payload length | u32 flags | u64 sequence | payload | 32 B chain value
// Flag bit 0 marks the first frame of a group commit. A group is written only after the one before is synced, so a
// valid first frame proves that everything before it was once durable. That tells a torn tail from damage.
import { chainBytes, epochBytes, sameBytes } from '../log/chain.ts';
import { maxPayloadBytes } from '../limits.ts';
import { crc32c } from './crc32c.ts';

const segmentMagic = Buffer.from('EWSEG\0\0\u0001', 'latin1');
const frameMagic = 0x4557_f701;
// 0xf7 never occurs in UTF-8, so no event can carry bytes that look like a frame.
const frameMagicBytes = Buffer.from([0x45, 0x57, 0xf7, 0x01]);
const firstOfGroup = 1;

export const segmentHeaderBytes: number = segmentMagic.length + epochBytes + 8 + chainBytes + 4;
const frameHeaderBytes = 24;
export const frameOverheadBytes: number = frameHeaderBytes + chainBytes;

export interface SegmentHeader {
  readonly epoch: Uint8Array;
  readonly firstSequence: number;
  /** Chain value before the first sequence. */
  readonly chain: Uint8Array;
}

export interface SpoolRecord {
  readonly sequence: number;
  readonly payload: Buffer;
  readonly chain: Buffer;
}

export interface Frame extends SpoolRecord {
  readonly firstOfGroup: boolean;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(segmentHeaderBytes);
  segmentMagic.copy(bytes);
  bytes.set(header.epoch, 8);
  bytes.writeBigUInt64BE(BigInt(header.firstSequence), 8 + epochBytes);
  bytes.set(header.chain, 16 + epochBytes);
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, segmentHeaderBytes - 4)), segmentHeaderBytes - 4);
  return bytes;
}

/** undefined when the header is torn or damaged. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | undefined {
  if (bytes.length < segmentHeaderBytes) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, segmentHeaderBytes);
  if (!sameBytes(view.subarray(0, 8), segmentMagic)) return undefined;
  if (view.readUInt32BE(segmentHeaderBytes - 4) !== crc32c(view.subarray(0, segmentHeaderBytes - 4))) return undefined;
  return {
    epoch: Buffer.from(view.subarray(8, 8 + epochBytes)),
    firstSequence: Number(view.readBigUInt64BE(8 + epochBytes)),
    chain: Buffer.from(view.subarray(16 + epochBytes, 16 + epochBytes + chainBytes)),
  };
}

/** Frames of one group, in the order of the records; `first` when the group begins with them. */
export function encodeFrames(records: readonly SpoolRecord[], first: boolean): Buffer {
  const size = records.reduce((sum, { payload }) => sum + frameOverheadBytes + payload.length, 0);
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const [index, record] of records.entries()) at = writeFrame(bytes, at, record, first && index === 0);
  return bytes;
}

/** Gives the offset behind it. */
function writeFrame(bytes: Buffer, at: number, { sequence, payload, chain }: SpoolRecord, isFirst: boolean): number {
  const end = at + frameOverheadBytes + payload.length;
  bytes.writeUInt32BE(frameMagic, at);
  bytes.writeUInt32BE(payload.length, at + 8);
  bytes.writeUInt32BE(isFirst ? firstOfGroup : 0, at + 12);
  bytes.writeBigUInt64BE(BigInt(sequence), at + 16);
  bytes.set(payload, at + frameHeaderBytes);
  bytes.set(chain, end - chainBytes);
  bytes.writeUInt32BE(crc32c(bytes.subarray(at + 8, end)), at + 4);
  return end;
}

type Decoded = { readonly frame: Frame; readonly end: number } | 'incomplete' | 'invalid';

function decodeFrame(bytes: Buffer, at: number): Decoded {
  if (bytes.length - at < frameHeaderBytes) return 'incomplete';
  if (bytes.readUInt32BE(at) !== frameMagic) return 'invalid';
  const length = bytes.readUInt32BE(at + 8);
  if (length > maxPayloadBytes) return 'invalid';
  const end = at + frameOverheadBytes + length;
  if (end > bytes.length) return 'incomplete';
  if (bytes.readUInt32BE(at + 4) !== crc32c(bytes.subarray(at + 8, end))) return 'invalid';
  const payload = bytes.subarray(at + frameHeaderBytes, at + frameHeaderBytes + length);
  return {
    end,
    frame: {
      sequence: Number(bytes.readBigUInt64BE(at + 16)),
      payload,
      chain: bytes.subarray(end - chainBytes, end),
      firstOfGroup: (bytes.readUInt32BE(at + 12) & firstOfGroup) !== 0,
    },
  };
}

/** Bytes that are no frame, between offsets; `provenDurable` when a later group shows that they were once synced. */
export interface Hole {
  readonly from: number;
  readonly to: number;
  readonly provenDurable: boolean;
}

export interface Scan {
  /** Frames that can be read, ascending in sequence; those after a hole too. Views into the scanned bytes. */
  readonly records: readonly Frame[];
  readonly holes: readonly Hole[];
  /** Offset behind the last frame before the first hole. */
  readonly end: number;
}

/** Reads frames from offset `from` on; after bytes that are none it goes on at the next one that can be read. */
export function scanFrames(bytes: Buffer, from: number, expected: number): Scan {
  const frames: Frame[] = [];
  const gaps: { from: number; to: number; framesBefore: number }[] = [];
  let at = from;
  let next = expected;
  while (at < bytes.length) {
    const decoded = decodeFrame(bytes, at);
    const continues = typeof decoded === 'object' && (decoded.frame.sequence === next || gaps.at(-1)?.to === at);
    if (typeof decoded === 'object' && continues) {
      frames.push(decoded.frame);
      next = decoded.frame.sequence + 1;
      at = decoded.end;
      continue;
    }
    const resume = findFrame(bytes, at + 1, next);
    gaps.push({ from: at, to: resume, framesBefore: frames.length });
    at = resume;
  }
  const lastGroupStart = frames.findLastIndex((frame) => frame.firstOfGroup);
  return {
    records: frames,
    holes: gaps.map((gap) => ({ from: gap.from, to: gap.to, provenDurable: lastGroupStart >= gap.framesBefore })),
    end: gaps[0]?.from ?? at,
  };
}

/** Offset of the next readable frame with at least the expected sequence, or the end. */
function findFrame(bytes: Buffer, from: number, expected: number): number {
  for (let at = bytes.indexOf(frameMagicBytes, from); at !== -1; at = bytes.indexOf(frameMagicBytes, at + 1)) {
    const decoded = decodeFrame(bytes, at);
    if (typeof decoded === 'object' && decoded.frame.sequence >= expected) return at;
  }
  return bytes.length;
}
