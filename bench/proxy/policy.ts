// The policy of the bench: hundreds of peers with thousands of grants at one PLC, most of which have nothing to do with a
// request. `maySend` says the same in plain words, for judging what reached the server.
import { sliceSchema } from '../../policy/bundle/index.ts';
import type { Slice, SliceGrant, SliceOperation } from '../../policy/bundle/index.ts';
import type { KnownDevice } from '../edge-state.ts';
import { CLIENT_MAC, macOf, peerAddress, SERVER } from '../firewall/world.ts';

export const trustDomain = 'plant.example';
export const edgeDevice = 'plc';
export const PEERS = 400;
/** Decoys for each peer: grants of other operations, of other units, and some that have ended. */
const DECOYS = 8;
const DECOY_OPERATIONS = 30;

export const ports = { modbus: 502, mqtt: 1_883, http: 8_080, tls: 8_443 } as const;
/** Where the edge listens; the kernel diverts to it. */
export const listenPorts = { modbus: 15_502, mqtt: 11_883, http: 18_080, tls: 18_443 } as const;
export const interfaces: Readonly<Record<keyof typeof ports, string>> = {
  modbus: 'plc-modbus',
  mqtt: 'plc-broker',
  http: 'plc-web',
  tls: 'plc-tls',
};
/** Of the server behind TLS that is passed through. */
export const TLS_NAME = 'plc.plant.example';
export const BULK_PATH = '/bulk';

export const peerName = (index: number): string => `peer-${index}`;
/** Every second peer is an operator, who may write. */
export const isOperator = (index: number): boolean => index % 2 === 0;

/** Inclusive ranges that the policy names. */
export const readable: readonly (readonly [number, number])[] = [
  [0, 499],
  [500, 999],
];
export const writable: readonly [number, number] = [100, 199];
export const MAX_VALUE = 1_000;
export const UNIT = 1;

const mqttOperation = (
  name: string,
  actions: Extract<SliceOperation, { protocol: 'mqtt' }>['actions'],
  topics: string[],
): SliceOperation => ({
  name,
  protocol: 'mqtt',
  actions,
  topics,
  ...(actions.includes('connect') ? { clientIds: ['{device}*'] } : { maxQos: 1, maxPayloadBytes: 4_096 }),
  retain: false,
  will: false,
  shares: [],
  class: 'normal',
  island: false,
});

/** The services beside Modbus, each a protocol of its own. */
const otherServices: readonly [keyof typeof ports, SliceOperation[]][] = [
  [
    'mqtt',
    [
      mqttOperation('connect', ['connect'], []),
      mqttOperation('publish', ['publish'], ['plant/{device}/#']),
      mqttOperation('listen', ['subscribe', 'receive'], ['plant/+/telemetry/#']),
      ...Array.from({ length: DECOY_OPERATIONS }, (_, at) =>
        mqttOperation(`other-${at}`, ['publish'], [`line-${at}/#`]),
      ),
    ],
  ],
  [
    'http',
    [{ name: 'page', protocol: 'http', methods: ['GET', 'POST'], paths: [BULK_PATH], class: 'normal', island: false }],
  ],
  ['tls', [{ name: 'name', protocol: 'tls', names: [TLS_NAME], class: 'normal', island: false }]],
];

type ModbusOperation = Extract<SliceOperation, { protocol: 'modbus' }>;

function operation(name: string, functionCodes: number[], more: Partial<ModbusOperation>): ModbusOperation {
  return {
    name,
    protocol: 'modbus',
    functionCodes,
    units: [UNIT],
    addresses: [[...writable]],
    class: 'normal',
    island: false,
    ...more,
  };
}

const operations: readonly ModbusOperation[] = [
  ...readable.map(([from, to], at) => operation(`read-${at}`, [1, 2, 3, 4], { addresses: [[from, to]] })),
  operation('set-point', [6, 16], { values: [0, MAX_VALUE] }),
  operation('coil', [5, 15], {}),
  operation('exchange', [23], { values: [0, MAX_VALUE] }),
  operation('emergency-stop', [5], { addresses: [[0, 0]], class: 'safety', island: true }),
  ...Array.from({ length: DECOY_OPERATIONS }, (_, at) =>
    operation(`other-${at}`, [3, 6, 16], { units: [10 + at], addresses: [[at * 100, at * 100 + 99]] }),
  ),
];

function grantsOf(index: number, now: number): SliceGrant[] {
  const grant = (id: string, names: string[], more: Partial<SliceGrant> = {}): SliceGrant => ({
    id: `${peerName(index)}-${id}`,
    subjects: [peerName(index)],
    interface: interfaces.modbus,
    device: edgeDevice,
    operations: names,
    binding: 'port+mac+ip',
    conditions: {},
    place: `grants/${peerName(index)}.yaml:1`,
    ...more,
  });
  const decoys = Array.from({ length: DECOYS }, (_, at) =>
    grant(`other-${at}`, [`other-${(index + at) % DECOY_OPERATIONS}`], at % 4 === 3 ? { until: now - 1 } : {}),
  );
  return [
    ...decoys,
    grant('publishes', ['connect', 'publish', 'listen'], { interface: interfaces.mqtt }),
    grant('pages', ['page'], { interface: interfaces.http }),
    grant('names', ['name'], { interface: interfaces.tls }),
    grant(
      'reads',
      readable.map((_, at) => `read-${at}`),
    ),
    ...(isOperator(index) ? [grant('writes', ['set-point', 'coil', 'exchange', 'emergency-stop'])] : []),
  ];
}

/** `mark` makes each version of the policy another one, without another meaning. */
export function plcSlice(mark = '', now: number = Date.now()): Slice {
  const peers = Array.from({ length: PEERS }, (_, index) => index);
  const networkOf = (address: string, mac: string) => [{ name: 'eth0', network: 'cell', address, mac }];
  return sliceSchema.parse({
    format: 1,
    trustDomain,
    device: edgeDevice,
    devices: [
      { id: edgeDevice, labels: { mark }, interfaces: networkOf(SERVER, macOf(SERVER)) },
      ...peers.map((index) => ({
        id: peerName(index),
        labels: {},
        interfaces: networkOf(peerAddress(index), CLIENT_MAC),
      })),
    ],
    interfaces: [
      {
        name: interfaces.modbus,
        device: edgeDevice,
        protocol: 'modbus',
        transport: 'tcp',
        port: ports.modbus,
        operations: [...operations],
        onEnforcerDeath: 'closed',
        auditDurable: false,
        place: 'interfaces/plc.yaml:3',
      },
      ...otherServices.map(([protocol, list]): Slice['interfaces'][number] => ({
        name: interfaces[protocol],
        device: edgeDevice,
        protocol,
        transport: 'tcp',
        port: ports[protocol],
        operations: list,
        onEnforcerDeath: 'closed',
        auditDurable: false,
        place: `interfaces/${protocol}.yaml:3`,
      })),
    ],
    grants: peers.flatMap((index) => grantsOf(index, now)),
    denies: [],
    firewall: [],
    casbin: [],
    selfTest: [],
  } satisfies Slice);
}

export const devicesOf = (quarantined: ReadonlySet<string> = new Set()): KnownDevice[] => [
  { id: edgeDevice, state: 'trusted', risk: 10 },
  ...Array.from({ length: PEERS }, (_, index): KnownDevice => {
    const id = peerName(index);
    return { id, state: quarantined.has(id) ? 'quarantined' : 'trusted', risk: 10 };
  }),
];
