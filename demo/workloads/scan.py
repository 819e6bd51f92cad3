"""A TCP connect scan (plain sockets): the attacker's. Prints one JSON document {"open": [...], "tried": n}.

Usage: scan.py ADDRESS FIRST_PORT LAST_PORT TIMEOUT_MS
"""
import json
import selectors
import socket
import sys
import time

address, first, last, timeout = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]) / 1000
selector = selectors.DefaultSelector()
waiting, found = {}, []
for port in range(first, last + 1):
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    probe.setblocking(False)
    probe.connect_ex((address, port))
    waiting[probe] = port
    selector.register(probe, selectors.EVENT_WRITE)
end = time.monotonic() + timeout
while waiting and time.monotonic() < end:
    for key, _ in selector.select(max(0.0, end - time.monotonic())):
        probe = key.fileobj
        selector.unregister(probe)
        if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            found.append(waiting[probe])
        del waiting[probe]
        probe.close()
print(json.dumps({"open": sorted(found), "tried": last - first + 1}))
