// The bytes of netlink (netlink(7), linux/netlink.h, linux/netfilter/nfnetlink.h): one writer of requests, one strict
// reader of answers. Headers and attribute headers are in host order, which is little-endian wherever koffi loads;
// netfilter's numbers inside attributes are big-endian.
import { linuxErrors } from './linux.ts';

export const NETLINK = { sockDiag: 4, netfilter: 12 } as const;

/** Message types below NLMSG_MIN_TYPE (0x10) are netlink's own. */
export const NLMSG = { noop: 1, error: 2, done: 3, overrun: 4 } as const;

/** Flags of nlmsghdr; the meaning of 0x100 to 0x800 depends on the kind of message. */
export const NLM_F = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  dumpInterrupted: 0x10,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
  /** Of an NLMSG_ERROR: the failed message is not repeated beyond its header, and attributes follow. */
  capped: 0x100,
  ackAttributes: 0x200,
} as const;

const HEADER_BYTES = 16;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const MAX_ATTRIBUTE_BYTES = 0xffff;

const malformed = (what: string): Error => linuxErrors.error('LINUX_NETLINK_MALFORMED', what);
const aligned = (length: number): number => (length + 3) & ~3;

/** A finished request: messages with consecutive sequence numbers that no other request of this process has soon. */
export interface NetlinkRequest {
  readonly bytes: Buffer;
  readonly firstSequence: number;
  readonly messages: number;
  /** Messages, by place from 0, that asked for an ACK. */
  readonly acknowledged: readonly number[];
}

/** Room to reserve sequence numbers; 0 is the kernel's own (notifications). */
let nextSequence = 1;

function reserveSequences(count: number): number {
  if (nextSequence + count > 0xffffffff) nextSequence = 1;
  const first = nextSequence;
  nextSequence += count;
  return first;
}

/** Writes messages one behind the other into one buffer that grows. Sequence numbers are given by `finish`. */
export class NetlinkWriter {
  #bytes: Buffer;
  #length = 0;
  #starts: number[] = [];
  #acknowledged: number[] = [];

  constructor(expectedBytes: number = 4096) {
    this.#bytes = Buffer.allocUnsafe(expectedBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** Begins a message, and thereby ends the one before. */
  begin(type: number, flags: number): this {
    this.#endMessage();
    if ((flags & NLM_F.ack) !== 0) this.#acknowledged.push(this.#starts.length);
    this.#starts.push(this.#length);
    this.#room(HEADER_BYTES);
    const at = this.#length;
    this.#bytes.writeUInt16LE(type, at + 4);
    this.#bytes.writeUInt16LE(flags, at + 6);
    this.#bytes.writeUInt32LE(0, at + 12);
    this.#length += HEADER_BYTES;
    return this;
  }

  /** Asks for an ACK of the message that was begun last. */
  acknowledge(): this {
    const start = this.#starts.at(-1);
    if (start === undefined) return this;
    this.#bytes.writeUInt16LE(this.#bytes.readUInt16LE(start + 6) | NLM_F.ack, start + 6);
    this.#acknowledged.push(this.#starts.length - 1);
    return this;
  }

  /** `struct nfgenmsg`, which stands before the attributes of every netfilter message. */
  netfilter(family: number, resource: number = 0): this {
    this.#room(4);
    this.#bytes[this.#length] = family;
    this.#bytes[this.#length + 1] = 0;
    this.#bytes.writeUInt16BE(resource, this.#length + 2);
    this.#length += 4;
    return this;
  }

  /** Bytes without an attribute header, padded to 4, e.g. `struct inet_diag_req_v2`. */
  raw(value: Uint8Array): this {
    this.#room(aligned(value.length));
    this.#bytes.set(value, this.#length);
    this.#pad(value.length);
    return this;
  }

  /**
   * Reserves the value of an attribute, zeroed, and gives its place in `buffer`, which holds until more is written: for
   * lists of 100,000 small values, where an array for each would cost more than everything else.
   */
  reserve(type: number, length: number): number {
    this.#attribute(type, length);
    const at = this.#length;
    this.#length += aligned(length);
    for (let place = at; place < this.#length; place += 1) this.#bytes[place] = 0;
    return at;
  }

  get buffer(): Buffer {
    return this.#bytes;
  }

  bytes(type: number, value: Uint8Array): this {
    this.#attribute(type, value.length);
    this.#bytes.set(value, this.#length);
    this.#pad(value.length);
    return this;
  }

  /** Ends with a zero byte, as the kernel wants names. */
  string(type: number, value: string): this {
    const length = Buffer.byteLength(value) + 1;
    this.#attribute(type, length);
    this.#bytes.write(value, this.#length);
    this.#bytes[this.#length + length - 1] = 0;
    this.#pad(length);
    return this;
  }

  u8(type: number, value: number): this {
    this.#attribute(type, 1);
    this.#bytes[this.#length] = value;
    this.#pad(1);
    return this;
  }

  u16(type: number, value: number): this {
    this.#attribute(type, 2);
    this.#bytes.writeUInt16BE(value, this.#length);
    this.#pad(2);
    return this;
  }

  u32(type: number, value: number): this {
    this.#attribute(type, 4);
    this.#bytes.writeUInt32BE(value >>> 0, this.#length);
    this.#length += 4;
    return this;
  }

  u64(type: number, value: bigint | number): this {
    this.#attribute(type, 8);
    this.#bytes.writeBigUInt64BE(BigInt(value), this.#length);
    this.#length += 8;
    return this;
  }

  /** An attribute that holds attributes: what `fill` writes. */
  nested(type: number, fill: () => void): this {
    const start = this.open(type);
    fill();
    return this.close(start);
  }

  /** As `nested`, for long lists: returns what `close` takes. */
  open(type: number): number {
    const start = this.#length;
    this.#attribute(type | NESTED, 0);
    return start;
  }

  close(start: number): this {
    const length = this.#length - start;
    if (length > MAX_ATTRIBUTE_BYTES) throw tooLong(length);
    this.#u16(start, length);
    return this;
  }

  finish(): NetlinkRequest {
    this.#endMessage();
    const firstSequence = reserveSequences(this.#starts.length);
    this.#starts.forEach((start, index) => this.#bytes.writeUInt32LE(firstSequence + index, start + 8));
    return {
      bytes: this.#bytes.subarray(0, this.#length),
      firstSequence,
      messages: this.#starts.length,
      acknowledged: this.#acknowledged,
    };
  }

  #attribute(type: number, length: number): void {
    if (length + 4 > MAX_ATTRIBUTE_BYTES) throw tooLong(length + 4);
    this.#room(4 + aligned(length));
    this.#u16(this.#length, length + 4);
    this.#u16(this.#length + 2, type);
    this.#length += 4;
  }

  /** Without the checks of `writeUInt16LE`: the values are known to fit. */
  #u16(at: number, value: number): void {
    this.#bytes[at] = value & 0xff;
    this.#bytes[at + 1] = value >>> 8;
  }

  /** Steps over a value and writes its padding. */
  #pad(length: number): void {
    const end = this.#length + aligned(length);
    for (let place = this.#length + length; place < end; place += 1) this.#bytes[place] = 0;
    this.#length = end;
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }

  #endMessage(): void {
    const start = this.#starts.at(-1);
    if (start !== undefined) this.#bytes.writeUInt32LE(this.#length - start, start);
  }
}

const tooLong = (length: number): Error =>
  linuxErrors.error(
    'LINUX_NETLINK_TOO_LONG',
    `a netlink attribute of ${length} bytes; at most ${MAX_ATTRIBUTE_BYTES} fit`,
  );

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Port of the socket that the message is for, or of the one whose request it tells others about. */
  readonly port: number;
  /** What follows the header: a view that is valid until the socket is read again. */
  readonly payload: Buffer;
}

/** The messages of one datagram. Throws LINUX_NETLINK_MALFORMED at one that is cut short: what follows cannot be trusted. */
export function* netlinkMessages(datagram: Buffer): Generator<NetlinkMessage> {
  for (let at = 0; at < datagram.length;) {
    if (at + HEADER_BYTES > datagram.length)
      throw malformed(`${datagram.length - at} bytes instead of a message header`);
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > datagram.length) {
      throw malformed(`a message claims ${length} bytes where ${datagram.length - at} are left`);
    }
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      port: datagram.readUInt32LE(at + 12),
      payload: datagram.subarray(at + HEADER_BYTES, at + length),
    };
    at += aligned(length);
  }
}

/**
 * Calls `visit` with type (without its flag bits) and place of the value of every attribute in `bytes[from, to)`.
 * Throws LINUX_NETLINK_MALFORMED at a length that lies. Places instead of views: a dump has millions of attributes.
 */
export function eachAttribute(
  bytes: Buffer,
  from: number,
  to: number,
  visit: (type: number, start: number, end: number) => void,
): void {
  for (let at = from; at < to;) {
    if (at + 4 > to) throw malformed(`${to - at} bytes instead of an attribute header`);
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > to) {
      throw malformed(`an attribute claims ${length} bytes where ${to - at} are left`);
    }
    visit(bytes.readUInt16LE(at + 2) & TYPE_MASK, at + 4, at + length);
    at += aligned(length);
  }
}

/** The attributes by type; of a type that comes twice the last counts. */
export function attributesOf(bytes: Buffer, from: number = 0, to: number = bytes.length): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  eachAttribute(bytes, from, to, (type, start, end) => found.set(type, bytes.subarray(start, end)));
  return found;
}

/** The value as a number of exactly 1, 2, 4 or 8 big-endian bytes (8: up to 2^53). */
export function numberOf(value: Buffer | undefined, length: 1 | 2 | 4 | 8, what: string): number {
  if (value?.length !== length) throw malformed(`${what} has ${value?.length ?? 0} bytes instead of ${length}`);
  const number = length === 8 ? Number(value.readBigUInt64BE()) : value.readUIntBE(0, length);
  if (!Number.isSafeInteger(number)) throw malformed(`${what} is beyond 2^53`);
  return number;
}

/** A text up to its zero byte, or to the end of the value. */
export function textOf(value: Buffer | undefined, what: string): string {
  if (value === undefined) throw malformed(`${what} is missing`);
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}

/** What the kernel did not do. */
export interface NetlinkRefusal {
  /** Place of the refused message in the request, from 0. */
  readonly message: number;
  /** As errno(3) names it, e.g. `ENOENT`. */
  readonly errno: string;
  /** The kernel's own words (NLMSGERR_ATTR_MSG), when it has any. */
  readonly reason: string | undefined;
  /** Byte of the message that was wrong, counted from its header; the attribute that was missing. */
  readonly offset: number | undefined;
  readonly missing: number | undefined;
}

const NLMSGERR = { message: 1, offset: 2, missing: 5 } as const;

/** Errno of an NLMSG_ERROR or NLMSG_DONE, 0 for success, and what the kernel says about it. */
export function outcomeOf(message: NetlinkMessage): {
  readonly errno: number;
  readonly reason: string | undefined;
  readonly offset: number | undefined;
  readonly missing: number | undefined;
} {
  const { payload, flags, type } = message;
  // A DONE without a code is one of old kernels: success.
  if (type === NLMSG.done && payload.length === 0) {
    return { errno: 0, reason: undefined, offset: undefined, missing: undefined };
  }
  if (payload.length < 4) throw malformed(`an answer of ${payload.length} bytes has no error code`);
  const errno = -payload.readInt32LE(0);
  if (errno < 0 || errno > 4095) throw malformed(`${-errno} is no error code`);
  const attributes =
    (flags & NLM_F.ackAttributes) === 0 ? new Map<number, Buffer>() : attributesOf(payload, extra(message));
  const offset = attributes.get(NLMSGERR.offset);
  const missing = attributes.get(NLMSGERR.missing);
  const reason = attributes.get(NLMSGERR.message);
  return {
    errno,
    reason: reason === undefined ? undefined : textOf(reason, 'reason'),
    offset: offset?.length === 4 ? offset.readUInt32LE() : undefined,
    missing: missing?.length === 4 ? missing.readUInt32LE() : undefined,
  };
}

/** Where the attributes of an answer begin: behind the code and what it repeats of the request. */
function extra({ payload, flags, type }: NetlinkMessage): number {
  if (type === NLMSG.done) return 4;
  if (payload.length < 4 + HEADER_BYTES) throw malformed('an error without the header of what failed');
  const repeated = (flags & NLM_F.capped) === 0 ? aligned(payload.readUInt32LE(4)) : HEADER_BYTES;
  if (4 + repeated > payload.length)
    throw malformed(`an error repeats ${repeated} bytes where ${payload.length - 4} are left`);
  return 4 + repeated;
}
