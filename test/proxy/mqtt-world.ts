// A proxy in front of a broker, with a policy of its own: sensor-1 connects under its own name, publishes below its own
// topic, and reads the temperatures of all and its own commands. Everything else is denied.
import type { NewEvent } from '../../audit/spool/index.ts';
import { mqttProtocol } from '../../enforcer/proxy/mqtt/exchange.ts';
import { createProxy, type ProtocolProxy, type ProxyOptions } from '../../enforcer/proxy/proxy.ts';
import { type Slice, sliceSchema } from '../../policy/bundle/slice.ts';
import { systemClock } from '../../runtime/clock.ts';
import { decideBySlice } from './world.ts';

const operation = (name: string, actions: string[], topics: string[], more: object = {}): object => ({
  name,
  protocol: 'mqtt',
  actions,
  topics,
  retain: false,
  will: false,
  shares: [],
  class: 'normal',
  island: false,
  ...more,
});

export const brokerSlice: Slice = sliceSchema.parse({
  format: 1,
  trustDomain: 'plant.example',
  device: 'broker-1',
  devices: [],
  interfaces: [
    {
      name: 'broker',
      device: 'broker-1',
      protocol: 'mqtt',
      transport: 'tcp',
      port: 1883,
      operations: [
        operation('connect', ['connect'], [], {
          clientIds: ['{device}', '{device}-*'],
          will: true,
          maxKeepAliveSeconds: 600,
        }),
        operation('telemetry', ['publish'], ['plant/{device}/#'], { maxPayloadBytes: 2_000 }),
        operation('status', ['publish'], ['status/{device}'], { retain: true, will: true }),
        operation('set-point', ['publish'], ['set/{device}'], { json: { '/value': [0, 100] } }),
        operation('read', ['subscribe'], ['plant/+/temperature', 'cmd/{device}/#'], { shares: ['workers'] }),
        operation('read-slowly', ['subscribe'], ['log/#'], { maxQos: 1 }),
        operation('everything', ['publish', 'subscribe', 'receive'], ['#'], { retain: true, will: true }),
      ],
      onEnforcerDeath: 'closed',
      auditDurable: false,
      place: 'interfaces/broker.yaml:3',
    },
  ],
  grants: [
    {
      id: 'sensors',
      subjects: ['sensor-1'],
      interface: 'broker',
      device: 'broker-1',
      operations: ['connect', 'telemetry', 'status', 'set-point', 'read', 'read-slowly'],
      binding: 'ip',
      conditions: {},
      place: 'grants/broker.yaml:2',
    },
  ],
  denies: [],
  firewall: [],
  casbin: [],
  selfTest: [],
});

export interface MqttWorld extends AsyncDisposable {
  readonly proxy: ProtocolProxy;
  readonly port: number;
  readonly events: NewEvent[];
  /** Puts another policy in force. */
  readonly activate: (slice: Slice) => void;
  /** Ends the proxy and gives every event, windows flushed. */
  readonly finish: () => Promise<readonly NewEvent[]>;
}

export async function mqttWorld(
  brokerPort: number,
  more: Partial<ProxyOptions> = {},
  loginOf?: Parameters<typeof mqttProtocol>[0],
): Promise<MqttWorld> {
  const events: NewEvent[] = [];
  const stop = new AbortController();
  const mqtt = mqttProtocol(loginOf);
  let slice = brokerSlice;
  let decide = decideBySlice(slice);
  const proxy = createProxy(() => mqtt, {
    listen: { host: '127.0.0.1', port: 0, destination: { address: '127.0.0.1', port: brokerPort } },
    decide: (connection, asked, abilities) => decide(connection, asked, abilities),
    subjectOf: () => ({ id: 'sensor-1', binding: 'ip' }),
    interfaceOf: () => 'broker',
    entryOf: () => slice.interfaces[0],
    emit: async (event) => {
      events.push(event);
      await Promise.resolve();
    },
    clock: systemClock,
    ...more,
  });
  const { port } = await proxy.listen();
  const running = proxy.run(stop.signal);
  const finish = async (): Promise<readonly NewEvent[]> => {
    stop.abort();
    await running;
    return events;
  };
  return {
    proxy,
    port,
    events,
    activate: (next) => {
      slice = next;
      decide = decideBySlice(next);
    },
    finish,
    async [Symbol.asyncDispose]() {
      await finish();
    },
  };
}
