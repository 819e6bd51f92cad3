"""Sends the cases out of eth0 below this host's own stack (packet(7)). Reads a JSON object a line, answers the same way:
{"id", "list": true} -> {"id", "result": {section: [name]}}; {"id", "section", "name", "speaker"} -> {"id", "result": frames sent};
{"id", "fence": speaker} sends one packet that no case sends, of protocol 254;
{"id", "flood": seconds, "speaker", "names": [[section, name]]} sends these again and again."""
import json
import os
import socket
import sys
import time

from cases import SECTIONS, many
from frames import Speaker

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((sys.argv[1] if len(sys.argv) > 1 else "eth0", 0))
# Frames of one processor stay in order on their way through veth and bridge.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def frames(section, name, speaker):
    return many(SECTIONS[section][name](Speaker(**speaker)))


def send(batch):
    for frame in batch:
        wire.send(frame.ljust(60, b"\0"))
    return len(batch)


def answer(request):
    if "list" in request:
        return {section: list(names) for section, names in SECTIONS.items()}
    if "fence" in request:
        p = Speaker(**request["fence"])
        return send([p.frame4(254, b"fence", target=p.host4)])
    if "flood" in request:
        batch = [frame for section, name in request["names"] for frame in frames(section, name, request["speaker"])]
        sent, end = 0, time.monotonic() + request["flood"]
        while time.monotonic() < end:
            sent += send(batch)
        return sent
    return send(frames(request["section"], request["name"], request["speaker"]))


for line in sys.stdin:
    asked = json.loads(line)
    try:
        print(json.dumps({"id": asked["id"], "result": answer(asked)}), flush=True)
    except Exception as error:
        print(json.dumps({"id": asked["id"], "error": repr(error)}), flush=True)
