// Reads packets that nftables rules log with `log prefix "…" group N` (linux/netfilter/nfnetlink_log.h): who sent what
// over which interface, with the rule's prefix, and the exact number of packets the kernel could not hand over.
import { interfaceName, linuxErrors, openNetlink } from './linux.ts';
import { parseNetwork } from './linux-packet.ts';
import type { NetlinkSocket } from './linux.ts';
import type { NetworkHeaders } from './linux-packet.ts';

const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_ULOG = 4;
const MSG_PACKET = (NFNL_SUBSYS_ULOG << 8) | 0;
const MSG_CONFIG = (NFNL_SUBSYS_ULOG << 8) | 1;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const HEADER_BYTES = 16 + 4;

const CFG_CMD = 1;
const CFG_MODE = 2;
const CFG_BUFFER = 3;
const CFG_TIMEOUT = 4;
const CFG_THRESHOLD = 5;
const CFG_FLAGS = 6;
const CFG_CMD_BIND = 1;
const COPY_PACKET = 2;
const FLAG_SEQUENCE = 1;

const ATTRIBUTE = { header: 1, indev: 4, outdev: 5, hardware: 8, payload: 9, prefix: 10, sequence: 12 } as const;
/** Shorter values say nothing: the attribute counts as absent. */
const LEAST_BYTES: Readonly<Record<number, number>> = {
  [ATTRIBUTE.indev]: 4,
  [ATTRIBUTE.outdev]: 4,
  [ATTRIBUTE.hardware]: 2,
  [ATTRIBUTE.sequence]: 4,
};

/** Enough for the longest IP header, some IPv6 extensions and the ports behind them. */
const COPY_BYTES = 192;
/** Largest batch the kernel builds, so that a burst costs few wake-ups; also the largest datagram we have to take. */
const BATCH_BYTES = 128 * 1024;
/** Hundredths of a second after which the kernel hands over a batch that is not full. */
const FLUSH_HUNDREDTHS = 1;
/** Datagrams taken in one turn of the event loop, so that a flood cannot starve timers and sockets. */
const DATAGRAMS_PER_TURN = 16;

export interface LoggedPacket {
  /** Text of the rule's `log prefix`. */
  readonly prefix: string;
  /** Names; empty when the packet had none at that hook, or the interface is gone. */
  readonly inInterface: string;
  readonly outInterface: string;
  /** Link-layer source of a received packet, `02:00:00:00:00:01`; absent without one. */
  readonly hardwareSource?: string;
  /** Absent when the packet is neither IPv4 nor IPv6. */
  readonly network?: NetworkHeaders;
}

export interface NflogOptions {
  readonly group: number;
  /** Receive buffer of the socket (SO_RCVBUFFORCE). Default 8 MiB, about 20,000 small packets. */
  readonly receiveBufferBytes?: number;
  /** Packets the kernel collects into one datagram. Default 50. */
  readonly threshold?: number;
}

export interface NflogHandlers {
  packet(packet: LoggedPacket): void;
  /** Exactly `count` packets were logged and could not be handed over; called before the packet that follows them. */
  lost(count: number): void;
  /** The socket failed and is closed. */
  fault(error: unknown): void;
}

export interface NflogReader {
  /** `overruns`: times the kernel said that its buffer was full; the lost count follows with the next packet. */
  counts(): { readonly received: number; readonly lost: number; readonly overruns: number };
  close(): void;
}

/** Hand-over counters of one reader, kept apart so that the arithmetic of lost packets is testable without a kernel. */
export class SequenceGaps {
  #next = 0;

  /** Packets missing before the one with `sequence`; the counter starts at 0 when the group is bound and wraps at 2^32. */
  before(sequence: number): number {
    const missing = (sequence - this.#next) >>> 0;
    this.#next = (sequence + 1) >>> 0;
    return missing;
  }
}

/**
 * Binds an NFLOG group of the process's network namespace and reports its packets until closed. The event loop wakes it;
 * it neither blocks nor keeps the process alive. Throws LINUX_PERMISSION without CAP_NET_ADMIN, LINUX_CALL when another
 * program holds the group.
 */
export function openNflog(options: NflogOptions, handlers: NflogHandlers): NflogReader {
  const socket = openNetlink(NETLINK_NETFILTER, options.receiveBufferBytes ?? 8 * 1024 * 1024, BATCH_BYTES);
  const gaps = new SequenceGaps();
  const counts = { received: 0, lost: 0, overruns: 0 };
  const names = interfaceNames();
  const take = (bytes: Buffer): void => {
    for (const { packet, sequence } of parseNflog(bytes, names)) {
      // Packets between BIND and the flag that numbers them carry no number and count as nothing.
      const missing = sequence === undefined ? 0 : gaps.before(sequence);
      if (missing > 0) {
        counts.lost += missing;
        handlers.lost(missing);
      }
      counts.received += 1;
      handlers.packet(packet);
    }
  };
  try {
    for (const message of configuration(options.group, options.threshold ?? 50)) {
      socket.send(message);
      // The kernel answers inside send(); packets of an earlier step may stand before the answer.
      acknowledge(socket, take, options.group);
    }
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.onReadable(() => {
    try {
      for (let turn = 0; turn < DATAGRAMS_PER_TURN; turn += 1) {
        const read = socket.read();
        if (read.kind === 'empty') return;
        if (read.kind === 'overrun') counts.overruns += 1;
        else take(read.bytes);
      }
    } catch (error) {
      socket.close();
      handlers.fault(error);
    }
  });
  return { counts: () => ({ ...counts }), close: () => socket.close() };
}

function acknowledge(socket: NetlinkSocket, take: (datagram: Buffer) => void, group: number): void {
  for (;;) {
    const answer = socket.read();
    if (answer.kind !== 'data') {
      throw linuxErrors.error('LINUX_CALL', `nfnetlink_log did not answer for group ${group}`);
    }
    if (answer.bytes.readUInt16LE(4) !== NLMSG_ERROR) {
      take(answer.bytes);
      continue;
    }
    const code = -answer.bytes.readInt32LE(HEADER_BYTES - 4);
    if (code === 0) return;
    // A process without the right got its error at the receive buffer already: EPERM and EBUSY mean a foreign owner here.
    const what = code === 1 || code === 16 ? 'another program reads it' : `errno ${code}`;
    throw linuxErrors.error('LINUX_CALL', `bind NFLOG group ${group}: ${what}`);
  }
}

/** BIND first: the other settings need the instance that it makes. Sequence numbers start before the first packet. */
function configuration(group: number, threshold: number): Buffer[] {
  const mode = Buffer.alloc(6);
  mode.writeUInt32BE(COPY_BYTES, 0);
  mode.writeUInt8(COPY_PACKET, 4);
  return [
    configMessage(group, [attribute(CFG_CMD, Buffer.of(CFG_CMD_BIND)), attribute(CFG_FLAGS, u16(FLAG_SEQUENCE))]),
    configMessage(group, [
      attribute(CFG_MODE, mode),
      attribute(CFG_BUFFER, u32(BATCH_BYTES)),
      attribute(CFG_TIMEOUT, u32(FLUSH_HUNDREDTHS)),
      attribute(CFG_THRESHOLD, u32(threshold)),
    ]),
  ];
}

// nlmsghdr and attribute headers are in host order; every machine that koffi supports here is little-endian.
function configMessage(group: number, attributes: Buffer[]): Buffer {
  const body = Buffer.concat(attributes);
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt32LE(HEADER_BYTES + body.length, 0);
  head.writeUInt16LE(MSG_CONFIG, 4);
  head.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK, 6);
  head.writeUInt16BE(group, 18);
  return Buffer.concat([head, body]);
}

function attribute(type: number, value: Buffer): Buffer {
  const padded = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  padded.writeUInt16LE(4 + value.length, 0);
  padded.writeUInt16LE(type, 2);
  padded.set(value, 4);
  return padded;
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Names change rarely and packets come in thousands; an index that had no name is asked again. */
function interfaceNames(): (index: number) => string {
  const known = new Map<number, string>();
  return (index) => {
    const name = known.get(index) ?? interfaceName(index);
    if (name !== '' && known.size < 1024) known.set(index, name);
    return name;
  };
}

/** The packets of one datagram. A message that is cut short ends the datagram: what follows it cannot be trusted. */
export function* parseNflog(
  bytes: Buffer,
  nameOf: (index: number) => string,
): Generator<{ packet: LoggedPacket; sequence: number | undefined }> {
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    const type = bytes.readUInt16LE(at + 4);
    if (length < HEADER_BYTES || at + length > bytes.length || type === NLMSG_DONE) return;
    if (type === MSG_PACKET) yield parsePacket(bytes.subarray(at + HEADER_BYTES, at + length), nameOf);
    at += Math.ceil(length / 4) * 4;
  }
}

function parsePacket(
  body: Buffer,
  nameOf: (index: number) => string,
): {
  packet: LoggedPacket;
  sequence: number | undefined;
} {
  let prefix = '';
  let inInterface = '';
  let outInterface = '';
  let hardwareSource: string | undefined;
  let network: NetworkHeaders | undefined;
  let sequence: number | undefined;
  for (let at = 0; at + 4 <= body.length;) {
    const length = body.readUInt16LE(at);
    if (length < 4 || at + length > body.length) break;
    const value = body.subarray(at + 4, at + length);
    const type = body.readUInt16LE(at + 2) & 0x3fff;
    at += Math.ceil(length / 4) * 4;
    if (value.length < (LEAST_BYTES[type] ?? 0)) continue;
    if (type === ATTRIBUTE.prefix) prefix = value.subarray(0, Math.max(0, value.indexOf(0))).toString();
    else if (type === ATTRIBUTE.indev) inInterface = nameOf(value.readUInt32BE());
    else if (type === ATTRIBUTE.outdev) outInterface = nameOf(value.readUInt32BE());
    else if (type === ATTRIBUTE.hardware) hardwareSource = hardwareAddress(value);
    else if (type === ATTRIBUTE.payload) network = parseNetwork(value);
    else if (type === ATTRIBUTE.sequence) sequence = value.readUInt32BE();
  }
  return {
    packet: {
      prefix,
      inInterface,
      outInterface,
      ...(hardwareSource === undefined ? {} : { hardwareSource }),
      ...(network === undefined ? {} : { network }),
    },
    sequence,
  };
}

function hardwareAddress(value: Buffer): string | undefined {
  const length = value.readUInt16BE(0);
  if (length !== 6 || value.length < 4 + length) return undefined;
  return [...value.subarray(4, 4 + length)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
