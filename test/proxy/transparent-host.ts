// Runs inside a namespace: a real Modbus server on the address given, port 502, and the proxy on a transparent socket.
// Prints "ready", then one event a line.
//   node test/proxy/transparent-host.ts ADDRESS LISTEN-PORT
import { createProxy, modbusProtocol } from '../../enforcer/proxy/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { transparentListener } from '../../runtime/linux.ts';
import { startModbusServer } from './modbus-server.ts';
import { decideBySlice } from './world.ts';

const [address = '', listenPort = ''] = process.argv.slice(2);
await using _server = await startModbusServer({ address, port: 502 });
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const modbus = modbusProtocol(() => systemClock.monotonic());
const proxy = createProxy(() => modbus, {
  listen: { fd: transparentListener('127.0.0.1', Number(listenPort)) },
  decide: decideBySlice(),
  subjectOf: (peer) => ({ id: peer === '10.77.0.3' ? 'gateway-1' : '', binding: 'ip' }),
  interfaceOf: (destination) => (destination.address === address && destination.port === 502 ? 'plc-modbus' : ''),
  emit: async (event) => {
    process.stdout.write(`${JSON.stringify(event)}\n`);
    await Promise.resolve();
  },
  clock: systemClock,
});
await proxy.listen();
process.stdout.write('ready\n');
await proxy.run(stop.signal);
