"""A Modbus/TCP master that knows nothing of Edgeward (pymodbus): polls holding registers and writes one JSON line a poll.

Each line: {"at": unix ms at the request, "ok": bool, "ms": round trip, "value": register 0, "error": text}.
It keeps one connection and dials again after a loss, as real masters do.
Usage: poller.py ADDRESS PORT INTERVAL_MS
"""
import json
import logging
import sys
import time

from pymodbus.client import ModbusTcpClient

logging.disable(logging.CRITICAL)
address, port, interval = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000
client = ModbusTcpClient(address, port=port, timeout=1, retries=0, close_comm_on_error=True)
due = time.monotonic()
while True:
    line = {"at": int(time.time() * 1000)}
    started = time.monotonic()
    try:
        if not client.is_socket_open() and not client.connect():
            raise ConnectionError("cannot connect")
        answer = client.read_holding_registers(0, 2, slave=1)
        if answer.isError():
            raise ConnectionError(str(answer))
        line["ok"], line["value"] = True, answer.registers[0]
    except Exception as error:  # any fault is a missed poll
        line["ok"], line["error"] = False, str(error)[:200]
        client.close()
    line["ms"] = round((time.monotonic() - started) * 1000, 3)
    print(json.dumps(line), flush=True)
    # A fixed schedule: a late poll makes the next ones come sooner, none is left out.
    due += interval
    time.sleep(max(0.0, due - time.monotonic()))
