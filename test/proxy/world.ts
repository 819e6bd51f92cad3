// A proxy in front of a server, with a policy of its own: unit 1 may be read at 0 to 99, set points 10 to 19 may be
// written up to 1,000; everything else is denied. Time is a fake clock.
import { compileSlice, type Decision } from '../../policy/engine/index.ts';
import type { NewEvent } from '../../audit/spool/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { sliceSchema } from '../../policy/bundle/slice.ts';
import { modbusProtocol } from '../../enforcer/proxy/modbus/exchange.ts';
import type { ConnectionInfo, Protocol, ProxyOperation } from '../../enforcer/proxy/protocol.ts';
import { createProxy, type ProtocolProxy, type ProxyOptions } from '../../enforcer/proxy/proxy.ts';

const operation = (name: string, functionCodes: number[], addresses: [number, number], more: object = {}): object => ({
  name,
  protocol: 'modbus',
  functionCodes,
  units: [1],
  addresses: [addresses],
  class: 'normal',
  island: false,
  ...more,
});

export const readOnlySlice = sliceSchema.parse({
  format: 1,
  trustDomain: 'plant.example',
  device: 'plc-1',
  devices: [],
  interfaces: [
    {
      name: 'plc-modbus',
      device: 'plc-1',
      protocol: 'modbus',
      transport: 'tcp',
      port: 502,
      operations: [
        operation('read', [1, 2, 3, 4], [0, 99]),
        operation('set-point', [6, 16], [10, 19], { values: [0, 1_000] }),
        operation('exchange', [23], [0, 99]),
        operation('write', [5, 6, 15, 16, 22, 23], [0, 65_535], { class: 'sensitive' }),
      ],
      onEnforcerDeath: 'closed',
      auditDurable: false,
      place: 'interfaces/plc.yaml:3',
    },
  ],
  grants: [
    {
      id: 'gateway-reads',
      subjects: ['gateway-1'],
      interface: 'plc-modbus',
      device: 'plc-1',
      operations: ['read', 'set-point'],
      binding: 'ip',
      conditions: {},
      place: 'grants/plc.yaml:2',
    },
  ],
  denies: [],
  firewall: [],
  casbin: [],
  selfTest: [],
});

export function decideBySlice(slice = readOnlySlice): ProxyOptions['decide'] {
  const engine = compileSlice(slice, { digest: 'cd'.repeat(32), softExpiry: 2, hardExpiry: 3 });
  return (connection: ConnectionInfo, asked: ProxyOperation, { usage }): Decision =>
    engine.decide(
      {
        subject: { ...connection.subject, state: connection.subject.id === '' ? 'unknown' : 'trusted', attributes: {} },
        operation: asked,
        resource: { interface: connection.interface, attributes: {} },
        context: { time: 1, source: 'modbus', connection: '', attributes: {} },
      },
      'fresh',
      usage,
    );
}

export interface World extends AsyncDisposable {
  readonly proxy: ProtocolProxy;
  readonly port: number;
  readonly clock: FakeClock;
  readonly events: NewEvent[];
  /** Ends the proxy and gives every event, windows flushed. */
  readonly finish: () => Promise<readonly NewEvent[]>;
}

export async function world(
  upstreamPort: number,
  more: Partial<ProxyOptions> = {},
  protocolOf: (clock: FakeClock) => Protocol = (clock) => modbusProtocol(() => clock.monotonic()),
): Promise<World> {
  const clock = new FakeClock();
  const events: NewEvent[] = [];
  const stop = new AbortController();
  const protocol = protocolOf(clock);
  const proxy = createProxy(() => protocol, {
    listen: { host: '127.0.0.1', port: 0, destination: { address: '127.0.0.1', port: upstreamPort } },
    decide: decideBySlice(),
    subjectOf: () => ({ id: 'gateway-1', binding: 'ip' }),
    interfaceOf: () => 'plc-modbus',
    emit: async (event) => {
      events.push(event);
      await Promise.resolve();
    },
    clock,
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
    clock,
    events,
    finish,
    async [Symbol.asyncDispose]() {
      await finish();
    },
  };
}
