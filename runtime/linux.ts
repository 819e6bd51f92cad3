// What Linux offers and Node does not: transparent sockets (ip(7) IP_TRANSPARENT, for TPROXY), systemd's notify socket
// (sd_notify(3)), and the calls that linux-netlink.ts is made of. The only place that loads koffi.
import { createRequire } from 'node:module';
import { isIPv4, isIPv6 } from 'node:net';
import { errorTable } from './errors.ts';
import type { CodedError } from './errors.ts';
import type { LibraryHandle } from 'koffi';

export const linuxErrors = errorTable({
  LINUX_UNAVAILABLE: {
    status: 'UNIMPLEMENTED',
    remedy: 'Run on Linux (x86-64 or arm64) with the koffi package installed',
  },
  LINUX_PERMISSION: {
    status: 'PERMISSION_DENIED',
    remedy: 'Give the process CAP_NET_ADMIN (run it as root, or set AmbientCapabilities= in its unit)',
  },
  LINUX_ADDRESS: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Choose an address that this host knows and a port that nothing else listens on',
  },
  LINUX_CALL: {
    status: 'INTERNAL',
    remedy: 'Check that the kernel has the feature that the message names',
  },
  LINUX_NETLINK_MALFORMED: {
    status: 'DATA_LOSS',
    remedy: 'Report the kernel version; the answer was not used',
  },
  LINUX_NETLINK_NO_ANSWER: {
    status: 'INTERNAL',
    remedy: 'Read back what the kernel holds before relying on the change; report the kernel version',
  },
  LINUX_NETLINK_OVERRUN: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Read back what the kernel holds, and ask for less at once',
  },
  LINUX_NETLINK_INTERRUPTED: {
    status: 'ABORTED',
    remedy: 'List again',
  },
  LINUX_NETLINK_TOO_LONG: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Split the list that the attribute holds',
  },
});

// Values of x86-64, arm64, arm and riscv64, which share <asm-generic>; other architectures differ and get no koffi either.
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SOL_IP = 0;
const IP_TRANSPARENT = 19;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_TRANSPARENT = 75;

/** Connections the kernel keeps while the process is busy; the kernel lowers it to net.core.somaxconn. */
const LISTEN_BACKLOG = 1024;
/** IF_NAMESIZE of <net/if.h>, with the closing zero. */
const INTERFACE_NAME_BYTES = 16;

export interface Libc {
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: Buffer, length: number): number;
  listen(fd: number, backlog: number): number;
  setsockopt(fd: number, level: number, name: number, value: Buffer, length: number): number;
  sendto(
    fd: number,
    data: Buffer,
    length: number,
    flags: number,
    address: Buffer | null,
    addressLength: number,
  ): number;
  recvfrom(fd: number, into: Buffer, length: number, flags: number, address: Buffer, addressLength: Buffer): number;
  getsockname(fd: number, address: Buffer, addressLength: Buffer): number;
  setns(fd: number, kind: number): number;
  close(fd: number): number;
  /** syscall(2) with integers alone, for calls that the C library does not name everywhere. */
  syscall(number: number, a: number, b: number, c: number, d: number): number | bigint;
  if_indextoname(index: number, into: Buffer): unknown;
  /** Name of `number`, or of the last call's errno, e.g. `ENOENT`. */
  errnoName(number?: number): string;
  poll: typeof import('koffi').node.poll;
}

let loaded: Libc | undefined;

export function libc(): Libc {
  loaded ??= loadLibc();
  return loaded;
}

function loadLibc(): Libc {
  if (process.platform !== 'linux') {
    throw linuxErrors.error('LINUX_UNAVAILABLE', `this is ${process.platform}, not Linux`);
  }
  let koffi: typeof import('koffi');
  let library: LibraryHandle;
  try {
    // Loaded on first use: a program that needs none of this starts without it, and says so when it does need it.
    koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    library = koffi.load(null);
  } catch (cause) {
    throw linuxErrors.error('LINUX_UNAVAILABLE', `koffi does not load: ${String(cause)}`, { cause });
  }
  // EWOULDBLOCK and ENOTSUP are second names of EAGAIN and EOPNOTSUPP.
  const aliases = new Set(['EWOULDBLOCK', 'ENOTSUP']);
  const entries = Object.entries(koffi.os.errno).filter(([name]) => !aliases.has(name));
  const names = new Map(entries.map(([name, number]) => [number, name]));
  const call = (definition: string): never => library.func(definition) as never;
  return {
    socket: call('int socket(int family, int type, int protocol)'),
    bind: call('int bind(int fd, const uint8_t *address, uint32_t length)'),
    listen: call('int listen(int fd, int backlog)'),
    setsockopt: call('int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)'),
    // koffi has no ssize_t; int64_t is the same size on the 64-bit machines it supports here.
    sendto: call(
      'int64_t sendto(int fd, const uint8_t *data, size_t length, int flags, const uint8_t *address, uint32_t addressLength)',
    ),
    recvfrom: call(
      'int64_t recvfrom(int fd, _Out_ uint8_t *into, size_t length, int flags, _Out_ uint8_t *address, _Inout_ uint8_t *addressLength)',
    ),
    getsockname: call('int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint8_t *addressLength)'),
    setns: call('int setns(int fd, int kind)'),
    close: call('int close(int fd)'),
    syscall: call('int64_t syscall(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d)'),
    if_indextoname: call('void *if_indextoname(unsigned int index, _Out_ uint8_t *into)'),
    errnoName: (number = koffi.errno()) => names.get(number) ?? `errno ${number}`,
    poll: koffi.node.poll,
  };
}

export function failure(call: string, errno: string): CodedError {
  const message = `${call}: ${errno}`;
  if (errno === 'EPERM' || errno === 'EACCES') return linuxErrors.error('LINUX_PERMISSION', message);
  if (errno === 'EADDRINUSE' || errno === 'EADDRNOTAVAIL') return linuxErrors.error('LINUX_ADDRESS', message);
  return linuxErrors.error('LINUX_CALL', message);
}

/** Name of an errno, e.g. `ENOENT`. */
export const errnoName = (number: number): string => libc().errnoName(number);

/** Throws the coded error of the last call when it failed; `what` names the call for the reader. */
export function check(result: number, what: string): number {
  if (result < 0) throw failure(what, libc().errnoName());
  return result;
}

/** Opens a socket, prepares it, and closes it again when a step fails. */
export function prepared(family: number, type: number, protocol: number, prepare: (fd: number) => void): number {
  const fd = check(libc().socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), 'socket');
  try {
    prepare(fd);
  } catch (error) {
    libc().close(fd);
    throw error;
  }
  return fd;
}

export function setOption(fd: number, level: number, name: number, value: number, what: string): void {
  const bytes = Buffer.alloc(4);
  if (endianness === 'LE') bytes.writeInt32LE(value);
  else bytes.writeInt32BE(value);
  check(libc().setsockopt(fd, level, name, bytes, bytes.length), `setsockopt ${what}`);
}

const endianness = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 'LE' : 'BE';

export function u16Host(bytes: Buffer, value: number, offset: number): void {
  if (endianness === 'LE') bytes.writeUInt16LE(value, offset);
  else bytes.writeUInt16BE(value, offset);
}

/** `struct sockaddr_in` or `sockaddr_in6`. */
function socketAddress(address: string, port: number): { family: number; bytes: Buffer } {
  if (isIPv4(address)) {
    const bytes = Buffer.alloc(16);
    u16Host(bytes, AF_INET, 0);
    bytes.writeUInt16BE(port, 2);
    bytes.set(address.split('.').map(Number), 4);
    return { family: AF_INET, bytes };
  }
  if (!isIPv6(address) || address.includes('%')) {
    throw linuxErrors.error('LINUX_ADDRESS', `${address} is not an IP address without a zone`);
  }
  const bytes = Buffer.alloc(28);
  u16Host(bytes, AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(ipv6Bytes(address), 8);
  return { family: AF_INET6, bytes };
}

/** The 16 bytes of a valid IPv6 address, also with an embedded IPv4 tail (RFC 4291 section 2.2). */
export function ipv6Bytes(address: string): Buffer {
  const words = (text: string): number[] =>
    text === ''
      ? []
      : text.split(':').flatMap((part) => {
          if (!part.includes('.')) return [Number.parseInt(part, 16)];
          const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
          return [(a << 8) | b, (c << 8) | d];
        });
  const [head = '', tail] = address.split('::');
  const left = words(head);
  const right = tail === undefined ? [] : words(tail);
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  const bytes = Buffer.alloc(16);
  all.forEach((word, index) => bytes.writeUInt16BE(word, index * 2));
  return bytes;
}

/**
 * A listening TCP socket that also accepts connections to addresses and ports that are not its own, as `tproxy` rules
 * hand them over; `socket.localAddress` and `localPort` of an accepted connection are then the original destination.
 * The descriptor goes to `net.Server.listen({ fd })`, which owns and closes it.
 * Throws LINUX_PERMISSION without CAP_NET_ADMIN, LINUX_ADDRESS when the port is taken.
 */
export function transparentListener(address: string, port: number): number {
  const { family, bytes } = socketAddress(address, port);
  const place = family === AF_INET ? `${address}:${port}` : `[${address}]:${port}`;
  return prepared(family, SOCK_STREAM, 0, (fd) => {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1, 'SO_REUSEADDR');
    if (family === AF_INET) {
      setOption(fd, SOL_IP, IP_TRANSPARENT, 1, 'IP_TRANSPARENT');
    } else {
      // Each family has its own listener: a v4-mapped peer address must never stand for the v4 address.
      setOption(fd, SOL_IPV6, IPV6_V6ONLY, 1, 'IPV6_V6ONLY');
      setOption(fd, SOL_IPV6, IPV6_TRANSPARENT, 1, 'IPV6_TRANSPARENT');
    }
    check(libc().bind(fd, bytes, bytes.length), `bind ${place}`);
    check(libc().listen(fd, LISTEN_BACKLOG), `listen ${place}`);
  });
}

/**
 * Tells systemd about the service's state, e.g. `READY=1` or `STOPPING=1`. False when the process was not started by
 * systemd with Type=notify (no NOTIFY_SOCKET), which is no fault.
 */
export function sdNotify(state: string, socketPath: string | undefined = process.env['NOTIFY_SOCKET']): boolean {
  if (socketPath === undefined || socketPath === '') return false;
  const path = Buffer.from(socketPath);
  // A leading @ stands for the abstract namespace, whose names begin with a zero byte (unix(7)).
  if (path[0] === 0x40) path[0] = 0;
  const bytes = Buffer.alloc(2 + path.length + (path[0] === 0 ? 0 : 1));
  u16Host(bytes, AF_UNIX, 0);
  bytes.set(path, 2);
  const text = Buffer.from(state);
  const fd = prepared(AF_UNIX, SOCK_DGRAM, 0, () => {});
  try {
    check(libc().sendto(fd, text, text.length, 0, bytes, bytes.length), `sendto ${socketPath}`);
  } finally {
    libc().close(fd);
  }
  return true;
}

/** Name of the interface with this index in the process's network namespace; empty when there is none (any more). */
export function interfaceName(index: number): string {
  const name = Buffer.alloc(INTERFACE_NAME_BYTES);
  libc().if_indextoname(index, name);
  return name.subarray(0, name.indexOf(0)).toString();
}
