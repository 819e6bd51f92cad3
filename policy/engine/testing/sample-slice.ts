// A small slice that has one of everything, and requests over it, for this room's tests.
import { sliceSchema, type Slice } from '../../bundle/slice.ts';
import { subjectAttributes } from '../attributes.ts';
import type { EngineMeta } from '../engine.ts';
import type { AccessRequest, MqttRequest, Operation } from '../request.ts';

export const now = Date.UTC(2026, 10, 22, 12, 0);
export const meta: EngineMeta = {
  digest: 'ab'.repeat(32),
  softExpiry: now + 86_400_000,
  hardExpiry: now + 7 * 86_400_000,
};

export const casbinModel = `[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act
`;

const http = (name: string, methods: string[], paths: string[], more: object = {}): object => ({
  name,
  protocol: 'http',
  methods,
  paths,
  class: 'normal',
  island: false,
  ...more,
});

const modbus = (name: string, functionCodes: number[], more: object = {}): object => ({
  name,
  protocol: 'modbus',
  functionCodes,
  units: [1],
  addresses: [[0, 99]],
  class: 'normal',
  island: false,
  ...more,
});

const service = (name: string, protocol: string, operations: object[], more: object = {}): object => ({
  name,
  device: 'plc-1',
  protocol,
  transport: 'tcp',
  port: 502,
  operations,
  onEnforcerDeath: 'closed',
  auditDurable: false,
  place: `interfaces/plc.yaml:${name.length}`,
  ...more,
});

const grant = (id: string, name: string, operations: string[], more: object = {}): object => ({
  id,
  subjects: ['gateway-1'],
  interface: name,
  device: 'plc-1',
  operations,
  binding: 'svid',
  conditions: {},
  place: `grants/all.yaml:${id.length}`,
  ...more,
});

/** What tests change before it is compiled. */
export type LooseSlice = ReturnType<typeof looseSlice>;

export function looseSlice() {
  return {
    format: 1,
    trustDomain: 'plant.example',
    device: 'plc-1',
    devices: [] as object[],
    interfaces: [
      service('plc-modbus', 'modbus', [
        modbus('read', [1, 2, 3, 4], { class: 'safety', island: true }),
        modbus('set-point', [6, 16], { addresses: [[10, 19]], values: [0, 1000] }),
        modbus('write', [5, 6, 15, 16, 22, 23], { class: 'sensitive' }),
        modbus('identify', [43], { units: [] }),
      ]),
      service('web', 'http', [
        http('status', ['GET'], ['/status', '/api/*/state']),
        http('files', ['GET'], ['/files/**']),
        http('admin', ['GET', 'POST'], ['/files/secret', '/admin/**'], { class: 'sensitive' }),
        http('stop', ['POST'], ['/stop'], { class: 'safety', island: true }),
      ]),
      service('narrow', 'http', [http('all', ['GET', 'POST'], ['/**'])], { casbin: 'app' }),
      service('console', 'port', [{ name: 'open', protocol: 'port', class: 'normal', island: false }]),
      service('trial', 'http', [http('all', ['GET'], ['/**'])], { observeUntil: now + 3_600_000 }),
    ],
    grants: [
      grant('reads', 'plc-modbus', ['read']),
      grant('sets', 'plc-modbus', ['set-point'], { conditions: { maxRisk: 50 } }),
      grant('engineers', 'plc-modbus', ['write', 'identify'], {
        subjects: ['station-1'],
        conditions: { attestation: ['tpm', 'software'], attestationMaxAgeSeconds: 3_600 },
      }),
      grant('web', 'web', ['status', 'files', 'stop']),
      grant('web-admin', 'web', ['admin'], {
        subjects: ['station-1'],
        conditions: { timeWindow: { fromMinute: 480, toMinute: 1_080 } },
        until: now + 86_400_000,
      }),
      grant('narrow', 'narrow', ['all']),
      grant('console', 'console', ['open'], { binding: 'port+mac+ip' }),
    ],
    denies: [
      {
        id: 'no-secrets',
        subjects: ['gateway-1'],
        interface: 'web',
        device: 'plc-1',
        operations: ['admin'],
        place: 'grants/deny.yaml:3',
      },
      {
        id: 'camera-out',
        subjects: ['camera-1'],
        interface: 'web',
        device: 'plc-1',
        operations: [] as string[],
        place: 'grants/deny.yaml:9',
      },
    ],
    firewall: [] as object[],
    casbin: [
      {
        name: 'app',
        model: casbinModel,
        policy: 'p, gateway-1, /pumps/:id, GET, allow\np, gateway-1, /pumps/9, GET, deny\n',
        place: 'casbin/app/model.conf:1',
      },
    ],
    selfTest: [] as object[],
  };
}

export function sampleSlice(change: (slice: LooseSlice) => void = () => undefined): Slice {
  const slice = looseSlice();
  change(slice);
  return sliceSchema.parse(slice);
}

export const get = (path: string): Operation => ({ protocol: 'http', method: 'GET', path });
export const post = (path: string): Operation => ({ protocol: 'http', method: 'POST', path });
export const access = (
  functionCode: number,
  address = 0,
  quantity = 1,
  values: number[] = [],
  unit = 1,
): Operation => ({
  protocol: 'modbus',
  unit,
  functionCode,
  address,
  quantity,
  values,
});

export const mqtt = (action: MqttRequest['action'], topic: string, more: Partial<MqttRequest> = {}): MqttRequest => ({
  protocol: 'mqtt',
  action,
  topic,
  clientId: 'dev',
  qos: 0,
  retain: false,
  will: false,
  payloadBytes: 0,
  version: 4,
  ...more,
});

type Facts = Parameters<typeof subjectAttributes>[0];

export function ask(
  name: string,
  operation: Operation,
  subject: Partial<AccessRequest['subject']> = {},
  facts: Partial<Facts> = {},
  time: number = now,
): AccessRequest {
  const known = { attestationClass: 'software', attestedAt: now, risk: 0, reduced: false, asOf: now, ...facts };
  return {
    subject: { id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: subjectAttributes(known), ...subject },
    operation,
    resource: { interface: name, attributes: {} },
    context: { time, source: 'test', connection: '192.0.2.7:40000', attributes: {} },
  };
}
