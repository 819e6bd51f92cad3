"""A Modbus/TCP server that knows nothing of Edgeward (pymodbus): the demo's PLC.

Holding registers 0-99 hold the process; register 0 counts up, register 10 is the set-point.
Usage: plc.py ADDRESS PORT
"""
import asyncio
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartAsyncTcpServer


async def count(context):
    value = 0
    while True:
        await asyncio.sleep(0.1)
        value = (value + 1) % 65536
        context[0].setValues(3, 0, [value])


async def main():
    block = ModbusSequentialDataBlock(0, [0] * 200)
    slave = ModbusSlaveContext(hr=block, ir=block, zero_mode=True)
    slave.setValues(3, 10, [42])
    context = ModbusServerContext(slaves=slave, single=True)
    asyncio.create_task(count(context))
    print("ready", flush=True)
    await StartAsyncTcpServer(context=context, address=(sys.argv[1], int(sys.argv[2])))


asyncio.run(main())
