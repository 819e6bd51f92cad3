// The world of the soak: the demo's control plane and three edges in network namespaces, a stranger beside them, and a
// policy with interfaces that the soak measures on.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createFleet, type Fleet, namespaces } from '../../demo/fleet.ts';
import { until } from '../../test/support/until.ts';
import {
  addresses,
  cellHosts,
  type EdgeName,
  edges,
  fetchPage,
  type HostName,
  maintenancePort,
  maintenanceServer,
  onCell,
  page,
  plcServer,
  webServer,
} from '../../demo/site.ts';
import { createNetwork, type Network, type NetProcess } from '../../test/support/netns.ts';
import { openOperator, type Operator } from './operator.ts';

export const strangerAddress = '10.77.0.66';
export type SoakHost = HostName | 'stranger';

export interface World {
  readonly net: Network<SoakHost>;
  readonly fleet: Fleet;
  readonly operator: Operator;
  readonly scratch: string;
  readonly say: (line: string) => void;
  /** Takes the log of a process that ended. */
  readonly keepLog: (name: 'control' | EdgeName, text: string) => void;
}

export const buildNetwork = async (): Promise<Network<SoakHost>> =>
  await createNetwork({ hosts: { ...cellHosts, stranger: onCell(strangerAddress) } });

export const fleetOf = (net: Network<SoakHost>, scratch: string): Fleet =>
  createFleet(namespaces(net as unknown as Network<HostName>), scratch);

export interface WorldOptions {
  readonly scratch: string;
  /** Database URL of the control plane; SQLite in its state directory without one. */
  readonly database: string | undefined;
  readonly say: World['say'];
  readonly keepLog: World['keepLog'];
}

/** Everything enrolled, attested and enforcing. */
export async function openWorld(
  net: Network<SoakHost>,
  fleet: Fleet,
  { scratch, database, say, keepLog }: WorldOptions,
): Promise<World> {
  await net.spawn('plc-1', plcServer(addresses['plc-1'])).waitFor(/ready/);
  await listenWithoutGrant(net);
  writeControlConfig(fleet, database);
  await fleet.initControl();
  await fleet.start('control');
  say('control plane runs');
  await publishFirst(fleet);
  for (const name of edges) await fleet.enroll(name);
  for (const name of edges) await fleet.start(name);
  startWeb(net, fleet, scratch);
  const operator = openOperator(net, fleet.paths.admin);
  const world: World = { net, fleet, operator, scratch, say, keepLog };
  await until('all edges trusted and enforcing', async () => await allEnforce(world), 30_000, 200);
  const view = fetchPage('/status', fleet.paths.identity('gateway-1'));
  await until('the granted page', async () => page((await net.exec('gateway-1', view)).stdout).status === 200);
  say('three edges enrolled, attested, enforcing');
  return world;
}

/** What nobody has a grant for has to listen and to answer, or a refusal would prove nothing. */
async function listenWithoutGrant(net: Network<SoakHost>): Promise<void> {
  net.spawn('plc-1', maintenanceServer(addresses['plc-1']));
  for (const edge of edges) await net.echo(edge, 'tcp', markPort, addresses[edge]);
  const open = async (address: string, port: number): Promise<boolean> =>
    (await net.probeTcp('stranger', address, port)) === 'open';
  await until('the maintenance port without enforcement', async () => await open(addresses['plc-1'], maintenancePort));
  for (const edge of edges)
    await until(`the mark of ${edge} without enforcement`, async () => await open(addresses[edge], markPort));
}

/** As in the demo, with the product's own intervals of attestation: the soak is longer than a minute. */
function writeControlConfig(fleet: Fleet, database: string | undefined): void {
  fleet.writeControlConfig();
  const lines = readFileSync(fleet.paths.controlConfig, 'utf8').split('\n');
  const kept = lines.filter((line) => !line.startsWith('attestation:'));
  if (database !== undefined) kept.unshift(`database: ${database}`);
  writeFileSync(fleet.paths.controlConfig, kept.join('\n'));
}

async function publishFirst(fleet: Fleet): Promise<void> {
  await fleet.writePolicy(await fleet.measureReferences());
  writeFileSync(join(fleet.paths.policy, 'interfaces/soak.yaml'), soakInterfaces());
  writeFileSync(join(fleet.paths.policy, 'grants/soak.yaml'), soakGrants(false));
  await fleet.editPolicy('grants/cell.yaml', (text) => text, 'interfaces of the soak');
  await fleet.publish();
}

/** Who asks for decisions on an edge's durable interface, and who reaches its mark: always another device. */
export const neighbour = { 'gateway-1': 'plc-1', 'plc-1': 'hmi-1', 'hmi-1': 'gateway-1' } as const;
export const markPort = 9100;

/** On each edge one HTTP interface whose decisions are on disk before they are answered, and one port as a mark. */
function soakInterfaces(): string {
  const entries = edges.map(
    (edge) => `  - name: load-${edge}
    device: ${edge}
    protocol: http
    port: 7100
    audit: { durable: true }
    operations:
      use: { methods: [GET], paths: [/use] }
  - name: mark-${edge}
    device: ${edge}
    protocol: port
    port: ${markPort}
    operations:
      reach: {}
`,
  );
  return `interfaces:\n${entries.join('')}`;
}

/** Grants on those interfaces; those of the marks come and go. */
export function soakGrants(withMarks: boolean): string {
  const entries = edges.flatMap((edge) => [
    `  - {id: use-${edge}, subjects: [${neighbour[edge]}], interface: load-${edge}, operations: [use], binding: svid}`,
    ...(withMarks
      ? [
          `  - {id: reach-${edge}, subjects: [${neighbour[edge]}], interface: mark-${edge}, operations: [reach], binding: ip}`,
        ]
      : []),
  ]);
  return `grants:\n${entries.join('\n')}\n`;
}

function startWeb(net: Network<SoakHost>, fleet: Fleet, scratch: string): NetProcess {
  const edge = fleet.paths.edge('hmi-1');
  const guard = {
    rootsFile: join(edge, 'state/identity/roots.pem'),
    forwardAuthSocket: join(edge, 'run/forward-auth.sock'),
  };
  return net.spawn('hmi-1', webServer({ scratch: join(scratch, 'hmi-web'), address: addresses['hmi-1'], guard }));
}

async function allEnforce({ operator }: Pick<World, 'operator'>): Promise<boolean> {
  const { version, enforced } = await operator.policyStatus();
  if (!edges.every((name) => enforced[name] === version)) return false;
  const states = await Promise.all(edges.map(async (name) => await operator.device(name)));
  return states.every(({ state }) => state === 'trusted');
}

/** Publishes what the repository holds and waits until every edge has acknowledged it. */
export async function publishAndWait(world: World): Promise<void> {
  const { version } = await world.fleet.publish();
  await until(
    `version ${version} acknowledged by all edges`,
    async () => {
      const { enforced } = await world.operator.policyStatus();
      return edges.every((name) => (enforced[name] ?? 0) >= version);
    },
    20_000,
  );
}

/** Takes the playbooks out of the policy: findings are still made, nobody is contained for them. */
export async function withoutPlaybooks(world: World): Promise<void> {
  rmSync(join(world.fleet.paths.policy, 'playbooks'), { recursive: true });
  writeFileSync(join(world.fleet.paths.policy, 'grants/soak.yaml'), soakGrants(false));
  await world.fleet.editPolicy('grants/cell.yaml', (text) => text, 'no playbooks');
  await publishAndWait(world);
}
