# Connects from random addresses to servers in turn, and times each connect(2).
# Usage: connect.py PORT FIRST_ADDRESS BLOCK BLOCKS ROUNDS SEED STRANGER TARGET/ADDRESSES...
# Every address connects to its server once before anything is timed. Then, in each round, BLOCKS times: BLOCK connects to
# each server. One JSON line a round: of every server the quantiles in nanoseconds, how many failed, how many addresses.
import array, ipaddress, json, random, socket, struct, sys, time

port, first, block, blocks, rounds, seed, stranger, *servers = sys.argv[1:]
port, block, blocks, rounds = int(port), int(block), int(blocks), int(rounds)
base = int(ipaddress.ip_address(first))
chosen = random.Random(int(seed))
abort = struct.pack("ii", 1, 0)
targets = [(text.split("/")[0], int(text.split("/")[1])) for text in servers]


def text(index):
    return socket.inet_ntoa(struct.pack("!I", base + index))


def connect(target, source, patience=None):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
    s.settimeout(patience)
    try:
        s.bind((source, 0))
        begun = time.perf_counter_ns()
        s.connect((target, port))
        return time.perf_counter_ns() - begun
    except OSError:
        return None
    finally:
        s.close()


def quantile(values, share):
    return sorted(values)[int(len(values) * share)] if len(values) > 0 else None


# What the interpreter and an empty call cost: connect(2) of a datagram socket sends nothing.
empty = []
for _ in range(2000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((text(chosen.randrange(1000)), 0))
    begun = time.perf_counter_ns()
    s.connect((targets[0][0], port))
    empty.append(time.perf_counter_ns() - begun)
    s.close()

failed_warm = {}
for at, (target, addresses) in enumerate(targets):
    failed_warm[at] = sum(connect(target, text(index), 5) is None for index in range(addresses))
strangers = {at: connect(target, stranger, 0.3) is not None for at, (target, _) in enumerate(targets)}
print(json.dumps({"emptyNs": quantile(empty, 0.5), "failedWarmUp": failed_warm, "strangerIn": strangers}), flush=True)

for _ in range(rounds):
    times = [array.array("q") for _ in targets]
    failed = [0] * len(targets)
    sources = [set() for _ in targets]
    order = list(range(len(targets)))
    for _ in range(blocks):
        chosen.shuffle(order)
        for at in order:
            target, addresses = targets[at]
            for _ in range(block):
                index = chosen.randrange(addresses)
                sources[at].add(index)
                taken = connect(target, text(index), 5)
                if taken is None:
                    failed[at] += 1
                else:
                    times[at].append(taken)
    print(
        json.dumps(
            [
                {
                    "p10": quantile(times[at], 0.1),
                    "p50": quantile(times[at], 0.5),
                    "connects": len(times[at]),
                    "failed": failed[at],
                    "sources": len(sources[at]),
                    "span": max(sources[at]) - min(sources[at]),
                }
                for at in range(len(targets))
            ]
        ),
        flush=True,
    )
