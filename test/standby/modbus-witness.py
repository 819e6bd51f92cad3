# A Modbus/TCP server by pymodbus that knows nothing of Edgeward and says on standard output what reaches it, one line a
# request: "read ADDRESS COUNT" or "write ADDRESS VALUES". Ends with its owner: when standard input does.
#   modbus-witness.py ADDRESS PORT
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


class Witness(ModbusSequentialDataBlock):
    def getValues(self, address, count=1):
        print("read", address, count, flush=True)
        return super().getValues(address, count)

    def setValues(self, address, values):
        print("write", address, *(values if isinstance(values, list) else [values]), flush=True)
        super().setValues(address, values)


def end_with_owner():
    sys.stdin.read()
    os._exit(0)


async def main():
    store = ModbusSlaveContext(hr=Witness(0, [7] * 1000), zero_mode=True)
    server = ModbusTcpServer(ModbusServerContext(slaves=store, single=True), address=(sys.argv[1], int(sys.argv[2])))
    task = asyncio.ensure_future(server.serve_forever())
    await server.serving
    print("ready", flush=True)
    await task


threading.Thread(target=end_with_owner, daemon=True).start()
asyncio.run(main())
