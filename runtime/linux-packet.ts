// Reads the headers of a packet as far as they say who talks to whom: IPv4 (RFC 791), IPv6 (RFC 8200) with its
// extension headers, TCP, UDP and ICMP. What is cut off or malformed is absent, never guessed.

export interface NetworkHeaders {
  readonly source: string;
  readonly destination: string;
  /** `tcp`, `udp`, `icmp`, `icmpv6`, or the protocol number as text. */
  readonly protocol: string;
  /** Absent without ports: other protocols, and fragments after the first. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** Set for TCP: the flags octet (RFC 9293 section 3.1), e.g. 2 = SYN. */
  readonly tcpFlags?: number;
  readonly icmpType?: number;
}

const protocolNames: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6' };
const TCP_FLAGS_OFFSET = 13;

/** undefined when the bytes do not begin with a whole IPv4 or IPv6 header. */
export function parseNetwork(packet: Buffer): NetworkHeaders | undefined {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4) return parseIpv4(packet);
  if (version === 6) return parseIpv6(packet);
  return undefined;
}

function parseIpv4(packet: Buffer): NetworkHeaders | undefined {
  const headerBytes = ((packet[0] ?? 0) & 0x0f) * 4;
  if (headerBytes < 20 || packet.length < headerBytes) return undefined;
  const fragmentOffset = packet.readUInt16BE(6) & 0x1fff;
  return {
    source: packet.subarray(12, 16).join('.'),
    destination: packet.subarray(16, 20).join('.'),
    ...parseTransport(packet.readUInt8(9), fragmentOffset === 0 ? packet.subarray(headerBytes) : undefined),
  };
}

function parseIpv6(packet: Buffer): NetworkHeaders | undefined {
  if (packet.length < 40) return undefined;
  return {
    source: ipv6Text(packet.subarray(8, 24)),
    destination: ipv6Text(packet.subarray(24, 40)),
    ...behindExtensions(packet.readUInt8(6), packet.subarray(40)),
  };
}

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;

/** Walks the extension headers (RFC 8200 section 4) to the transport header. */
function behindExtensions(next: number, rest: Buffer): ReturnType<typeof parseTransport> {
  if (next === FRAGMENT && rest.length >= 8) {
    const offset = rest.readUInt16BE(2) >> 3;
    const inner = rest.readUInt8(0);
    return offset === 0 ? behindExtensions(inner, rest.subarray(8)) : parseTransport(inner, undefined);
  }
  if (next === HOP_BY_HOP || next === ROUTING || next === DESTINATION_OPTIONS || next === AUTHENTICATION) {
    if (rest.length < 8) return parseTransport(next, undefined);
    const units = rest.readUInt8(1);
    // RFC 4302 section 2.2: the authentication header counts in 4-octet units, the others in 8.
    const bytes = next === AUTHENTICATION ? (units + 2) * 4 : (units + 1) * 8;
    return behindExtensions(rest.readUInt8(0), rest.subarray(bytes));
  }
  return parseTransport(next, rest);
}

function parseTransport(
  protocolNumber: number,
  header: Buffer | undefined,
): Pick<NetworkHeaders, 'protocol' | 'sourcePort' | 'destinationPort' | 'tcpFlags' | 'icmpType'> {
  const protocol = protocolNames[protocolNumber] ?? String(protocolNumber);
  if (header === undefined || header.length < 4) return { protocol };
  if (protocol === 'icmp' || protocol === 'icmpv6') return { protocol, icmpType: header.readUInt8(0) };
  if (protocol !== 'tcp' && protocol !== 'udp') return { protocol };
  const ports = { protocol, sourcePort: header.readUInt16BE(0), destinationPort: header.readUInt16BE(2) };
  const flags = protocol === 'tcp' ? header[TCP_FLAGS_OFFSET] : undefined;
  return flags === undefined ? ports : { ...ports, tcpFlags: flags };
}

/** RFC 5952 text: lower case, the longest run of at least two zero words as `::`. */
export function ipv6Text(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && words[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  const text = (part: number[]): string => part.map((word) => word.toString(16)).join(':');
  if (best.length < 2) return text(words);
  return `${text(words.slice(0, best.start))}::${text(words.slice(best.start + best.length))}`;
}
