// A cell in network namespaces, made of the real programs: a control plane, one edge that enforces with the kernel's rules and
// its proxies, and devices that only have an address and an identity. The policy repository is what the test writes.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { measureReferenceValues } from '../../../bin/measure.ts';
import { createNetwork, type Network } from '../../support/netns.ts';
import { until } from '../../support/until.ts';

const root = join(import.meta.dirname, '../../..');
const edgeward = [process.execPath, '--disallow-code-generation-from-strings', join(root, 'bin/edgeward.ts')];
const control = { address: '10.79.0.1', enrolment: 7442, edges: 7443 } as const;

/** The device that serves, and those that ask. The last part of every address and of the MAC is the number. */
export const numbers = { 'gateway-1': 2, 'panel-1': 3, 'robot-1': 4, 'press-1': 5, 'sensor-1': 6 } as const;
export type Device = keyof typeof numbers;
export const devices = Object.keys(numbers) as Device[];

export const addressesOf = (device: Device): readonly [v4: string, v6: string] => [
  `10.79.0.${numbers[device]}`,
  `fd79::${numbers[device]}`,
];
const macOf = (device: Device): string => `02:00:00:79:00:0${numbers[device]}`;

const hostOf = (device: Device) => {
  const [v4, v6] = addressesOf(device);
  return { interfaces: { eth0: { network: 'cell', addresses: [`${v4}/24`, `${v6}/64`], mac: macOf(device) } } };
};

/** Inventory of the cell, as a file of a policy repository. */
export const inventory = [
  'networks: [{name: cell, cidrs: [10.79.0.0/24, "fd79::/64"]}]',
  'devices:',
  ...devices.flatMap((device) => [
    `  - id: ${device}`,
    '    interfaces:',
    ...addressesOf(device).map(
      (address) => `      - {name: eth0, network: cell, address: "${address}", mac: "${macOf(device)}"}`,
    ),
  ]),
  '',
].join('\n');

/** A whole day some days from now, as end dates of policy files are written. */
export const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

export interface Event {
  readonly device: string;
  readonly kind: string;
  readonly activity: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type PolicyFiles = Readonly<Record<string, string>>;
export type Cell = Awaited<ReturnType<typeof openCell>>;

/**
 * Every device enrolled, the policy published and in force on gateway-1, whose edge has these proxies. Servers and clients
 * are the test's.
 */
export async function openCell(proxies: readonly string[], policy: PolicyFiles) {
  const scratch = mkdtempSync(join(tmpdir(), 'ewm-'));
  const forget = (): void => rmSync(scratch, { recursive: true, force: true });
  process.once('exit', forget);
  const net = await createNetwork({
    hosts: {
      control: { interfaces: { eth0: { network: 'cell', addresses: [`${control.address}/24`] } } },
      'gateway-1': hostOf('gateway-1'),
      'panel-1': hostOf('panel-1'),
      'robot-1': hostOf('robot-1'),
      'press-1': hostOf('press-1'),
      'sensor-1': hostOf('sensor-1'),
    },
  });
  const environment = {
    EDGEWARD_PASSPHRASE: 'only of this test',
    HOME: scratch,
    NODE_COMPILE_CACHE: join(scratch, 'cache'),
  };
  const repository = join(scratch, 'policy');
  const publisher = join(scratch, 'publisher.pem');
  const stateOf = (device: Device): string => join(scratch, device, 'state');
  const controlConfig = join(scratch, 'control.yaml');
  const edgeConfig = join(scratch, 'edge.yaml');
  const admin = ['--identity', join(scratch, 'control/admin')];

  async function command<T = Record<string, unknown>>(host: Host, args: readonly string[], input?: string): Promise<T> {
    const options = { env: environment, cwd: scratch, timeoutMs: 60_000, ...(input === undefined ? {} : { input }) };
    const { code, stdout, stderr } = await net.exec(host, [...edgeward, ...args, '--json'], options);
    if (code !== 0) throw new Error(`edgeward ${args.join(' ')} ended with ${code}: ${stdout} ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** A command of an operator. */
  const operate = async <T>(...args: readonly string[]): Promise<T> => await command<T>('control', [...args, ...admin]);

  const program = async (host: Host, args: readonly string[], ready: RegExp) => {
    const started = net.spawn(host, [...edgeward, ...args], { env: environment, cwd: scratch });
    await started.waitFor(ready, 30_000);
    return started;
  };

  async function git(...args: readonly string[]): Promise<void> {
    const { code, stderr } = await net.exec('control', ['git', '-C', repository, ...args], { env: environment });
    if (code !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  }

  function write(files: PolicyFiles): void {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(repository, file)), { recursive: true });
      writeFileSync(join(repository, file), text);
    }
  }

  /** Commits what is in the repository and publishes it; its version. */
  async function publish(message: string): Promise<number> {
    await git('add', '-A');
    await git('-c', 'user.name=Ada Author', '-c', 'user.email=ada@plant.example', 'commit', '-q', '-m', message);
    return (await operate<{ version: number }>('policy', 'publish', repository, '--key', publisher)).version;
  }

  interface EdgeStatus {
    readonly serving: boolean;
    readonly version: number;
  }
  const enforces = async (version: number): Promise<void> =>
    void (await until(
      `gateway-1 enforces version ${version}`,
      async () => {
        const status = await command<EdgeStatus>('gateway-1', ['edge', 'status', '--config', edgeConfig]);
        return status.serving && status.version === version;
      },
      30_000,
    ));

  /** Writes these files, publishes the repository and waits until the edge enforces it. */
  async function enforce(files: PolicyFiles, message: string): Promise<void> {
    write(files);
    await enforces(await publish(message));
  }

  const enroll = async (device: Device): Promise<void> => {
    const { joinLine } = await operate<{ joinLine: string }>('token', 'create', device);
    await command(device, ['enroll', '--state', stateOf(device)], joinLine);
  };

  /** The cloud's log. */
  const events = async (kind: string): Promise<readonly Event[]> =>
    (await operate<{ events: Event[] }>('audit', 'query', '--kind', kind, '--device', 'gateway-1')).events;

  async function close(): Promise<void> {
    await net.close();
    process.off('exit', forget);
    forget();
  }

  try {
    const endpoints = `{enrolment: "${control.address}:${control.enrolment}", edges: "${control.address}:${control.edges}"}`;
    writeFileSync(
      controlConfig,
      `trustDomain: plant.example\nstate: ${join(scratch, 'control')}\nlisten: ${endpoints}\nadvertise: ${endpoints}\n`,
    );
    writeFileSync(
      edgeConfig,
      [
        `state: ${stateOf('gateway-1')}`,
        `run: ${join(scratch, 'run')}`,
        `control: {address: "${control.address}:${control.edges}"}`,
        'firewall: {mode: enforce}',
        'proxies:',
        ...proxies.map((proxy) => `  - ${proxy}`),
        '',
      ].join('\n'),
    );
    await command('control', ['publisher', 'create', publisher]);
    await command('control', ['control', 'init', '--config', controlConfig, '--publisher', `${publisher}.pub`]);
    await program('control', ['control', 'run', '--config', controlConfig], /control plane runs/);
    write({
      'edgeward.yaml': 'format: 1\ntrustDomain: plant.example\n',
      'inventory/cell.yaml': inventory,
      'reference/executables.yaml': `executables: {gateway-1: ${JSON.stringify(await measureReferenceValues(edgeConfig))}}\n`,
      ...policy,
    });
    await git('init', '-q', '-b', 'main');
    const version = await publish('the cell, as it is');
    for (const device of devices) await enroll(device);
    await program('gateway-1', ['edge', 'run', '--config', edgeConfig], /edge runs/);
    await enforces(version);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    net,
    scratch,
    repository,
    edgeConfig,
    command,
    operate,
    enforce,
    events,
    read: (file: string): string => readFileSync(join(repository, file), 'utf8'),
    identityOf: (device: Device) => ({
      chain: join(stateOf(device), 'identity/chain.pem'),
      key: join(stateOf(device), 'identity/key.pem'),
      roots: join(stateOf(device), 'identity/roots.pem'),
    }),
    [Symbol.asyncDispose]: close,
  };
}

export type Host = 'control' | Device;
export type CellNetwork = Network<Host>;
