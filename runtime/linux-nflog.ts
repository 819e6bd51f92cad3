// Reads packets that nftables rules log with `log prefix "…" group N` (linux/netfilter/nfnetlink_log.h): who sent what
// over which interface, with the rule's prefix, and the exact number of packets the kernel could not hand over.
import { CodedError } from './errors.ts';
import { interfaceName, linuxErrors } from './linux.ts';
import { exchange, openNetlink } from './linux-netlink.ts';
import { eachAttribute, NETLINK, netlinkMessages, NetlinkWriter, NLM_F, NLMSG } from './linux-netlink-wire.ts';
import { parseNetwork } from './linux-packet.ts';
import type { NetlinkRequest } from './linux-netlink-wire.ts';
import type { NetworkHeaders } from './linux-packet.ts';

const NFNL_SUBSYS_ULOG = 4;
const MSG_PACKET = (NFNL_SUBSYS_ULOG << 8) | 0;
const MSG_CONFIG = (NFNL_SUBSYS_ULOG << 8) | 1;
/** `struct nfgenmsg` before the attributes. */
const HEADER_BYTES = 4;

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
  const { receiveBufferBytes } = options;
  const socket = openNetlink(NETLINK.netfilter, {
    datagramBytes: BATCH_BYTES,
    ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }),
  });
  const gaps = new SequenceGaps();
  const counts = { received: 0, lost: 0, overruns: 0 };
  const names = interfaceNames();
  const take = ({ packet, sequence }: Numbered): void => {
    // Packets between BIND and the flag that numbers them carry no number and count as nothing.
    const missing = sequence === undefined ? 0 : gaps.before(sequence);
    if (missing > 0) {
      counts.lost += missing;
      handlers.lost(missing);
    }
    counts.received += 1;
    handlers.packet(packet);
  };
  try {
    for (const request of configuration(options.group, options.threshold ?? 50)) {
      // Packets of an earlier step may stand before the answer.
      const [refusal] = exchange(socket, request, {
        unrelated: ({ type, payload }) => {
          if (type === MSG_PACKET) take(parsePacket(payload, names));
        },
      });
      if (refusal !== undefined) throw refused(options.group, refusal.errno);
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
        else for (const numbered of parseNflog(read.bytes, names)) take(numbered);
      }
    } catch (error) {
      socket.close();
      handlers.fault(error);
    }
  });
  return { counts: () => ({ ...counts }), close: () => socket.close() };
}

function refused(group: number, errno: string): Error {
  // A process without the right got its error at the receive buffer already: EPERM and EBUSY mean a foreign owner here.
  const what = errno === 'EPERM' || errno === 'EBUSY' ? 'another program reads it' : errno;
  return linuxErrors.error('LINUX_CALL', `bind NFLOG group ${group}: ${what}`);
}

/** BIND first: the other settings need the instance that it makes. Sequence numbers start before the first packet. */
function configuration(group: number, threshold: number): NetlinkRequest[] {
  const mode = Buffer.alloc(6);
  mode.writeUInt32BE(COPY_BYTES, 0);
  mode.writeUInt8(COPY_PACKET, 4);
  const message = (): NetlinkWriter =>
    new NetlinkWriter().begin(MSG_CONFIG, NLM_F.request | NLM_F.ack).netfilter(0, group);
  return [
    message().u8(CFG_CMD, CFG_CMD_BIND).u16(CFG_FLAGS, FLAG_SEQUENCE).finish(),
    message()
      .bytes(CFG_MODE, mode)
      .u32(CFG_BUFFER, BATCH_BYTES)
      .u32(CFG_TIMEOUT, FLUSH_HUNDREDTHS)
      .u32(CFG_THRESHOLD, threshold)
      .finish(),
  ];
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

interface Numbered {
  readonly packet: LoggedPacket;
  readonly sequence: number | undefined;
}

/**
 * The packets of one datagram. What is malformed ends it, because what follows cannot be trusted; the next packet's
 * number then tells how many were lost.
 */
export function* parseNflog(datagram: Buffer, nameOf: (index: number) => string): Generator<Numbered> {
  try {
    for (const { type, payload } of netlinkMessages(datagram)) {
      if (type === NLMSG.done) return;
      if (type === MSG_PACKET) yield parsePacket(payload, nameOf);
    }
  } catch (error) {
    if (!(error instanceof CodedError && error.code === 'LINUX_NETLINK_MALFORMED')) throw error;
  }
}

function parsePacket(body: Buffer, nameOf: (index: number) => string): Numbered {
  let prefix = '';
  let inInterface = '';
  let outInterface = '';
  let hardwareSource: string | undefined;
  let network: NetworkHeaders | undefined;
  let sequence: number | undefined;
  eachAttribute(body, HEADER_BYTES, body.length, (type, start, end) => {
    const value = body.subarray(start, end);
    if (value.length < (LEAST_BYTES[type] ?? 0)) return;
    if (type === ATTRIBUTE.prefix) prefix = value.subarray(0, Math.max(0, value.indexOf(0))).toString();
    else if (type === ATTRIBUTE.indev) inInterface = nameOf(value.readUInt32BE());
    else if (type === ATTRIBUTE.outdev) outInterface = nameOf(value.readUInt32BE());
    else if (type === ATTRIBUTE.hardware) hardwareSource = hardwareAddress(value);
    else if (type === ATTRIBUTE.payload) network = parseNetwork(value);
    else if (type === ATTRIBUTE.sequence) sequence = value.readUInt32BE();
  });
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
