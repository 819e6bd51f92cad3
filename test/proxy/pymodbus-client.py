# A Modbus/TCP master by pymodbus, unchanged: does the steps that standard input lists and prints what it got, as JSON.
# Usage: pymodbus-client.py ADDRESS PORT < '[["read_coils", {"address": 0, "count": 3}], ...]'
import json, sys, types

# As in modbus-server.py: pymodbus wants pyserial when it is imported.
for name in ("serial", "serial_asyncio"):
    try:
        __import__(name)
    except ImportError:
        stub = types.ModuleType(name)
        stub.create_serial_connection = None
        sys.modules[name] = stub

from pymodbus.client import ModbusTcpClient

client = ModbusTcpClient(sys.argv[1], port=int(sys.argv[2]), timeout=10)
assert client.connect(), "no connection"
answers = []
for call, arguments in json.load(sys.stdin):
    # pymodbus 3.0 names the unit otherwise in these two.
    unit = "unit" if call in ("mask_write_register", "readwrite_registers") else "slave"
    answer = getattr(client, call)(**{unit: 1, **arguments})
    if answer.isError():
        answers.append({"exception": getattr(answer, "exception_code", str(answer))})
    elif hasattr(answer, "registers") and answer.registers:
        answers.append({"registers": answer.registers})
    elif hasattr(answer, "bits") and answer.bits:
        # Padded to whole bytes on the wire.
        answers.append({"bits": answer.bits[: arguments.get("count", 1)]})
    else:
        answers.append({"done": answer.function_code})
client.close()
print(json.dumps(answers))
