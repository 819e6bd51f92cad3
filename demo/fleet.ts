// The programs of the demo: the control plane, three edges, and the edgeward command, each in its own namespace.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Network, NetProcess } from '../test/support/netns.ts';
import { StepFailed } from './report.ts';
import { addresses, type EdgeName, edges, type HostName } from './site.ts';

const root = join(import.meta.dirname, '..');
const edgeward = [process.execPath, '--disallow-code-generation-from-strings', join(root, 'bin/edgeward.ts')];
const enrolmentPort = 7442;
const edgesPort = 7443;

export interface Answer<T> {
  readonly code: number;
  readonly document: T;
  readonly stderr: string;
}

export type Fleet = ReturnType<typeof createFleet>;

/** Where the programs run: the namespaces of the demo, or this host alone. */
export interface Ground {
  readonly network: Pick<Network<HostName>, 'exec' | 'spawn'>;
  readonly controlAddress: string;
  /** Lines added to an edge's configuration. */
  readonly edgeConfig: (name: EdgeName) => readonly string[];
}

/** Each host in its own namespace. */
export const namespaces = (network: Network<HostName>): Ground => ({
  network,
  controlAddress: addresses.control,
  edgeConfig: (name) => (name === 'plc-1' ? ['proxies: [{interface: plc-modbus, listen: 15502}]'] : []),
});

/** Digests that the policy accepts, by device and file. */
type References = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

export function createFleet({ network, controlAddress, edgeConfig }: Ground, scratch: string) {
  const environment = { EDGEWARD_PASSPHRASE: 'demo passphrase, never used elsewhere', HOME: scratch };
  const paths = {
    scratch,
    control: join(scratch, 'control'),
    controlConfig: join(scratch, 'control.yaml'),
    admin: join(scratch, 'control/admin'),
    publisher: join(scratch, 'publisher.pem'),
    policy: join(scratch, 'policy'),
    edge: (name: EdgeName) => join(scratch, name),
    edgeConfig: (name: EdgeName) => join(scratch, name, 'edge.yaml'),
    identity: (name: EdgeName) => ({
      chain: join(scratch, name, 'state/identity/chain.pem'),
      key: join(scratch, name, 'state/identity/key.pem'),
    }),
  };
  const running = new Map<string, NetProcess>();
  /** The last process of each name, running or not, for its log. */
  const outputs = new Map<string, NetProcess>();

  /** Runs `edgeward … --json` on a host; throws with its error unless it ends with 0. */
  async function command<T>(host: HostName, args: readonly string[], input?: string): Promise<T> {
    const answer = await tryCommand<T>(host, args, input);
    if (answer.code !== 0)
      throw new StepFailed(
        `edgeward ${args.slice(0, 2).join(' ')} ended with ${answer.code}: ${JSON.stringify(answer.document)} ${answer.stderr}`,
      );
    return answer.document;
  }

  async function tryCommand<T>(host: HostName, args: readonly string[], input?: string): Promise<Answer<T>> {
    const options = { env: environment, cwd: scratch, timeoutMs: 60_000, ...(input === undefined ? {} : { input }) };
    const { code, stdout, stderr } = await network.exec(host, [...edgeward, ...args, '--json'], options);
    return { code, document: (stdout.trim() === '' ? {} : JSON.parse(stdout)) as T, stderr };
  }

  /** An administration command with the bootstrap credential. */
  const admin = async <T>(...args: readonly string[]): Promise<T> =>
    await command<T>('control', [...args, '--identity', paths.admin]);

  function writeControlConfig(): void {
    mkdirSync(scratch, { recursive: true });
    const lines = [
      'trustDomain: plant.example',
      `state: ${paths.control}`,
      `listen: {enrolment: "${controlAddress}:${enrolmentPort}", edges: "${controlAddress}:${edgesPort}"}`,
      `advertise: {enrolment: "${controlAddress}:${enrolmentPort}", edges: "${controlAddress}:${edgesPort}"}`,
      'attestation: {intervalSeconds: 20, maxAgeSeconds: 120}',
      'logLevel: info',
    ];
    writeFileSync(paths.controlConfig, `${lines.join('\n')}\n`);
  }

  /** Publisher's key, then the authority; the configuration is written before. */
  async function initControl(): Promise<{ rootFingerprint: string }> {
    await command('control', ['publisher', 'create', paths.publisher]);
    const publisher = `${paths.publisher}.pub`;
    return await command('control', ['control', 'init', '--config', paths.controlConfig, '--publisher', publisher]);
  }

  function writeEdgeConfig(name: EdgeName): void {
    const folder = paths.edge(name);
    mkdirSync(folder, { recursive: true });
    const lines = [
      `state: ${join(folder, 'state')}`,
      `run: ${join(folder, 'run')}`,
      `control: {address: "${controlAddress}:${edgesPort}"}`,
      ...edgeConfig(name),
      `attest: {executables: [${join(folder, 'app.bin')}]}`,
    ];
    writeFileSync(paths.edgeConfig(name), `${lines.join('\n')}\n`);
    // The workload's program, as far as attestation is concerned: a file whose digest the policy repository accepts.
    writeFileSync(join(folder, 'app.bin'), `program of ${name}\n`);
  }

  /** Writes the configuration of every edge and measures its executables there. */
  async function measureReferences(): Promise<References> {
    const references: Record<string, Record<string, readonly string[]>> = {};
    for (const name of edges) {
      writeEdgeConfig(name);
      const args = ['attest', 'measure', '--config', paths.edgeConfig(name)];
      const { executables } = await command<{ executables: Record<string, string[]> }>(name, args);
      references[name] = executables;
    }
    return references;
  }

  async function start(name: 'control' | EdgeName): Promise<NetProcess> {
    const args =
      name === 'control'
        ? ['control', 'run', '--config', paths.controlConfig]
        : ['edge', 'run', '--config', paths.edgeConfig(name)];
    const child = network.spawn(name, [...edgeward, ...args], { env: environment, cwd: scratch });
    running.set(name, child);
    outputs.set(name, child);
    await child.waitFor(name === 'control' ? /control plane runs/ : /edge runs/, 20_000);
    return child;
  }

  function process_(name: 'control' | EdgeName): NetProcess {
    const found = running.get(name);
    if (found === undefined) throw new StepFailed(`${name} does not run`);
    return found;
  }

  async function stop(name: 'control' | EdgeName, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await process_(name).stop(signal);
    running.delete(name);
  }

  /** The policy repository: the shipped example with this machine's reference values, as a git repository. */
  async function writePolicy(references: References): Promise<void> {
    cpSync(join(root, 'examples/policy'), paths.policy, { recursive: true });
    const devices = Object.entries(references).map(([device, values]) => {
      const lines = Object.entries(values).map(
        ([path, digests]) => `    ${JSON.stringify(path)}: [${digests.join(', ')}]`,
      );
      return [`  ${device}:`, ...lines].join('\n');
    });
    writeFileSync(join(paths.policy, 'reference/executables.yaml'), `executables:\n${devices.join('\n')}\n`);
    await git('init', '-q', '-b', 'main');
    await commit('the cell, as it is');
  }

  async function editPolicy(file: string, edit: (text: string) => string, message: string): Promise<void> {
    const path = join(paths.policy, file);
    writeFileSync(path, edit(readFileSync(path, 'utf8')));
    await commit(message);
  }

  async function commit(message: string): Promise<void> {
    await git('add', '-A');
    await git('-c', 'user.name=Ada Author', '-c', 'user.email=ada@plant.example', 'commit', '-q', '-m', message);
  }

  async function git(...args: readonly string[]): Promise<void> {
    const { code, stderr } = await network.exec('control', ['git', '-C', paths.policy, ...args], { env: environment });
    if (code !== 0) throw new StepFailed(`git ${args.join(' ')}: ${stderr}`);
  }

  const publish = async (): Promise<{ version: number }> =>
    await admin('policy', 'publish', paths.policy, '--key', paths.publisher);

  /** Token and enrolment of one device; milliseconds from the join line to the certificate on the device's disk. */
  async function enroll(name: EdgeName, options: readonly string[] = []): Promise<number> {
    const { joinLine } = await admin<{ joinLine: string }>('token', 'create', name, ...options);
    const started = performance.now();
    await command(name, ['enroll', '--state', join(paths.edge(name), 'state')], joinLine);
    return performance.now() - started;
  }

  const status = async (name: EdgeName): Promise<EdgeStatus> =>
    await command<EdgeStatus>(name, ['edge', 'status', '--config', paths.edgeConfig(name)]);

  const outputOf = (name: 'control' | EdgeName): string => outputs.get(name)?.output() ?? '';

  return {
    outputOf,
    paths,
    command,
    tryCommand,
    admin,
    writeControlConfig,
    initControl,
    measureReferences,
    start,
    stop,
    process: process_,
    writePolicy,
    editPolicy,
    publish,
    enroll,
    status,
  };
}

export interface EdgeStatus {
  readonly serving: boolean;
  readonly version: number;
  readonly stream: { readonly connected: boolean };
  readonly spool: { readonly sequence: number; readonly acknowledged: number; readonly lost: number };
}
