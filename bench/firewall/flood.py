# Datagrams at a steady rate from many addresses, until the time is over or standard input ends.
# Usage: flood.py TARGET PORT FIRST_ADDRESS ADDRESSES PER_SECOND SECONDS SOCKETS SEED
# Each millisecond one socket is replaced by one with another random address, so that new flows begin all the time.
# Prints what was handed to the network, as JSON.
import ipaddress, json, random, select, socket, struct, sys, time

target, port, first, addresses, per_second, seconds, sockets, seed = sys.argv[1:]
port, addresses, per_second, seconds, sockets = int(port), int(addresses), float(per_second), float(seconds), int(sockets)
base = int(ipaddress.ip_address(first))
chosen = random.Random(int(seed))


def fresh():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((socket.inet_ntoa(struct.pack("!I", base + chosen.randrange(addresses))), 0))
    s.connect((target, port))
    s.setblocking(True)
    return s


open_sockets = [fresh() for _ in range(sockets)]
print("ready", flush=True)
sys.stdin.readline()
sent = refused = turn = 0
begun = now = time.perf_counter()
replaced = 0
while now - begun < seconds:
    due = int((now - begun) * per_second) - sent - refused
    for _ in range(min(due, 200)):
        turn += 1
        try:
            open_sockets[turn % sockets].send(b"bench")
            sent += 1
        except OSError:
            refused += 1
    if now - begun > replaced * 0.001 and per_second < 1_000_000:
        replaced += 1
        at = chosen.randrange(sockets)
        open_sockets[at].close()
        open_sockets[at] = fresh()
    if due < 200:
        time.sleep(0.0003)
        if select.select([sys.stdin], [], [], 0)[0]:
            break
    now = time.perf_counter()
print(json.dumps({"sent": sent, "refused": refused, "seconds": time.perf_counter() - begun}), flush=True)
