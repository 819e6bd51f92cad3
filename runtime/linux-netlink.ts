// Netlink sockets (netlink(7)), also of another network namespace, and the exchange of one request and its answers.
import { closeSync, openSync } from 'node:fs';
import { check, errnoName, failure, libc, linuxErrors, prepared, setOption, SOL_SOCKET, u16Host } from './linux.ts';
import type { Libc } from './linux.ts';
import { netlinkMessages, NLM_F, NLMSG, outcomeOf } from './linux-netlink-wire.ts';
import type { NetlinkMessage, NetlinkRefusal, NetlinkRequest } from './linux-netlink-wire.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const CLONE_NEWNET = 0x40000000;

/** A batch is one datagram, so the send buffer bounds it; 100,000 set elements take about 5 MiB. */
export const MAX_SEND_BUFFER_BYTES = 64 * 1024 * 1024;
const DEFAULT_RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;
const DEFAULT_DATAGRAM_BYTES = 128 * 1024;
/** Bytes after which an answer counts as endless; a dump of a million elements is a tenth of it. */
const MAX_ANSWER_BYTES = 1024 * 1024 * 1024;

export interface NetlinkOptions {
  /** Bits of the multicast groups 1 to 32 to hear: group 7 is `1 << 6`. Such a socket cannot `exchange`. */
  readonly groups?: number;
  /** SO_RCVBUFFORCE: overrides net.core.rmem_max, needs CAP_NET_ADMIN. Default 8 MiB. */
  readonly receiveBufferBytes?: number;
  /** SO_SNDBUFFORCE, at most 64 MiB: the longest request that can be sent. Default: the kernel's (about 200 KiB). */
  readonly sendBufferBytes?: number;
  /** Largest datagram that is taken; a longer one is a fault. Default 128 KiB. */
  readonly datagramBytes?: number;
  /** Path of the network namespace to speak to, e.g. `/run/netns/plc`; default the process's own. Needs CAP_SYS_ADMIN. */
  readonly namespace?: string;
}

/** What one read of a netlink socket gave: a datagram, nothing yet, or the kernel's word that it dropped some. */
export type NetlinkRead =
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'empty' }
  | { readonly kind: 'overrun' };

export interface NetlinkSocket {
  /** Number of this socket in its namespace: what the kernel names as the sender of what was asked for here. */
  readonly port: number;
  send(message: Buffer): void;
  /** One datagram of the kernel without waiting; `bytes` is a view that is valid until the next read. */
  read(): NetlinkRead;
  /** Calls back on the event loop whenever something can be read; does not keep the process alive. */
  onReadable(callback: () => void): void;
  close(): void;
}

/**
 * A netlink socket of `protocol` (`NETLINK.netfilter`). It stays in the network namespace that it was made in. Throws
 * LINUX_PERMISSION without CAP_NET_ADMIN, LINUX_CALL when the kernel lacks the protocol or the namespace is gone.
 */
export function openNetlink(protocol: number, options: NetlinkOptions = {}): NetlinkSocket {
  const own = libc();
  const fd = inNamespace(options.namespace, () => bound(own, protocol, options));
  const buffer = Buffer.alloc(options.datagramBytes ?? DEFAULT_DATAGRAM_BYTES);
  const sender = Buffer.alloc(12);
  const senderLength = Buffer.alloc(4);
  let watch: ReturnType<Libc['poll']> | undefined;
  let open = true;
  const address = Buffer.alloc(12);
  const addressLength = Buffer.alloc(4);
  addressLength.writeUInt32LE(address.length);
  if (own.getsockname(fd, address, addressLength) < 0) {
    const errno = own.errnoName();
    own.close(fd);
    throw failure('getsockname netlink', errno);
  }
  const read = (): NetlinkRead => {
    if (!open) return { kind: 'empty' };
    senderLength.writeUInt32LE(sender.length);
    const length = own.recvfrom(fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC, sender, senderLength);
    if (length > buffer.length) {
      const what = `a datagram of ${length} bytes; at most ${buffer.length} are taken`;
      throw linuxErrors.error('LINUX_NETLINK_MALFORMED', what);
    }
    // Port 0 is the kernel; another process may write to this socket too, and is not heard.
    if (length >= 0) return sender.readUInt32LE(4) === 0 ? { kind: 'data', bytes: buffer.subarray(0, length) } : read();
    const errno = own.errnoName();
    if (errno === 'EAGAIN' || errno === 'EINTR') return { kind: 'empty' };
    if (errno === 'ENOBUFS') return { kind: 'overrun' };
    throw failure('recv netlink', errno);
  };
  return {
    port: address.readUInt32LE(4),
    send(message): void {
      if (!open) throw linuxErrors.error('LINUX_CALL', 'send netlink: the socket is closed');
      check(own.sendto(fd, message, message.length, 0, null, 0), `send netlink (${message.length} bytes)`);
    },
    read,
    onReadable(callback): void {
      watch?.close();
      const again = (): void => {
        callback();
        // An overrun raises the socket's error, at which libuv stops watching it; the callback has cleared it by reading.
        if (open) poll.start({ readable: true }, again);
      };
      const poll = own.poll(fd, { readable: true }, again);
      poll.unref();
      watch = poll;
    },
    close(): void {
      if (!open) return;
      open = false;
      watch?.close();
      own.close(fd);
    },
  };
}

function bound(own: Libc, protocol: number, options: NetlinkOptions): number {
  return prepared(AF_NETLINK, SOCK_RAW, protocol, (fd) => {
    const receive = options.receiveBufferBytes ?? DEFAULT_RECEIVE_BUFFER_BYTES;
    setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive, 'SO_RCVBUFFORCE');
    if (options.sendBufferBytes !== undefined) {
      const send = Math.min(options.sendBufferBytes, MAX_SEND_BUFFER_BYTES);
      setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, send, 'SO_SNDBUFFORCE');
    }
    setOption(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 0, 'NETLINK_NO_ENOBUFS');
    // Errors without a copy of the request that failed, and in words (kernel 4.12).
    setOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1, 'NETLINK_CAP_ACK');
    setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1, 'NETLINK_EXT_ACK');
    const address = Buffer.alloc(12);
    u16Host(address, AF_NETLINK, 0);
    address.writeUInt32LE(options.groups ?? 0, 8);
    check(own.bind(fd, address, address.length), 'bind netlink');
  });
}

/** Runs `make` with this thread in another network namespace; nothing else can run meanwhile, because it is synchronous. */
function inNamespace(path: string | undefined, make: () => number): number {
  if (path === undefined) return make();
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    const target = opened(path);
    try {
      check(libc().setns(target, CLONE_NEWNET), `setns ${path}`);
    } finally {
      closeSync(target);
    }
    let fd: number | undefined;
    try {
      fd = make();
    } finally {
      // Nothing may go on in the wrong namespace: rules and sockets would land on another host.
      if (libc().setns(home, CLONE_NEWNET) < 0) {
        if (fd !== undefined) libc().close(fd);
        process.abort();
      }
    }
    return fd;
  } finally {
    closeSync(home);
  }
}

function opened(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    throw linuxErrors.error('LINUX_CALL', `network namespace ${path}: ${String(cause)}`, { cause });
  }
}

export interface ExchangeHandlers {
  /** An answer that is neither an ACK nor a refusal. Its payload is valid until the call returns. */
  readonly answer?: (message: NetlinkMessage) => void;
  /** A message that no request asked for; without this handler it is a fault. */
  readonly unrelated?: (message: NetlinkMessage) => void;
}

/**
 * Sends a request and takes all its answers. Netfilter answers inside `send` (and continues a dump inside `read`), so
 * this neither waits nor hangs: a request that stays without its ACK is LINUX_NETLINK_NO_ANSWER. Returns what the kernel
 * refused, in its order; empty means that every message which asked for an ACK got one. Throws LINUX_NETLINK_OVERRUN
 * when answers were lost, LINUX_NETLINK_INTERRUPTED when the data changed during a dump, LINUX_NETLINK_MALFORMED.
 */
export function exchange(
  socket: Pick<NetlinkSocket, 'send' | 'read'>,
  request: NetlinkRequest,
  handlers: ExchangeHandlers = {},
): NetlinkRefusal[] {
  const refusals: NetlinkRefusal[] = [];
  const open = new Set(request.acknowledged);
  let interrupted = false;
  let taken = 0;
  const take = (message: NetlinkMessage): void => {
    const place = message.sequence - request.firstSequence;
    if (place < 0 || place >= request.messages) {
      if (handlers.unrelated === undefined) {
        throw linuxErrors.error('LINUX_NETLINK_MALFORMED', `an answer to request ${message.sequence}, not to ours`);
      }
      handlers.unrelated(message);
      return;
    }
    interrupted ||= (message.flags & NLM_F.dumpInterrupted) !== 0 && message.type !== NLMSG.error;
    if (message.type === NLMSG.error || message.type === NLMSG.done) {
      const { errno, ...details } = outcomeOf(message);
      open.delete(place);
      if (errno !== 0) refusals.push({ message: place, errno: errnoName(errno), ...details });
    } else if (message.type === NLMSG.overrun) {
      throw overrun();
    } else if (message.type !== NLMSG.noop) {
      handlers.answer?.(message);
    }
  };
  socket.send(request.bytes);
  for (;;) {
    const read = socket.read();
    if (read.kind === 'empty') break;
    if (read.kind === 'overrun') throw overrun();
    taken += read.bytes.length + 1;
    if (taken > MAX_ANSWER_BYTES) throw linuxErrors.error('LINUX_NETLINK_MALFORMED', 'an answer without end');
    for (const message of netlinkMessages(read.bytes)) take(message);
  }
  if (open.size > 0 && refusals.length === 0) {
    const what = `${open.size} of ${request.messages} messages stayed without their ACK`;
    throw linuxErrors.error('LINUX_NETLINK_NO_ANSWER', what);
  }
  if (interrupted) throw linuxErrors.error('LINUX_NETLINK_INTERRUPTED', 'the data changed while it was listed');
  return refusals;
}

const overrun = (): Error =>
  linuxErrors.error('LINUX_NETLINK_OVERRUN', 'the kernel dropped answers for want of buffer');
