// The plant cell that the firewall tests play in: a PLC that serves three ports, a gateway with grants, a camera without,
// a historian on another network of the PLC, and a control plane. Real namespaces, the product's own compiler and apply.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  commandAccess,
  compileFirewall,
  createFirewall,
  netlinkAccess,
  netlinkTable,
  nftTable,
} from '../../enforcer/firewall/index.ts';
import type {
  Firewall,
  FirewallParts,
  FirewallPlan,
  FirewallState,
  FlowAccess,
  HostConfig,
  RunCommand,
} from '../../enforcer/firewall/index.ts';
import type { NewEvent } from '../../audit/spool/index.ts';
import { sliceSchema } from '../../policy/bundle/index.ts';
import type { Slice, SliceDevice, SliceGrant, SliceInterface } from '../../policy/bundle/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { createNetwork } from '../support/netns.ts';
import { namespaceFolder } from '../support/netns-build.ts';
import type { Network } from '../support/netns.ts';

export const addresses = {
  plc: { cell: '10.20.0.2', cell6: 'fd20::2', plant: '10.30.0.2' },
  gateway: { cell: '10.20.0.3', cell6: 'fd20::3' },
  camera: { cell: '10.20.0.5', cell6: 'fd20::5' },
  historian: { plant: '10.30.0.4' },
  control: { cell: '10.20.0.1' },
} as const;

export const ports = {
  status: 8080,
  telemetry: 5000,
  modbus: 502,
  proxy: 15502,
  standby: 25502,
  control: 8443,
} as const;

const mac = (last: string): string => `02:00:00:00:00:${last}`;

export const hosts = {
  plc: {
    interfaces: {
      eth0: { network: 'cell', addresses: ['10.20.0.2/24', 'fd20::2/64'], mac: mac('02') },
      eth1: { network: 'plant', addresses: ['10.30.0.2/24'], mac: mac('12') },
    },
  },
  gateway: { interfaces: { eth0: { network: 'cell', addresses: ['10.20.0.3/24', 'fd20::3/64'], mac: mac('03') } } },
  camera: { interfaces: { eth0: { network: 'cell', addresses: ['10.20.0.5/24', 'fd20::5/64'], mac: mac('05') } } },
  historian: { interfaces: { eth0: { network: 'plant', addresses: ['10.30.0.4/24'], mac: mac('04') } } },
  control: { interfaces: { eth0: { network: 'cell', addresses: ['10.20.0.1/24'], mac: mac('01') } } },
} as const;

export type CellHost = keyof typeof hosts;
export type Cell = Network<CellHost>;

export const openCell = (): Promise<Cell> => createNetwork({ hosts });

const device = (id: string, entries: readonly [string, string, string, string][]): SliceDevice => ({
  id,
  labels: {},
  interfaces: entries.map(([name, network, address, last]) => ({ name, network, address, mac: mac(last) })),
});

const devices: SliceDevice[] = [
  device('plc', [
    ['eth0', 'cell', '10.20.0.2', '02'],
    ['eth0', 'cell', 'fd20::2', '02'],
    ['eth1', 'plant', '10.30.0.2', '12'],
  ]),
  device('gateway', [
    ['eth0', 'cell', '10.20.0.3', '03'],
    ['eth0', 'cell', 'fd20::3', '03'],
  ]),
  device('camera', [
    ['eth0', 'cell', '10.20.0.5', '05'],
    ['eth0', 'cell', 'fd20::5', '05'],
  ]),
  device('historian', [['eth0', 'plant', '10.30.0.4', '04']]),
];

export function service(name: string, port: number, transport: 'tcp' | 'udp'): SliceInterface {
  return {
    name,
    device: 'plc',
    protocol: 'port',
    transport,
    port,
    operations: [{ name: 'use', protocol: 'port', class: 'normal', island: false }],
    onEnforcerDeath: 'hold',
    auditDurable: false,
    place: 'interfaces/plc.yaml:1',
  };
}

const modbus: SliceInterface = {
  ...service('modbus', ports.modbus, 'tcp'),
  protocol: 'modbus',
  operations: [
    {
      name: 'use',
      protocol: 'modbus',
      functionCodes: [3],
      units: [1],
      addresses: [[0, 99]],
      class: 'normal',
      island: true,
    },
  ],
};

export function grant(subject: string, name: string): SliceGrant {
  return {
    id: `${subject}-${name}`,
    subjects: [subject],
    interface: name,
    device: 'plc',
    operations: ['use'],
    binding: 'port+mac+ip',
    conditions: {},
    place: 'grants/cell.yaml:1',
  };
}

/** The PLC's slice with these grants. */
export function sliceWith(grants: readonly SliceGrant[], more: Partial<Slice> = {}): Slice {
  return sliceSchema.parse({
    format: 1,
    trustDomain: 'plant.example',
    device: 'plc',
    devices,
    interfaces: [service('status', ports.status, 'tcp'), service('telemetry', ports.telemetry, 'udp'), modbus],
    grants,
    denies: [],
    firewall: [],
    casbin: [],
    selfTest: [],
    ...more,
  });
}

export const host: HostConfig = {
  localDeviceId: 'plc',
  controlEndpoints: [{ address: addresses.control.cell, port: ports.control, transport: 'tcp' }],
  proxies: [{ interface: 'modbus', listenPort: ports.proxy, standbyPort: ports.standby }],
};

export const trusted: FirewallState['states'] = {
  plc: 'trusted',
  gateway: 'trusted',
  camera: 'trusted',
  historian: 'trusted',
};

export function planWith(slice: Slice, state: Partial<FirewallState> = {}): FirewallPlan {
  return compileFirewall(slice, { epoch: 1, now: Date.now(), ordersSequence: 0, states: trusted, ...state }, host);
}

/** The firewall of a host of the cell, driven from here: its programs run inside the host's namespace. */
export interface TestFirewall extends Firewall, AsyncDisposable {
  readonly events: NewEvent[];
  readonly closedStreams: string[];
}

/** The two ways to end flows on a host of the cell. */
export const flowWays = {
  netlink: (cell: Cell, hostName: CellHost): FlowAccess =>
    netlinkAccess(join('/run/netns', cell.namespaceOf(hostName))),
  programs: (cell: Cell, hostName: CellHost): FlowAccess => commandAccess(runOn(cell, hostName)),
} as const;

const runOn =
  (cell: Cell, hostName: CellHost): RunCommand =>
  (argv, input) =>
    cell.exec(hostName, argv, input === undefined ? {} : { input });

export async function firewallOn(
  cell: Cell,
  hostName: CellHost,
  more: Partial<FirewallParts> = {},
): Promise<TestFirewall> {
  const directory = await mkdtemp(join(tmpdir(), 'firewall-'));
  const events: NewEvent[] = [];
  const closedStreams: string[] = [];
  // Every scenario is played over netlink, and by test/firewall/nft-backend.test.ts over the nft program.
  const run = runOn(cell, hostName);
  const namespace = join(namespaceFolder, cell.namespaceOf(hostName));
  const kernel = process.env['FIREWALL_BACKEND'] === 'nft' ? nftTable(run) : netlinkTable(namespace);
  const firewall = createFirewall({
    run,
    flows: flowWays.netlink(cell, hostName),
    kernel,
    fs: nodeFiles,
    directory,
    clock: systemClock,
    log: createLogger({ name: 'firewall-test', level: 'silent' }),
    emit: async (event) => void events.push(event),
    control: () => host.controlEndpoints,
    closeStreams: (id) => (closedStreams.push(id), 0),
    ...more,
  });
  return {
    ...firewall,
    events,
    closedStreams,
    [Symbol.asyncDispose]: async () => {
      kernel.close();
      await rm(directory, { recursive: true });
    },
  };
}

/** Echo servers on every port of the PLC, and on the control plane. */
export async function serveAll(cell: Cell): Promise<void> {
  await Promise.all([
    cell.echo('plc', 'tcp', ports.status),
    cell.echo('plc', 'udp', ports.telemetry),
    cell.echo('plc', 'tcp', ports.modbus),
    cell.echo('camera', 'tcp', ports.status),
    cell.echo('control', 'tcp', ports.control),
  ]);
}
