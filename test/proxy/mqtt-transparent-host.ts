// Runs inside a namespace beside a broker: the proxy for MQTT on a transparent socket. Prints "ready", then one event a line.
//   node test/proxy/mqtt-transparent-host.ts ADDRESS LISTEN-PORT
import { createProxy, mqttProtocol } from '../../enforcer/proxy/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { transparentListener } from '../../runtime/linux.ts';
import { brokerSlice } from './mqtt-world.ts';
import { decideBySlice } from './world.ts';

const [address = '', listenPort = ''] = process.argv.slice(2);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const mqtt = mqttProtocol();
const proxy = createProxy(() => mqtt, {
  listen: { fd: transparentListener('127.0.0.1', Number(listenPort)) },
  decide: decideBySlice(brokerSlice),
  subjectOf: (peer) => ({ id: peer === '10.78.0.3' ? 'sensor-1' : '', binding: 'ip' }),
  interfaceOf: (destination) => (destination.address === address && destination.port === 1883 ? 'broker' : ''),
  entryOf: () => brokerSlice.interfaces[0],
  emit: async (event) => {
    process.stdout.write(`${JSON.stringify(event)}\n`);
    await Promise.resolve();
  },
  clock: systemClock,
});
await proxy.listen();
process.stdout.write('ready\n');
await proxy.run(stop.signal);
