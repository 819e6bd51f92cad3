// Fixed header and framing (MQTT 3.1.1 and 5.0, section 2.1): TCP gives bytes in any pieces, the remaining length says
// where a packet ends. The reader stops for good at the first byte that cannot be right, and refuses what is too long by
// its header, before a byte of its body is kept.
import { type PacketType, packetTypes, type Sender } from './packet.ts';

export interface Frame {
  readonly type: PacketType;
  /** Lower half of the first byte: as demanded, and for PUBLISH dup, QoS and retain. */
  readonly flags: number;
  /** Variable header and payload. */
  readonly body: Buffer;
  /** The whole packet as it came. */
  readonly bytes: Buffer;
}

export interface FrameBatch {
  readonly frames: readonly Frame[];
  /** Why nothing that follows can be read; stays. */
  readonly fault: string | undefined;
}

export interface FrameReader {
  readonly push: (chunk: Buffer) => FrameBatch;
  /** True between the first and the last byte of a packet. */
  readonly isPartial: () => boolean;
}

export interface FrameBounds {
  /** Bytes, fixed header included. */
  readonly maxPacketBytes: number;
  /** The same for the first packet, which comes before anybody is known. */
  readonly maxFirstPacketBytes: number;
}

const fromClient: ReadonlySet<PacketType> = new Set([
  ...(['connect', 'publish', 'puback', 'pubrec', 'pubrel', 'pubcomp'] as const),
  ...(['subscribe', 'unsubscribe', 'pingreq', 'disconnect', 'auth'] as const),
]);
const fromServer: ReadonlySet<PacketType> = new Set([
  ...(['connack', 'publish', 'puback', 'pubrec', 'pubrel', 'pubcomp'] as const),
  ...(['suback', 'unsuback', 'pingresp', 'disconnect', 'auth'] as const),
]);

const typeOf = new Map<number, PacketType>(
  Object.entries(packetTypes).map(([name, code]) => [code, name as PacketType]),
);

/** Type, flags and up to four bytes of remaining length. */
const maxHeaderBytes = 5;

export function createFrameReader(sender: Sender, bounds: FrameBounds): FrameReader {
  const header = Buffer.alloc(maxHeaderBytes);
  let headerBytes = 0;
  /** Of a packet whose header is read and whose body is not there yet. */
  let body: { readonly frame: Buffer; filled: number } | undefined;
  let isFirst = true;
  let fault: string | undefined;

  const finish = (bytes: Buffer, start: number): Frame => {
    isFirst = false;
    headerBytes = 0;
    body = undefined;
    const first = bytes.readUInt8(0);
    return { type: typeOf.get(first >> 4) ?? 'auth', flags: first & 0x0f, body: bytes.subarray(start), bytes };
  };
  /** The remaining length when its last byte is there; sets `fault` as soon as it cannot be right. */
  const remaining = (): number | undefined => {
    const first = header.readUInt8(0);
    if (headerBytes === 1) {
      fault = firstByteFault(first, sender, isFirst);
      return undefined;
    }
    const last = header.readUInt8(headerBytes - 1);
    if (last >= 0x80) {
      if (headerBytes === maxHeaderBytes) fault = 'remaining length of more than four bytes';
      return undefined;
    }
    if (last === 0 && headerBytes > 2) {
      fault = 'remaining length takes more bytes than it needs';
      return undefined;
    }
    let length = 0;
    for (let index = 1; index < headerBytes; index++) length += (header.readUInt8(index) & 0x7f) * 0x80 ** (index - 1);
    const most = isFirst ? Math.min(bounds.maxFirstPacketBytes, bounds.maxPacketBytes) : bounds.maxPacketBytes;
    if (headerBytes + length > most) fault = `a packet of ${headerBytes + length} bytes, more than ${most}`;
    return length;
  };
  /** Takes the next part of the chunk; a finished packet, if there is one. */
  const take = (chunk: Buffer, at: number): { readonly next: number; readonly frame?: Frame } => {
    if (body !== undefined) {
      const { frame, filled } = body;
      const copied = chunk.copy(frame, filled, at);
      body.filled += copied;
      return body.filled < frame.length
        ? { next: at + copied }
        : { next: at + copied, frame: finish(frame, headerBytes) };
    }
    header[headerBytes++] = chunk[at] ?? 0;
    const length = remaining();
    const next = at + 1;
    if (length === undefined || fault !== undefined) return { next };
    // Most packets lie in one piece; then nothing is copied.
    const start = next - headerBytes;
    if (start >= 0 && next + length <= chunk.length) {
      return { next: next + length, frame: finish(chunk.subarray(start, next + length), headerBytes) };
    }
    const whole = Buffer.allocUnsafe(headerBytes + length);
    header.copy(whole, 0, 0, headerBytes);
    body = { frame: whole, filled: headerBytes };
    return length === 0 ? { next, frame: finish(whole, headerBytes) } : { next };
  };

  return {
    isPartial: () => headerBytes > 0,
    push(chunk) {
      const frames: Frame[] = [];
      let at = 0;
      while (at < chunk.length) {
        if (fault !== undefined) break;
        const { next, frame } = take(chunk, at);
        at = next;
        if (frame !== undefined) frames.push(frame);
      }
      return { frames, fault };
    },
  };
}

/** Other protocols on the port end here: their first byte is no type with the flags it demands (table 2-2). */
function firstByteFault(first: number, sender: Sender, isFirst: boolean): string | undefined {
  const type = typeOf.get(first >> 4);
  if (type === undefined) return 'packet type 0';
  if (!(sender === 'client' ? fromClient : fromServer).has(type)) return `${type} comes from the other side`;
  const flags = first & 0x0f;
  if (!flagsAreRight(type, flags)) return `flags ${flags} of ${type}`;
  const opening = sender === 'client' ? 'connect' : 'connack';
  if (isFirst !== (type === opening)) return isFirst ? `${type} before ${opening}` : `a second ${type}`;
  return undefined;
}

function flagsAreRight(type: PacketType, flags: number): boolean {
  if (type === 'publish') return (flags & 0b0110) !== 0b0110 && ((flags & 0b0110) !== 0 || (flags & 0b1000) === 0);
  return flags === (type === 'pubrel' || type === 'subscribe' || type === 'unsubscribe' ? 0b0010 : 0);
}
