# Connects from random addresses of a list, one after the other, and prints the nanoseconds of each connect(2).
# Usage: connect.py TARGET PORT COUNT SEED FIRST_ADDRESS ADDRESSES
import ipaddress, random, socket, struct, sys, time

target, port, count, seed, first, addresses = sys.argv[1], *sys.argv[2:]
port, count, addresses = int(port), int(count), int(addresses)
base = int(ipaddress.ip_address(first))
chosen = random.Random(int(seed))
abort = struct.pack("ii", 1, 0)
times = []
failed = 0
for _ in range(count):
    source = str(ipaddress.ip_address(base + chosen.randrange(addresses)))
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
    s.settimeout(None)
    s.bind((source, 0))
    begun = time.perf_counter_ns()
    try:
        s.connect((target, port))
        times.append(time.perf_counter_ns() - begun)
    except OSError:
        failed += 1
    s.close()
print(*times)
print(failed, file=sys.stderr)
