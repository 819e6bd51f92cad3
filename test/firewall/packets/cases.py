"""What is tried: section, name, and the frames of it. `p` is a frames.Speaker, `v` the IP version."""
import struct

from frames import *

SECTIONS = {}


def both(section, name, make):
    for v in (4, 6):
        one(section, f"{name}, IPv{v}", lambda p, v=v: make(p, v))


def one(section, name, make):
    SECTIONS.setdefault(section, {})[name] = make


def many(found):
    return found if isinstance(found, list) else [found]


# Plain packets: what the other lines are compared with.
both("Plain", "UDP datagram", lambda p, v: p.frame(v, UDP, p.udp(v)))
both("Plain", "TCP SYN", lambda p, v: p.frame(v, TCP, p.tcp(v, "S")))
both("Plain", "echo request", lambda p, v: p.frame(v, ICMP if v == 4 else ICMPV6, p.echo(v)))

# TCP that no stack sends to open a connection.
for flags, name in {"A": "ACK alone", "SA": "SYN and ACK", "R": "RST", "F": "FIN", "": "no flag", "FPU": "FIN, PSH, URG",
                    "SF": "SYN and FIN", "SR": "SYN and RST", "FSRPAU": "all flags"}.items():
    both("TCP flags", name, lambda p, v, flags=flags: p.frame(v, TCP, p.tcp(v, flags)))
one("TCP flags", "SYN with data", lambda p: p.frame4(TCP, p.tcp(4, "S", data=b"early")))
one("TCP flags", "data offset 4", lambda p: p.frame4(TCP, p.tcp(4, "S", doff=4)))
one("TCP flags", "data offset beyond the end", lambda p: p.frame4(TCP, p.tcp(4, "S", doff=15)))
one("TCP flags", "header of 10 bytes", lambda p: p.frame4(TCP, p.tcp(4, "S")[:10]))

# Ports and sums.
both("Ports and checksums", "UDP from port 0", lambda p, v: p.frame(v, UDP, p.udp(v, sport=0)))
both("Ports and checksums", "UDP to port 0", lambda p, v: p.frame(v, UDP, p.udp(v, dport=0)))
both("Ports and checksums", "TCP SYN from port 0", lambda p, v: p.frame(v, TCP, p.tcp(v, "S", sport=0)))
both("Ports and checksums", "TCP SYN to port 0", lambda p, v: p.frame(v, TCP, p.tcp(v, "S", dport=0)))
both("Ports and checksums", "UDP, wrong checksum", lambda p, v: p.frame(v, UDP, p.udp(v)[:6] + b"\x12\x34knock"))
both("Ports and checksums", "UDP, checksum 0", lambda p, v: p.frame(v, UDP, p.udp(v)[:6] + b"\0\0knock"))
both("Ports and checksums", "TCP SYN, wrong checksum", lambda p, v: p.frame(v, TCP, p.tcp(v, "S")[:16] + b"\x12\x34\0\0"))
one("Ports and checksums", "UDP, length beyond the end", lambda p: p.frame4(UDP, p.udp(4)[:4] + struct.pack("!H", 400) + p.udp(4)[6:]))
one("Ports and checksums", "UDP, length 4", lambda p: p.frame4(UDP, p.udp(4)[:4] + struct.pack("!H", 4) + p.udp(4)[6:]))
one("Ports and checksums", "IPv4 header, wrong checksum", lambda p: p.frame4(UDP, p.udp(4), sum=0x1234))
one("Ports and checksums", "IPv4 header of 16 bytes", lambda p: p.frame4(UDP, p.udp(4), ihl=4))
one("Ports and checksums", "IPv4 longer than the frame", lambda p: p.frame4(UDP, p.udp(4), length=900))
one("Ports and checksums", "IPv6 longer than the frame", lambda p: p.frame6(UDP, p.udp(6), length=900))
one("Ports and checksums", "IPv6 in an IPv4 frame", lambda p: p.ether(p.ip6(UDP, p.udp(6)), IPV4))
one("Ports and checksums", "IPv4 in an IPv6 frame", lambda p: p.ether(p.ip4(UDP, p.udp(4)), IPV6))
one("Ports and checksums", "TTL 0", lambda p: p.frame4(UDP, p.udp(4), ttl=0))


# Fragments. A datagram of 8 + 40 bytes in pieces of 8 n.
def pieces(p, v, cuts, whole=None):
    whole = p.udp(v, data=b"fragmented knocks, longer than a header.") if whole is None else whole
    cuts = [0, *cuts, len(whole)]
    return [part(p, v, whole[a:b], a, b < len(whole)) for a, b in zip(cuts, cuts[1:])]


def part(p, v, data, offset, more, protocol=UDP):
    if v == 4:
        return p.frame4(protocol, data, flags=1 if more else 0, offset=offset)
    return p.frame6(FRAGMENT, fragment6(protocol, offset, more, p.id) + data)


def tcp_pieces(p, v, cut):
    whole = p.tcp(v, "S", data=b"12345678")
    return [part(p, v, whole[:cut], 0, True, TCP), part(p, v, whole[cut:], cut, False, TCP)]


def rewriting(p, v):
    """First to the port asked for, then a second piece over the same bytes that names the closed port."""
    good, bad = p.udp(v, data=b"x" * 24), p.udp(v, dport=p.closed_port, data=b"x" * 24)
    return [part(p, v, good[:16], 0, True), part(p, v, bad[:16], 0, True), part(p, v, good[16:], 16, False)]


both("Fragments", "in two", lambda p, v: pieces(p, v, [16]))
both("Fragments", "in two, the last first", lambda p, v: pieces(p, v, [16])[::-1])
both("Fragments", "in six", lambda p, v: pieces(p, v, [8, 16, 24, 32, 40]))
both("Fragments", "first fragment of 8 bytes of TCP (RFC 1858)", lambda p, v: tcp_pieces(p, v, 8))
both("Fragments", "second fragment at 8 over the flags (RFC 3128)", lambda p, v: [
    *tcp_pieces(p, v, 24)[:1], part(p, v, p.tcp(v, "SF", data=b"12345678")[8:], 8, False, TCP)])
both("Fragments", "overlap that renames the port", rewriting)
both("Fragments", "overlap that renames the port, the closed one first", lambda p, v: [
    rewriting(p, v)[i] for i in (1, 0, 2)])
both("Fragments", "the rest first, then two first fragments", lambda p, v: [rewriting(p, v)[i] for i in (2, 1, 0)])
both("Fragments", "overlap within the data", lambda p, v: [
    *pieces(p, v, [24])[:1], part(p, v, b"y" * 32, 16, False)])
both("Fragments", "later fragments alone", lambda p, v: pieces(p, v, [16, 32])[1:])
both("Fragments", "first fragment alone", lambda p, v: pieces(p, v, [16])[:1])
both("Fragments", "end beyond 65,535 bytes", lambda p, v: [*pieces(p, v, [16])[:1], part(p, v, b"z" * 64, 65528, False)])
one("Fragments", "atomic (RFC 6946), IPv6", lambda p: part(p, 6, p.udp(6), 0, False))
one("Fragments", "atomic within atomic, IPv6", lambda p: p.frame6(FRAGMENT, fragment6(FRAGMENT, 0, 0, p.id) + fragment6(
    UDP, 0, 0, p.id + 1) + p.udp(6)))
one("Fragments", "first fragment without the upper header (RFC 7112), IPv6", lambda p: [
    p.frame6(FRAGMENT, fragment6(DSTOPTS, 0, 1, p.id) + extension(UDP)),
    p.frame6(FRAGMENT, fragment6(DSTOPTS, 8, 0, p.id) + p.udp(6, data=b""))])
one("Fragments", "upper protocol differs by fragment, IPv6", lambda p: [
    p.frame6(FRAGMENT, fragment6(UDP, 0, 1, p.id) + p.udp(6, data=b"x" * 16)[:16]),
    p.frame6(FRAGMENT, fragment6(TCP, 16, 0, p.id) + p.udp(6, data=b"x" * 16)[16:])])


# Extension headers: a filter that looks at the first next-header field misses what is behind.
def behind(p, kinds, protocol=UDP, payload=None, **fields):
    first, headers = chain(kinds, protocol)
    return p.frame6(first, headers + (p.udp(6) if payload is None else payload), **fields)


for kinds, name in {(HOPOPTS,): "hop-by-hop options", (DSTOPTS,): "destination options", (DSTOPTS, DSTOPTS): "two destination options",
                    (DSTOPTS,) * 12: "twelve destination options", (DSTOPTS,) * 100: "a hundred destination options",
                    (HOPOPTS, DSTOPTS): "hop-by-hop, destination options", (DSTOPTS, HOPOPTS): "hop-by-hop in the second place"}.items():
    one("Extension headers", f"UDP behind {name}", lambda p, kinds=kinds: behind(p, kinds))
one("Extension headers", "TCP SYN behind destination options", lambda p: behind(p, (DSTOPTS,), TCP, p.tcp(6, "S")))
one("Extension headers", "echo request behind destination options", lambda p: behind(p, (DSTOPTS,), ICMPV6, p.echo(6)))
one("Extension headers", "UDP behind a fragment behind destination options", lambda p: p.frame6(
    DSTOPTS, extension(FRAGMENT) + fragment6(UDP, 0, 0, p.id) + p.udp(6)))
one("Extension headers", "UDP behind jumbo payload", lambda p: p.frame6(
    HOPOPTS, extension(UDP, b"\xc2\x04" + struct.pack("!I", 13 + 8)) + p.udp(6), length=0))
one("Extension headers", "UDP behind router alert", lambda p: p.frame6(HOPOPTS, extension(UDP, b"\x05\x02\0\0\x01\0") + p.udp(6)))
one("Extension headers", "UDP behind an unknown option", lambda p: p.frame6(DSTOPTS, extension(UDP, b"\x9e\x04\0\0\0\0") + p.udp(6)))
for kind, left, name in ((0, 0, "type 0, none left"), (0, 1, "type 0, one left (RFC 5095)"), (2, 1, "type 2"), (3, 1, "type 3"), (4, 1, "type 4"), (200, 0, "type 200, none left")):
    one("Extension headers", f"UDP behind routing {name}", lambda p, kind=kind, left=left: p.frame6(
        ROUTING, routing(UDP, kind, left, [p.other6]) + p.udp(6)))
one("Extension headers", "no next header", lambda p: p.frame6(NONE, p.udp(6)))
one("Extension headers", "no next header behind destination options", lambda p: behind(p, (DSTOPTS,), NONE))
for number, name in {135: "mobility", 139: "HIP", 140: "shim6", 253: "experimental"}.items():
    one("Extension headers", f"UDP behind {name} ({number})", lambda p, number=number: p.frame6(number, extension(UDP) + p.udp(6)))
one("Extension headers", "UDP behind AH", lambda p: p.frame6(AH, struct.pack("!BBHII", UDP, 4, 0, 7, 1) + b"\0" * 12 + p.udp(6)))
one("Extension headers", "cut within the destination options", lambda p: p.frame6(DSTOPTS, extension(UDP)[:4]))

# ICMP errors: they belong to a flow, or to nothing.
ERRORS4 = {(3, 3): "port unreachable", (3, 4): "fragmentation needed", (11, 0): "time exceeded", (12, 0): "parameter problem",
           (4, 0): "source quench", (5, 1): "redirect"}
ERRORS6 = {(1, 4): "port unreachable", (2, 0): "packet too big", (3, 0): "time exceeded", (4, 0): "parameter problem"}


def error(p, v, kind, code, sport):
    rest = struct.pack("!I", 1280) if (v, kind) in ((4, 3), (6, 2)) else address(p.source4) if (v, kind) == (4, 5) else b"\0" * 4
    return p.frame(v, ICMP if v == 4 else ICMPV6, p.icmp(v, kind, code, rest, p.quote(v, sport)))


for v, errors in ((4, ERRORS4), (6, ERRORS6)):
    for (kind, code), name in errors.items():
        one("ICMP errors", f"{name} about a flow that is open, IPv{v}", lambda p, v=v, kind=kind, code=code: error(p, v, kind, code, p.flow))
        one("ICMP errors", f"{name} about no flow, IPv{v}", lambda p, v=v, kind=kind, code=code: error(p, v, kind, code, p.sport))

# ICMP that asks, answers or announces.
for kind, name in {0: "echo reply unasked", 9: "router advertisement", 10: "router solicitation", 13: "timestamp request", 17: "address mask request", 15: "information request", 40: "Photuris"}.items():
    one("ICMP messages", f"{name}, IPv4", lambda p, kind=kind: p.frame4(ICMP, p.echo(4, kind) if kind else p.icmp(4, 0, rest=struct.pack("!HH", p.sport, 1))))
one("ICMP messages", "echo request to the broadcast address, IPv4", lambda p: p.frame4(ICMP, p.echo(4), target=p.broadcast4))


def neighbour(p, kind, hops, target=None, source=None):
    about = p.source6 if kind == 136 else p.target6
    option = bytes([2 if kind == 136 else 1, 1]) + mac(p.source_mac)
    rest = b"\x60\0\0\0" if kind == 136 else b"\0" * 4
    ends = {"target": target, "source": source}
    return p.frame6(ICMPV6, p.icmp(6, kind, 0, rest, address(about) + option, **ends), hops=hops, **ends)


def advertised(p, hops, source):
    prefix = b"\x03\x04\x40\xc0" + struct.pack("!III", 1800, 1800, 0) + address("fd66::")
    ends = {"source": source, "target": "ff02::1"}
    return p.frame6(ICMPV6, p.icmp(6, 134, 0, b"\x40\0\x07\x08", b"\0" * 8 + prefix, **ends), hops=hops, **ends)


for kind, name in {135: "neighbour solicitation", 136: "neighbour advertisement"}.items():
    for hops in (255, 254):
        one("ICMP messages", f"{name}, hop limit {hops}", lambda p, kind=kind, hops=hops: neighbour(p, kind, hops))
one("ICMP messages", "neighbour solicitation behind destination options", lambda p: (lambda inner: p.frame6(
    DSTOPTS, extension(ICMPV6) + inner[54:], hops=255))(neighbour(p, 135, 255)))
one("ICMP messages", "neighbour advertisement in fragments (RFC 6980)", lambda p: (lambda m: [
    p.frame6(FRAGMENT, fragment6(ICMPV6, 0, 1, p.id) + m[:16], hops=255), p.frame6(FRAGMENT, fragment6(ICMPV6, 16, 0, p.id) + m[16:], hops=255)])(
    neighbour(p, 136, 255)[54:]))
one("ICMP messages", "router solicitation, IPv6", lambda p: p.frame6(ICMPV6, p.icmp(6, 133), hops=255))
one("ICMP messages", "router advertisement with a prefix, IPv6", lambda p: advertised(p, 255, p.linklocal6))
one("ICMP messages", "router advertisement, hop limit 254, IPv6", lambda p: advertised(p, 254, p.linklocal6))
one("ICMP messages", "redirect, IPv6", lambda p: p.frame6(
    ICMPV6, p.icmp(6, 137, 0, data=address(p.source6) + address(p.flow_peer6), source=p.linklocal6), hops=255, source=p.linklocal6))
for hops in (1, 64):
    one("ICMP messages", f"multicast listener query, hop limit {hops}", lambda p, hops=hops: p.frame6(
        ICMPV6, p.icmp(6, 130, 0, b"\x03\xe8\0\0", b"\0" * 16, source=p.linklocal6, target="ff02::1"), hops=hops, source=p.linklocal6, target="ff02::1"))
one("ICMP messages", "echo reply unasked, IPv6", lambda p: p.frame6(ICMPV6, p.echo(6, 129)))
one("ICMP messages", "node information query (RFC 4620)", lambda p: p.frame6(ICMPV6, p.icmp(6, 139, 0, b"\0\x02\0\0", b"\0" * 8 + address(p.target6))))
one("ICMP messages", "type 200, IPv6", lambda p: p.frame6(ICMPV6, p.icmp(6, 200)))
one("ICMP messages", "ICMPv6 in IPv4", lambda p: p.frame4(ICMPV6, p.echo(6)))
one("ICMP messages", "ICMPv4 in IPv6", lambda p: p.frame6(ICMP, p.echo(4)))

# Other transports. Where they have ports, the ports are the asked ones.
PORTS = lambda p: struct.pack("!HH", p.sport, p.port)



def crc32c(data):
    """RFC 9260 appendix A."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp(p, tag, chunk):
    head = PORTS(p) + struct.pack("!I", tag)
    return head + struct.pack("<I", crc32c(head + b"\0" * 4 + chunk)) + chunk


OTHERS = {
    "SCTP INIT": (SCTP, lambda p, v: sctp(p, 0, struct.pack("!BBHIIHHI", 1, 0, 20, 9, 65536, 1, 1, 1))),
    "SCTP DATA without an association": (SCTP, lambda p, v: sctp(p, 9, struct.pack("!BBHIHHI", 0, 3, 20, 1, 0, 0, 0) + b"data")),
    "UDP-Lite": (UDPLITE, lambda p, v: p.summed(v, UDPLITE, PORTS(p) + struct.pack("!HH", 0, 0) + b"knock", 6)),
    "UDP-Lite, summed as UDP": (UDPLITE, lambda p, v: p.summed(v, UDP, PORTS(p) + struct.pack("!HH", 0, 0) + b"knock", 6)),
    "DCCP request": (DCCP, lambda p, v: PORTS(p) + struct.pack("!BBHBBHII", 5, 0, 0, 1, 0, 0, 1, 0)),
    "GRE with UDP in IPv4": (GRE, lambda p, v: struct.pack("!HH", 0, IPV4) + p.ip4(UDP, p.udp(4))),
    "ESP": (ESP, lambda p, v: struct.pack("!II", 7, 1) + b"\0" * 32),
    "IPv4 in it": (IPIP, lambda p, v: p.ip4(UDP, p.udp(4))),
    "IPv6 in it": (IN6, lambda p, v: p.ip6(UDP, p.udp(6))),
    "VRRP": (112, lambda p, v: b"\x21\x01\xff\x01\0\x01\0\0" + b"\0" * 12),
    "OSPF hello": (89, lambda p, v: b"\x02\x01\0\x18" + b"\0" * 20),
    "protocol 255": (255, lambda p, v: p.udp(v)),
}
for name, (protocol, make) in OTHERS.items():
    both("Other protocols", name, lambda p, v, protocol=protocol, make=make: p.frame(v, protocol, make(p, v)))
one("Other protocols", "UDP behind AH, IPv4", lambda p: p.frame4(AH, struct.pack("!BBHII", UDP, 4, 0, 7, 1) + b"\0" * 12 + p.udp(4)))
one("Other protocols", "protocol 0, IPv4", lambda p: p.frame4(0, p.udp(4)))
one("Other protocols", "IGMP query", lambda p: p.frame4(IGMP, (lambda m: m[:2] + struct.pack("!H", checksum(m)) + m[4:])(b"\x11\x64\0\0\0\0\0\0"), target="224.0.0.1", ttl=1, options=b"\x94\x04\0\0"))
one("Other protocols", "IGMP report to the host", lambda p: p.frame4(IGMP, b"\x16\0\x09\xfa\xe0\0\0\x05"))

# Who it says it is from. The MAC stays the sender's.
SOURCES4 = {"the target's own address": "target4", "another peer's address": "peer4", "127.0.0.1": "127.0.0.1", "0.0.0.0": "0.0.0.0", "a multicast address": "224.0.0.1",
            "255.255.255.255": "255.255.255.255", "the network's broadcast address": "broadcast4", "an address nobody has": "10.20.0.99", "a private network elsewhere": "192.168.77.1", "240.0.0.1": "240.0.0.1"}
SOURCES6 = {"the target's own address": "target6", "another peer's address": "peer6", "::1": "::1", "::": "::", "a multicast address": "ff02::1",
            "its IPv4 address, mapped": "::ffff:10.20.0.3", "its IPv4 address, compatible": "::10.20.0.3", "its IPv4 address in 6to4": "2002:a14:3::1",
            "its IPv4 address in NAT64": "64:ff9b::a14:3", "a link-local address": "fe80::66", "an address nobody has": "fd20::99"}
for v, sources in ((4, SOURCES4), (6, SOURCES6)):
    for name, value in sources.items():
        one("Sources", f"UDP from {name}, IPv{v}", lambda p, v=v, value=value: (lambda source: p.frame(
            v, UDP, p.udp(v, source=source), source=source))(getattr(p, value, value)))

# Where it says it goes. The MAC is the host's unless said.
TARGETS4 = {"255.255.255.255": "255.255.255.255", "the network's broadcast address": "broadcast4", "224.0.0.1": "224.0.0.1", "127.0.0.1": "127.0.0.1",
            "0.0.0.0": "0.0.0.0", "the host's address on another network": "other4"}
TARGETS6 = {"ff02::1": "ff02::1", "::1": "::1", "its IPv4 address, mapped": "::ffff:10.20.0.2", "the host's address on another network": "other6"}
for v, targets in ((4, TARGETS4), (6, TARGETS6)):
    for name, value in targets.items():
        one("Targets", f"UDP to {name}, IPv{v}", lambda p, v=v, value=value: (lambda target: p.frame(
            v, UDP, p.udp(v, target=target), target=target))(getattr(p, value, value)))

# IPv4 options.
via = lambda p, kind: bytes([kind, 7, 4]) + address(p.other4) + b"\0"
for name, options in {"loose source route": lambda p: via(p, 131), "strict source route": lambda p: via(p, 137), "record route": lambda p: bytes([7, 7, 4]) + b"\0" * 5,
                      "timestamp": lambda p: bytes([68, 8, 5, 0]) + b"\0" * 4, "router alert": lambda p: b"\x94\x04\0\0", "security": lambda p: bytes([130, 11]) + b"\0" * 10,
                      "option longer than the header": lambda p: bytes([7, 40, 4, 0])}.items():
    one("IPv4 options", f"UDP with {name}", lambda p, options=options: p.frame4(UDP, p.udp(4), options=options(p)))

# On the wire: what is not an IP packet in an Ethernet frame for this host.
one("Link layer", "UDP in a broadcast frame", lambda p: p.ether(p.ip4(UDP, p.udp(4)), IPV4, target="ff:ff:ff:ff:ff:ff"))
one("Link layer", "UDP in a frame for another host", lambda p: p.ether(p.ip4(UDP, p.udp(4)), IPV4, target="02:00:00:00:00:77"))
one("Link layer", "UDP, source MAC of another peer", lambda p: p.ether(p.ip4(UDP, p.udp(4)), IPV4, source=p.peer_mac))
one("Link layer", "UDP, priority tag (VLAN 0)", lambda p: p.ether(struct.pack("!HH", 0xE000, IPV4) + p.ip4(UDP, p.udp(4)), VLAN))
one("Link layer", "UDP in VLAN 5", lambda p: p.ether(struct.pack("!HH", 5, IPV4) + p.ip4(UDP, p.udp(4)), VLAN))
one("Link layer", "UDP in two VLAN tags, both 0", lambda p: p.ether(struct.pack("!HHHH", 0, VLAN, 0, IPV4) + p.ip4(UDP, p.udp(4)), QINQ))
one("Link layer", "UDP in LLC/SNAP", lambda p: (lambda ip: p.ether(b"\xaa\xaa\x03\0\0\0\x08\0" + ip, 8 + len(ip)))(p.ip4(UDP, p.udp(4))))
one("Link layer", "UDP in MPLS", lambda p: p.ether(struct.pack("!I", 16 << 12 | 1 << 8 | 64) + p.ip4(UDP, p.udp(4)), 0x8847))
one("Link layer", "UDP in a PPPoE session", lambda p: (lambda ip: p.ether(struct.pack("!BBHHH", 0x11, 0, 1, len(ip) + 2, 0x21) + ip, 0x8864))(p.ip4(UDP, p.udp(4))))
one("Link layer", "LLDP", lambda p: p.ether(b"\x02\x07\x04" + mac(p.source_mac) + b"\0\0", 0x88CC))
one("Link layer", "ARP request, which is not filtered", lambda p: p.ether(
    struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + mac(p.source_mac) + address(p.source4) + b"\0" * 6 + address(p.target4), ARP))
