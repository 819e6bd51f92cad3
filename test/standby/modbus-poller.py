# A Modbus/TCP master by pymodbus, as a panel or a historian is one: reads a register again and again on one connection, dials
# again when that ends, and says what became of each request: "ok", "exception N" or "lost".
#   modbus-poller.py ADDRESS PORT REGISTER MILLISECONDS
import logging
import sys
import time
import types

for name in ("serial", "serial_asyncio"):
    try:
        __import__(name)
    except ImportError:
        stub = types.ModuleType(name)
        stub.create_serial_connection = None
        sys.modules[name] = stub

from pymodbus.client import ModbusTcpClient

logging.disable(logging.CRITICAL)
address, port, register, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1000
client = ModbusTcpClient(address, port=port, timeout=1, retries=0, retry_on_empty=False)
print("polls", flush=True)
while True:
    try:
        if not client.is_socket_open():
            client.connect()
        answer = client.read_holding_registers(register, 1, slave=1)
        if not answer.isError():
            print("ok", flush=True)
        elif hasattr(answer, "exception_code"):
            print("exception", answer.exception_code, flush=True)
        else:
            print("lost", flush=True)
            client.close()
    except Exception:
        print("lost", flush=True)
        client.close()
    time.sleep(pause)
