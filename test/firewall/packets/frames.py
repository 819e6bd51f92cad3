"""Frames by hand, with every field free to be wrong. Numbers are in host order, addresses and MACs are text."""
import socket
import struct

ICMP, IGMP, IPIP, TCP, UDP, DCCP, IN6, ROUTING, FRAGMENT, GRE, ESP, AH, ICMPV6, NONE, DSTOPTS = (
    1, 2, 4, 6, 17, 33, 41, 43, 44, 47, 50, 51, 58, 59, 60)
HOPOPTS, SCTP, UDPLITE = 0, 132, 136
IPV4, IPV6, ARP, VLAN, QINQ = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Speaker:
    """One sender and its target: MACs, addresses of both families, ports. Fills in what a packet does not say."""

    def __init__(self, **known):
        self.__dict__.update(known)

    def ends(self, v, source=None, target=None):
        return source or getattr(self, f"source{v}"), target or getattr(self, f"target{v}")

    def ether(self, payload, kind, source=None, target=None):
        return mac(target or self.target_mac) + mac(source or self.source_mac) + struct.pack("!H", kind) + payload

    def ip4(self, protocol, payload, source=None, target=None, ttl=64, flags=0, offset=0, options=b"", **wrong):
        """`offset` in bytes; `wrong` overrides version, ihl, length or sum."""
        source, target = self.ends(4, source, target)
        ihl = wrong.get("ihl", 5 + len(options) // 4)
        length = wrong.get("length", 20 + len(options) + len(payload))
        head = struct.pack("!BBHHHBBH4s4s", wrong.get("version", 4) << 4 | ihl, 0, length, self.id,
                           flags << 13 | offset // 8, ttl, protocol, 0, address(source), address(target)) + options
        return head[:10] + struct.pack("!H", wrong.get("sum", checksum(head))) + head[12:] + payload

    def ip6(self, following, payload, source=None, target=None, hops=64, **wrong):
        source, target = self.ends(6, source, target)
        length = wrong.get("length", len(payload))
        return struct.pack("!IHBB16s16s", wrong.get("version", 6) << 28, length, following, hops,
                           address(source), address(target)) + payload

    def frame4(self, protocol, payload, **fields):
        return self.ether(self.ip4(protocol, payload, **fields), IPV4)

    def frame6(self, following, payload, **fields):
        return self.ether(self.ip6(following, payload, **fields), IPV6)

    def frame(self, v, protocol, payload, **fields):
        return (self.frame4 if v == 4 else self.frame6)(protocol, payload, **fields)

    def summed(self, v, protocol, segment, at, source=None, target=None):
        """The segment with its checksum over the pseudo-header (RFC 768, 9293, 4443) at byte `at`."""
        source, target = self.ends(v, source, target)
        tail = struct.pack("!BBH", 0, protocol, len(segment)) if v == 4 else struct.pack("!IHBB", len(segment), 0, 0, protocol)
        value = checksum(address(source) + address(target) + tail + segment)
        return segment[:at] + struct.pack("!H", value or 0xFFFF) + segment[at + 2:]

    def udp(self, v, sport=None, dport=None, data=b"knock", **fields):
        sport, dport = self.sport if sport is None else sport, self.port if dport is None else dport
        return self.summed(v, UDP, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data, 6, **fields)

    def tcp(self, v, flags, sport=None, dport=None, data=b"", doff=5, **fields):
        """Flags as letters: F S R P A U."""
        bits = sum(1 << "FSRPAU".index(flag) for flag in flags)
        sport, dport = self.sport if sport is None else sport, self.port if dport is None else dport
        head = struct.pack("!HHIIBBHHH", sport, dport, 1000, 2000 if "A" in flags else 0, doff << 4, bits, 64240, 0, 0)
        return self.summed(v, TCP, head + data, 16, **fields)

    def icmp(self, v, kind, code=0, rest=b"\0\0\0\0", data=b"", **fields):
        message = struct.pack("!BBH", kind, code, 0) + rest + data
        if v == 6:
            return self.summed(6, ICMPV6, message, 2, **fields)
        return message[:2] + struct.pack("!H", checksum(message)) + message[4:]

    def echo(self, v, kind=None, **fields):
        return self.icmp(v, kind or (8 if v == 4 else 128), rest=struct.pack("!HH", self.sport, 1), data=b"knock", **fields)

    def quote(self, v, sport):
        """The start of a datagram that the target is said to have sent to the peer of its open flow, for an ICMP error."""
        mine, peer = getattr(self, f"target{v}"), getattr(self, f"flow_peer{v}")
        inner = self.udp(v, sport=self.flow_port, dport=sport, source=mine, target=peer)
        return (self.ip4 if v == 4 else self.ip6)(UDP, inner, source=mine, target=peer)


def extension(following, data=b"\x01\x04\0\0\0\0"):
    """Hop-by-hop or destination options; `data` fills 8 n - 2 bytes, by default a PadN option (RFC 8200 section 4.2)."""
    return struct.pack("!BB", following, (len(data) + 2) // 8 - 1) + data


def routing(following, kind, left, hops=()):
    """RFC 8200 section 4.4; type 0 is deprecated by RFC 5095."""
    data = b"\0\0\0\0" + b"".join(address(hop) for hop in hops)
    return struct.pack("!BBBB", following, (len(data) + 4) // 8 - 1, kind, left) + data


def fragment6(following, offset, more, ident):
    return struct.pack("!BBHI", following, 0, offset | more, ident)


def chain(kinds, last):
    """Extension headers of these kinds, each naming the next, and the number that the first one is announced by."""
    out = b""
    for following in reversed(kinds):
        out = extension(last) + out
        last = following
    return last, out
