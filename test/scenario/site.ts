// A site on loopback, made of the real programs as child processes: control plane, edges, the edgeward command. No root
// and no packet filter; the devices of the example policy get addresses of 127.0.0.0/8.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { measureReferenceValues } from '../../bin/measure.ts';
import { type AdminClient, connectAdmin } from '../../cli/admin-command.ts';
import { writeCredential } from '../../cli/credential.ts';
import { certificatesToPem, createCsr, exportPkcs8Pem, generateKey } from '../../identity/index.ts';
import { freePorts } from '../support/free-ports.ts';
import { endChild, type NetProcess, run, start } from '../support/netns-process.ts';

const root = join(import.meta.dirname, '../..');
const edgeward = [process.execPath, '--disallow-code-generation-from-strings', join(root, 'bin/edgeward.ts')];

export const edgeNames = ['hmi-1', 'gateway-1', 'plc-1'] as const;
export type EdgeName = (typeof edgeNames)[number];

/** Addresses that clients of the Modbus proxy connect from; they tell it which device speaks. */
export const addressOf: Readonly<Record<EdgeName, string>> = {
  'gateway-1': '127.77.0.11',
  'plc-1': '127.77.0.12',
  'hmi-1': '127.77.0.13',
};

export interface SiteOptions {
  /** Default: SQLite in the control plane's state directory. */
  readonly database?: string;
  /** Edits of the example policy, by file. */
  readonly policy?: Readonly<Record<string, (text: string) => string>>;
  /** `address:port` behind the Modbus proxy of plc-1; no proxy without it. */
  readonly plc?: string;
  /** Seconds between two challenges of a device; measuring costs an edge a third of a second. Default 30. */
  readonly challengeSeconds?: number;
}

export interface Answer<T> {
  readonly code: number;
  readonly document: T;
  readonly stderr: string;
}

export interface EdgeStatus {
  readonly device: string;
  readonly serving: boolean;
  readonly version: number;
  readonly bundle: string;
  readonly stream: {
    readonly connected: boolean;
    readonly lastError?: { readonly code: string; readonly message: string };
  };
  readonly clock: { readonly trusted: boolean; readonly floor: number; readonly localSkewMs?: number };
  readonly spool: {
    readonly epoch: string;
    readonly sequence: number;
    readonly acknowledged: number;
    readonly state: string;
    readonly lost: number;
  };
}

export interface Event {
  readonly index: number;
  readonly device: string;
  readonly sequence: number;
  readonly kind: string;
  readonly activity: string;
  readonly severity: string;
  readonly time: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export type Site = Awaited<ReturnType<typeof createSite>>;

/** Everything up to a control plane that runs and has a published policy; edges are enrolled and started by the test. */
export async function createSite(options: SiteOptions = {}) {
  const scratch = mkdtempSync(join(tmpdir(), 'ews-'));
  const [enrolmentPort = 0, edgesPort = 0, proxyPort = 0] = await freePorts(3);
  const children = new Set<ChildProcess>();
  const running = new Map<string, NetProcess>();
  const clients: AdminClient[] = [];
  // Programs start dozens of times; the compile cache halves what a start costs.
  const environment = {
    EDGEWARD_PASSPHRASE: 'only of this test',
    HOME: scratch,
    NODE_COMPILE_CACHE: join(scratch, 'cache'),
  };
  const paths = {
    scratch,
    control: join(scratch, 'control'),
    controlConfig: join(scratch, 'control.yaml'),
    admin: join(scratch, 'control/admin'),
    publisher: join(scratch, 'publisher.pem'),
    policy: join(scratch, 'policy'),
    state: (name: string) => join(scratch, name, 'state'),
    edgeConfig: (name: string) => join(scratch, name, 'edge.yaml'),
    program: (name: string) => join(scratch, name, 'app.bin'),
    chain: (name: string) => join(scratch, name, 'state/identity/chain.pem'),
    key: (name: string) => join(scratch, name, 'state/identity/key.pem'),
    grpcSocket: (name: string) => join(scratch, name, 'run/authz.sock'),
    forwardAuthSocket: (name: string) => join(scratch, name, 'run/forward-auth.sock'),
  };
  const addresses = { enrolment: `127.0.0.1:${enrolmentPort}`, edges: `127.0.0.1:${edgesPort}`, proxyPort };
  /** Leaves nothing behind when a test fails or is interrupted. */
  const abandon = (): void => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(scratch, { recursive: true, force: true });
  };
  process.once('exit', abandon);

  /** Runs `edgeward … --json` to its end. */
  async function tryCommand<T = Record<string, unknown>>(args: readonly string[], input?: string): Promise<Answer<T>> {
    const { code, stdout, stderr } = await run([...edgeward, ...args, '--json'], {
      env: environment,
      cwd: scratch,
      timeoutMs: 60_000,
      ...(input === undefined ? {} : { input }),
    });
    return { code, document: (stdout.trim() === '' ? {} : JSON.parse(stdout)) as T, stderr };
  }

  async function command<T = Record<string, unknown>>(args: readonly string[], input?: string): Promise<T> {
    const answer = await tryCommand<T>(args, input);
    if (answer.code === 0) return answer.document;
    throw new Error(
      `edgeward ${args.join(' ')} ended with ${answer.code}: ${JSON.stringify(answer.document)} ${answer.stderr}`,
    );
  }

  const admin = async <T>(...args: readonly string[]): Promise<T> =>
    await command<T>([...args, '--identity', paths.admin]);

  /** A client with an operator's credential; closed with the site. */
  function client(directory: string = paths.admin): AdminClient {
    const made = connectAdmin(directory);
    clients.push(made);
    return made;
  }

  async function launch(name: string, args: readonly string[], ready: RegExp): Promise<NetProcess> {
    const child = start([...edgeward, ...args], children, { env: environment, cwd: scratch }, false);
    running.set(name, child);
    await child.waitFor(ready, 30_000);
    return child;
  }

  const startControl = async (): Promise<NetProcess> =>
    await launch('control', ['control', 'run', '--config', paths.controlConfig], /control plane runs/);

  const startEdge = async (name: EdgeName): Promise<NetProcess> =>
    await launch(name, ['edge', 'run', '--config', paths.edgeConfig(name)], /edge runs/);

  async function stop(name: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = running.get(name);
    if (child === undefined) throw new Error(`${name} does not run`);
    child.child.kill(signal);
    await child.exited;
  }

  function writeConfigs(): void {
    mkdirSync(paths.control, { recursive: true });
    const control = [
      'trustDomain: plant.example',
      `state: ${paths.control}`,
      ...(options.database === undefined ? [] : [`database: "${options.database}"`]),
      `listen: {enrolment: "${addresses.enrolment}", edges: "${addresses.edges}"}`,
      `advertise: {enrolment: "${addresses.enrolment}", edges: "${addresses.edges}"}`,
      `attestation: {intervalSeconds: ${options.challengeSeconds ?? 30}, maxAgeSeconds: 90}`,
      'diagnostics: 0',
    ];
    writeFileSync(paths.controlConfig, `${control.join('\n')}\n`);
    for (const name of edgeNames) {
      mkdirSync(join(scratch, name), { recursive: true });
      const proxy = name === 'plc-1' && options.plc !== undefined;
      const edge = [
        `state: ${paths.state(name)}`,
        `run: ${join(scratch, name, 'run')}`,
        `control: {address: "${addresses.edges}"}`,
        'firewall: {mode: off}',
        ...(proxy ? [`proxies: [{interface: plc-modbus, listen: ${proxyPort}, upstream: "${options.plc}"}]`] : []),
        `attest: {executables: [${paths.program(name)}]}`,
        'diagnostics: 0',
      ];
      writeFileSync(paths.edgeConfig(name), `${edge.join('\n')}\n`);
      writeFileSync(paths.program(name), `program of ${name}\n`);
    }
  }

  /** The shipped example with loopback addresses and this machine's reference values, as a git repository. */
  async function writePolicy(): Promise<void> {
    cpSync(join(root, 'examples/policy'), paths.policy, { recursive: true });
    editFile('inventory/cell.yaml', (text) => text.replaceAll('10.77.0.', '127.77.0.'));
    for (const [file, edit] of Object.entries(options.policy ?? {})) editFile(file, edit);
    const devices = await Promise.all(
      edgeNames.map(async (name) => {
        const values = await measureReferenceValues(paths.edgeConfig(name));
        const lines = Object.entries(values).map(
          ([path, digests]) => `    ${JSON.stringify(path)}: [${digests.join(', ')}]`,
        );
        return [`  ${name}:`, ...lines].join('\n');
      }),
    );
    editFile('reference/executables.yaml', () => `executables:\n${devices.join('\n')}\n`);
    await git('init', '-q', '-b', 'main');
    await commit('the cell, as it is');
  }

  function editFile(file: string, edit: (text: string) => string): void {
    const path = join(paths.policy, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, edit(existsSync(path) ? readFileSync(path, 'utf8') : ''));
  }

  async function commit(message: string): Promise<void> {
    await git('add', '-A');
    await git('-c', 'user.name=Ada Author', '-c', 'user.email=ada@plant.example', 'commit', '-q', '-m', message);
  }

  async function git(...args: readonly string[]): Promise<void> {
    const { code, stderr } = await run(['git', '-C', paths.policy, ...args], { env: environment });
    if (code !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  }

  const publish = async (): Promise<{ version: number; commit: string }> =>
    await admin('policy', 'publish', paths.policy, '--key', paths.publisher);

  /** Token and enrolment of one device, the join line over standard input; gives the line. */
  async function enroll(name: EdgeName): Promise<string> {
    const { joinLine } = await operators.createToken({ deviceId: name });
    await command(['enroll', '--state', paths.state(name)], joinLine);
    return joinLine;
  }

  /** A credential with these roles; gives its directory. */
  async function issueOperator(name: string, roles: readonly string[]): Promise<string> {
    const keys = generateKey();
    const issued = await operators.issueOperator({ name, roles: [...roles], csrDer: createCsr(keys) });
    const directory = join(scratch, `operator-${name}`);
    writeCredential(directory, {
      key: exportPkcs8Pem(keys.privateKey),
      chain: certificatesToPem(issued.certificateChainDer),
      roots: readFileSync(join(paths.admin, 'roots.pem'), 'utf8'),
      control: readFileSync(join(paths.admin, 'control.json'), 'utf8'),
    });
    return directory;
  }

  async function status(name: EdgeName): Promise<EdgeStatus> {
    const port = /"diagnostics":(\d+)/.exec(running.get(name)?.output() ?? '')?.[1];
    const response = await fetch(`http://127.0.0.1:${port}/status`, { signal: AbortSignal.timeout(5_000) });
    return (await response.json()) as EdgeStatus;
  }

  async function close(): Promise<void> {
    for (const made of clients) made.close();
    await Promise.all([...children].map(endChild));
    process.off('exit', abandon);
    rmSync(scratch, { recursive: true, force: true });
  }

  try {
    writeConfigs();
    await command(['publisher', 'create', paths.publisher]);
    await command(['control', 'init', '--config', paths.controlConfig, '--publisher', `${paths.publisher}.pub`]);
    await Promise.all([startControl(), writePolicy()]);
    await publish();
  } catch (error) {
    abandon();
    throw error;
  }
  const operators = client();

  const stateOf = async (device: string): Promise<string> =>
    (await operators.listDevices({ deviceId: device })).devices[0]?.state ?? '';

  /** The cloud's log, decoded, in log order. */
  async function events(filter: { device?: string; kind?: string; after?: number } = {}): Promise<Event[]> {
    const found: Event[] = [];
    for (let after = BigInt(filter.after ?? 0); ;) {
      const { entries } = await operators.queryEvents({
        deviceId: filter.device ?? '',
        kind: filter.kind ?? '',
        afterIndex: after,
        limit: 1_000,
      });
      for (const { index, deviceId, sequence, payload } of entries) {
        const event = JSON.parse(new TextDecoder().decode(payload)) as Omit<Event, 'index' | 'device' | 'sequence'>;
        found.push({ ...event, index: Number(index), device: deviceId, sequence: Number(sequence) });
        after = index;
      }
      if (entries.length < 1_000) return found;
    }
  }

  const outputOf = (name: string): string => running.get(name)?.output() ?? '';

  return {
    paths,
    addresses,
    operators,
    tryCommand,
    command,
    admin,
    client,
    startControl,
    startEdge,
    stop,
    editFile,
    commit,
    publish,
    enroll,
    issueOperator,
    status,
    stateOf,
    events,
    outputOf,
    close,
    [Symbol.asyncDispose]: close,
  };
}
