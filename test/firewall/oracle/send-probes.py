# Sends one first packet for each line `udp|tcp source sport destination dport` on standard input, then says "sent".
import socket, sys, time

for line in sys.stdin:
    protocol, source, sport, destination, dport = line.split()
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as probe:
        probe.setblocking(False)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((source, int(sport)))
        if protocol == "udp":
            probe.sendto(b"probe", (destination, int(dport)))
        else:
            probe.connect_ex((destination, int(dport)))
    time.sleep(0.0002)
print("sent")
