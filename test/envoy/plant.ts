// A plant in small: an authority, the web server's policy compiled by the real engine, the real enforcer on its socket, and
// an Envoy with the shipped snippet between curl and a web server that remembers what reached it.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createSubjects } from '../../bin/edge/subjects.ts';
import type { SubjectView } from '../../enforcer/activation/index.ts';
import type { AuthzPorts } from '../../enforcer/authz/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import { certificatesFromPem, parseCertificate } from '../../identity/index.ts';
import { sliceSchema } from '../../policy/bundle/slice.ts';
import { compileSlice, type Fulfilment, noUsage, requireFulfilment } from '../../policy/engine/index.ts';
import { freePort } from '../support/free-ports.ts';
import { createTestAuthority, type TestAuthority } from '../support/pki.ts';
import { type Envoy, placed, snippet, startEnvoy } from './envoy-process.ts';

const run = promisify(execFile);

export const bundleDigest = 'cd'.repeat(32);

/** gateway-1 may read below /status and reach plc-ssh; nobody may do anything else. */
export const plantSlice = sliceSchema.parse({
  format: 1,
  trustDomain: 'plant.example',
  device: 'hmi-1',
  devices: [],
  interfaces: [
    {
      name: 'hmi-web',
      device: 'hmi-1',
      protocol: 'http',
      transport: 'tcp',
      port: 8443,
      operations: [
        {
          name: 'view',
          protocol: 'http',
          methods: ['GET', 'POST'],
          paths: ['/status', '/status/*'],
          class: 'normal',
          island: false,
        },
      ],
      onEnforcerDeath: 'closed',
      auditDurable: false,
      place: 'interfaces/hmi.yaml:3',
    },
    {
      name: 'plc-ssh',
      device: 'hmi-1',
      protocol: 'port',
      transport: 'tcp',
      port: 22,
      operations: [{ name: 'connect', protocol: 'port', class: 'normal', island: false }],
      onEnforcerDeath: 'closed',
      auditDurable: false,
      place: 'interfaces/plc.yaml:3',
    },
  ],
  grants: [
    ['gateway-views', 'hmi-web', 'view'],
    ['gateway-connects', 'plc-ssh', 'connect'],
  ].map(([id, name, operation]) => ({
    id,
    subjects: ['gateway-1'],
    interface: name,
    device: 'hmi-1',
    operations: [operation],
    binding: 'svid',
    conditions: {},
    place: 'grants/plant.yaml:2',
  })),
  denies: [],
  firewall: [],
  casbin: [],
  selfTest: [],
});

/** What the orders of the control plane say; another set when it changes. */
export interface Orders {
  /** Serial numbers. */
  revoked: ReadonlySet<string>;
  quarantined: ReadonlySet<string>;
}

export const noOrders = (): Orders => ({ revoked: new Set(), quarantined: new Set() });

/** The real engine, and the real subjects: nobody but by a certificate that is verified here. */
export function plantPorts(
  { root, intermediate }: Pick<TestAuthority, 'root' | 'intermediate'>,
  orders: Orders = noOrders(),
): AuthzPorts {
  const anchors = { trustDomain: 'plant.example', roots: [root] };
  const identity = { chain: [Buffer.alloc(0), intermediate], anchors };
  const own = { current: () => identity, anchors: () => anchors };
  const subjects = createSubjects(
    own,
    {
      subjectState: (id) => ({ state: orders.quarantined.has(id) ? 'quarantined' : 'trusted', attributes: {} }),
      view: () => ({ revoked: orders.revoked }) as SubjectView,
    },
    () => Date.now(),
  );
  const engine = compileSlice(plantSlice, { digest: bundleDigest, softExpiry: 4e12, hardExpiry: 4e12 });
  return {
    decide: (request, { fulfilment }: { fulfilment: Fulfilment }) =>
      requireFulfilment(engine.decide(request, 'fresh', noUsage), fulfilment),
    usage: () => noRequestUsage,
    identify: (peer) => subjects.fromEvidence(peer),
    log: { note: () => undefined, keep: () => Promise.resolve() },
    auditDurable: () => false,
    now: () => Date.now(),
  };
}

export interface Reached {
  readonly method: string;
  readonly url: string;
  /** Name and value of each header line, in turn. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export interface Reply {
  /** 0 when the connection ended without an answer. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

export type Client = 'gateway-1' | 'gateway-2' | 'stranger';

export interface Plant extends AsyncDisposable {
  readonly folder: string;
  readonly authority: TestAuthority;
  /** `unix:` address where the snippets look for the enforcer. */
  readonly enforcerAddress: string;
  readonly port: number;
  readonly webPort: number;
  /** What reached the web server, oldest first. */
  readonly reached: Reached[];
  readonly ports: AuthzPorts;
  readonly orders: Orders;
  /** Serial number of a client's certificate. */
  readonly serialOf: (client: Client) => string;
  /**
   * Starts Envoy with a snippet, changed by `edit` where the test is about a change. `patient`: with more time for the enforcer,
   * so that a busy machine is not taken for a dead one; `shipped` where the test is about time.
   */
  readonly envoy: (
    name: 'http.yaml' | 'network.yaml',
    edit?: (config: string) => string,
    times?: 'patient' | 'shipped',
  ) => Promise<Envoy>;
  /** curl arguments of a client. */
  readonly identity: (client: Client) => readonly string[];
  /** Asks with curl, path as it is. */
  readonly ask: (path: string, client?: Client | 'nobody', args?: readonly string[]) => Promise<Reply>;
  /** Entries of Envoy's access log. */
  readonly accessLog: () => readonly Record<string, unknown>[];
}

export async function openPlant(): Promise<Plant> {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-envoy-'));
  const authority = createTestAuthority('plant.example');
  writeIdentities(folder, authority);
  const reached: Reached[] = [];
  const web = await serveWeb(reached);
  const port = await freePort();
  const webPort = (web.address() as AddressInfo).port;
  const orders = noOrders();
  const running: Envoy[] = [];
  const identity = (client: Client): readonly string[] => [
    '--cert',
    join(folder, `${client}.pem`),
    '--key',
    join(folder, `${client}.key`),
  ];
  const socket = join(folder, 'authz.sock');
  const log = join(folder, 'access.log');
  return {
    folder,
    authority,
    enforcerAddress: `unix:${socket}`,
    port,
    webPort,
    reached,
    ports: plantPorts(authority, orders),
    orders,
    serialOf: (client) => {
      const leaf = certificatesFromPem(readFileSync(join(folder, `${client}.pem`), 'utf8'))[0] ?? Buffer.alloc(0);
      return parseCertificate(leaf).serialHex;
    },
    identity,
    envoy: async (name, edit = (config) => config, times = 'patient') => {
      const admin = join(folder, 'admin.sock');
      const text = placed(snippet(name), {
        '0.0.0.0': '127.0.0.1',
        '8443': String(port),
        '8080': String(webPort),
        ...(times === 'patient' && { 'timeout: 0.5s': 'timeout: 10s' }),
        '/run/envoy/admin.sock': admin,
        '/run/edgeward/authz.sock': socket,
        [name === 'http.yaml' ? '/var/log/envoy/hmi-web.log' : '/var/log/envoy/plc-ssh.log']: log,
        '/etc/envoy/certificate.yaml': join(folder, 'certificate.yaml'),
        '/etc/envoy/roots.yaml': join(folder, 'roots.yaml'),
      });
      const envoy = await startEnvoy(folder, edit(text), admin);
      running.push(envoy);
      return envoy;
    },
    ask: async (path, client = 'gateway-1', args = []) => {
      const who = client === 'nobody' ? [] : identity(client);
      const url = `https://127.0.0.1:${port}${path}`;
      const options = ['-sk', '--path-as-is', '--max-time', '20', '-D', '-', ...who, ...args, url];
      const { stdout } = await run('curl', options).catch((error: { stdout: string }) => error);
      const end = stdout.lastIndexOf('\r\n\r\n');
      const head = stdout.slice(0, end);
      const last = head.slice(head.lastIndexOf('HTTP/'));
      return { status: Number(last.split(' ')[1] ?? 0), head: last, body: stdout.slice(end + 4) };
    },
    accessLog: () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    async [Symbol.asyncDispose]() {
      await Promise.all(running.map(async (envoy) => await envoy.stop()));
      web.close();
      web.closeAllConnections();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function writeIdentities(folder: string, authority: TestAuthority): void {
  const device = (name: string) => `spiffe://plant.example/device/${name}`;
  const identities = {
    'gateway-1': authority.issue(device('gateway-1')),
    'gateway-2': authority.issue(device('gateway-2')),
    stranger: createTestAuthority('plant.example').issue(device('gateway-1')),
  };
  for (const [name, svid] of Object.entries(identities)) {
    writeFileSync(join(folder, `${name}.pem`), svid.chainPem);
    writeFileSync(join(folder, `${name}.key`), svid.keyPem, { mode: 0o600 });
  }
  const tls = join(folder, 'tls');
  mkdirSync(tls);
  const web = authority.issue(`${device('hmi-1')}/workload/web`);
  writeFileSync(join(tls, 'chain.pem'), web.chainPem);
  writeFileSync(join(tls, 'key.pem'), web.keyPem, { mode: 0o600 });
  writeFileSync(join(tls, 'roots.pem'), authority.rootPem);
  for (const name of ['certificate.yaml', 'roots.yaml']) {
    writeFileSync(join(folder, name), placed(snippet(name), { '/etc/envoy/tls': tls }));
  }
}

async function serveWeb(reached: Reached[]): Promise<Server> {
  const server = createServer({ maxHeaderSize: 65_536 }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = request.rawHeaders;
      reached.push({
        method: request.method ?? '',
        url: request.url ?? '',
        headers: raw.flatMap((name, index) =>
          index % 2 === 0 ? [[name.toLowerCase(), raw[index + 1] ?? ''] as const] : [],
        ),
        body: Buffer.concat(chunks).toString('latin1'),
      });
      response.end('hmi status\n');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

/** Values of a header that reached the web server. */
export const valuesOf = ({ headers }: Reached, name: string): string[] =>
  headers.filter(([key]) => key === name).map(([, value]) => value);
