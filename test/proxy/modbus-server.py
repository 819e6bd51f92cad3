# A Modbus/TCP server by pymodbus on the address given, every register and coil 7 or off; prints "ready" when it listens.
# Ends with its owner: when standard input does.
# Debian's pymodbus wants pyserial when it is imported, for serial lines that are not used here.
import asyncio
import os
import sys
import threading
import types

for name in ("serial", "serial_asyncio"):
    try:
        __import__(name)
    except ImportError:
        stub = types.ModuleType(name)
        stub.create_serial_connection = None
        sys.modules[name] = stub

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server.async_io import ModbusTcpServer


def end_with_owner():
    sys.stdin.read()
    os._exit(0)


async def main():
    block = lambda value: ModbusSequentialDataBlock(0, [value] * 1000)
    store = ModbusSlaveContext(di=block(0), co=block(0), hr=block(7), ir=block(7), zero_mode=True)
    server = ModbusTcpServer(ModbusServerContext(slaves=store, single=True), address=(sys.argv[1], int(sys.argv[2])))
    task = asyncio.ensure_future(server.serve_forever())
    await server.serving
    print("ready", flush=True)
    await task


threading.Thread(target=end_with_owner, daemon=True).start()
asyncio.run(main())
