// Real proxies with the shipped configuration, each twice: one asks the edge, the other a server that allows everything at
// once. The same requests through both, in small blocks by turns; the latency that a client sees.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { placed, snippet, startEnvoy } from '../../test/envoy/envoy-process.ts';
import { findEnvoy } from '../../test/support/envoy-program.ts';
import { findProgram } from '../../test/support/capabilities.ts';
import { freePort } from '../../test/support/free-ports.ts';
import type { TestAuthority } from '../../test/support/pki.ts';
import { percentile } from '../machine.ts';
import { uriOf } from './check-requests.ts';
import { edgeDevice } from './policy.ts';
import type { Prepared } from './prepare.ts';
import { type MeasuredServer, startWebClient, type WebClient } from './processes.ts';
import type { WebOrder } from './web-client.ts';

export const proxyNames = ['envoy', 'nginx', 'caddy'] as const;
export type ProxyName = (typeof proxyNames)[number];

export interface ProxyPlan {
  /** Of each of the two, by turns. */
  readonly blocks: number;
  readonly requestsABlock: number;
}

interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface ProxyLatency {
  readonly name: ProxyName;
  /** Why nothing was measured, or does not count. */
  readonly fault?: string;
  readonly ours?: Latency;
  readonly canned?: Latency;
  readonly requests: number;
}

export interface ProxyWorld {
  readonly folder: string;
  readonly prepared: Prepared;
  /** Sockets of the edge, and of the canned servers of both kinds. */
  readonly edge: MeasuredServer;
  readonly cannedCheck: string;
  readonly cannedForwardAuth: string;
  readonly workloadPort: number;
}

const host = 'hmi.plant.example';
const CLIENTS = 20;

export async function measureProxies(
  world: ProxyWorld,
  plan: ProxyPlan,
  progress: (text: string) => void,
): Promise<ProxyLatency[]> {
  writeFiles(world);
  const client = await startWebClient();
  const seen: ProxyLatency[] = [];
  try {
    for (const name of proxyNames) {
      progress(`latency behind ${name}`);
      seen.push(
        await measureOne(name, world, plan, client).catch((error: unknown) => ({
          name,
          requests: 0,
          fault: error instanceof Error ? error.message : String(error),
        })),
      );
    }
  } finally {
    await client.stop();
  }
  return seen;
}

async function measureOne(
  name: ProxyName,
  world: ProxyWorld,
  plan: ProxyPlan,
  client: WebClient,
): Promise<ProxyLatency> {
  const missing = missingProgram(name);
  if (missing !== undefined) return { name, requests: 0, fault: missing };
  const scene = sceneOf(world.prepared);
  const ports = { ours: await freePort(), canned: await freePort() };
  const stops: (() => Promise<void>)[] = [];
  try {
    for (const [which, port] of Object.entries(ports))
      stops.push(await startProxy(name, which as keyof typeof ports, port, scene.interface, world));
    const order = (which: keyof typeof ports, requests: Scene['allowed'], from: number, count: number): WebOrder => ({
      port: ports[which],
      host,
      clients: scene.clients,
      requests,
      from,
      count,
    });
    const refused = await client.run(order('ours', scene.denied, 0, scene.denied.length));
    if (refused.statuses['403'] !== scene.denied.length)
      return { name, requests: 0, fault: `denied requests got ${JSON.stringify(refused.statuses)}` };
    const latencies = { ours: [] as number[], canned: [] as number[] };
    const { blocks, requestsABlock: count } = plan;
    for (const which of ['ours', 'canned'] as const) await client.run(order(which, scene.allowed, 0, count * 5));
    for (let block = 0; block < blocks; block++) {
      // Neither is always the first.
      const turn = block % 2 === 0 ? (['ours', 'canned'] as const) : (['canned', 'ours'] as const);
      for (const which of turn) {
        const got = await client.run(order(which, scene.allowed, block * count, count));
        if (got.statuses['200'] !== count)
          return { name, requests: 0, fault: `granted requests got ${JSON.stringify(got.statuses)}` };
        latencies[which].push(...got.latencies);
      }
    }
    return { name, requests: blocks * count, ours: latencyOf(latencies.ours), canned: latencyOf(latencies.canned) };
  } finally {
    await Promise.all(stops.map((stop) => stop()));
  }
}

function latencyOf(values: readonly number[]): Latency {
  return { p50Us: percentile(values, 0.5) ?? Number.NaN, p99Us: percentile(values, 0.99) ?? Number.NaN };
}

function missingProgram(name: ProxyName): string | undefined {
  const found = name === 'envoy' ? findEnvoy() : findProgram(name);
  return found === undefined ? `${name} is not installed here` : undefined;
}

interface Scene {
  /** One interface of the policy: a proxy guards one. */
  readonly interface: string;
  readonly clients: WebOrder['clients'];
  readonly allowed: WebOrder['requests'];
  readonly denied: WebOrder['requests'];
}

/** The interface with most allowed requests, and the devices that may most there. */
function sceneOf({ policy, authority }: Prepared): Scene {
  // A HEAD has no body to wait for, and its answer says the length of one.
  const web = policy.accesses.filter((access) => access.interface.startsWith('web-') && access.method !== 'HEAD');
  const most = <T>(list: readonly T[], of: (one: T) => string): string[] =>
    [...Map.groupBy(list, of)].sort(([, a], [, b]) => b.length - a.length).map(([key]) => key);
  const [name = ''] = most(
    web.filter(({ allow }) => allow),
    (access) => access.interface,
  );
  const here = web.filter((access) => access.interface === name);
  const devices = most(
    here.filter(({ allow }) => allow),
    ({ device }) => device,
  ).slice(0, CLIENTS);
  const asked = (allow: boolean): Scene['allowed'] =>
    here
      .filter((access) => access.allow === allow && devices.includes(access.device))
      .map(({ device, method, path }) => ({ client: devices.indexOf(device), method, path }));
  const clients = devices.map((device) => {
    const { chainPem, keyPem } = authority.issue(uriOf(device));
    return { certPem: chainPem, keyPem };
  });
  return { interface: name, clients, allowed: asked(true), denied: asked(false) };
}

/** What the configurations name: web.pem, web.key, roots.pem; Envoy's SDS files. */
function writeFiles({ folder, prepared: { authority } }: ProxyWorld): void {
  const web: ReturnType<TestAuthority['issue']> = authority.issue(`${uriOf(edgeDevice)}/workload/web`);
  const tls = join(folder, 'tls');
  mkdirSync(tls);
  const files = { 'chain.pem': web.chainPem, 'key.pem': web.keyPem, 'roots.pem': authority.rootPem };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(tls, name), text, { mode: 0o600 });
  for (const name of ['certificate.yaml', 'roots.yaml']) {
    writeFileSync(join(folder, name), placed(snippet(name), { '/etc/envoy/tls': tls }));
  }
}

async function startProxy(
  name: ProxyName,
  which: 'ours' | 'canned',
  port: number,
  interfaceName: string,
  world: ProxyWorld,
): Promise<() => Promise<void>> {
  const folder = join(world.folder, `${name}-${which}`);
  mkdirSync(folder);
  const { check, forwardAuth = '' } = world.edge.listening;
  const place = { ...world, folder, port, interfaceName };
  switch (name) {
    case 'envoy':
      return await runEnvoy({ ...place, socket: which === 'ours' ? check : world.cannedCheck });
    case 'nginx':
      return await runNginx({ ...place, socket: which === 'ours' ? forwardAuth : world.cannedForwardAuth });
    case 'caddy':
      return await runCaddy({ ...place, socket: which === 'ours' ? forwardAuth : world.cannedForwardAuth });
  }
}

interface Place extends Pick<ProxyWorld, 'workloadPort'> {
  /** Of this proxy; the files of writeFiles are in the folder above. */
  readonly folder: string;
  readonly port: number;
  readonly socket: string;
  readonly interfaceName: string;
}

async function runEnvoy({ folder, port, socket, interfaceName, workloadPort }: Place): Promise<() => Promise<void>> {
  const admin = join(folder, 'admin.sock');
  const text = placed(snippet('http.yaml'), {
    '0.0.0.0': '127.0.0.1',
    '8443': String(port),
    '8080': String(workloadPort),
    '/run/envoy/admin.sock': admin,
    '/run/edgeward/authz.sock': socket,
    'edgeward-interface: hmi-web': `edgeward-interface: ${interfaceName}`,
    '/var/log/envoy/hmi-web.log': join(folder, 'access.log'),
    '/etc/envoy/certificate.yaml': join(folder, '../certificate.yaml'),
    '/etc/envoy/roots.yaml': join(folder, '../roots.yaml'),
  });
  return (await startEnvoy(folder, text, admin)).stop;
}

const example = (name: string): string => readFileSync(join(import.meta.dirname, '../../examples', name), 'utf8');

async function runNginx({ folder, port, socket, interfaceName, workloadPort }: Place): Promise<() => Promise<void>> {
  const guard = join(folder, 'edgeward.conf');
  writeFileSync(guard, placed(example('nginx/edgeward.conf'), { '/run/edgeward/forward-auth.sock': socket }));
  const tls = join(folder, '../tls');
  const config = `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
worker_processes 1;
events {}
http {
    access_log ${folder}/access.log;
    client_body_temp_path ${folder}/body;
    proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${tls}/chain.pem;
        ssl_certificate_key ${tls}/key.pem;
        ssl_client_certificate ${tls}/roots.pem;
        keepalive_requests 1000000;
        set $edgeward_interface ${interfaceName};
        include ${guard};
        location / {
            proxy_pass http://127.0.0.1:${workloadPort};
        }
    }
}
`;
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, config);
  return await run(findProgram('nginx') ?? 'nginx', ['-c', file, '-p', folder], port, folder);
}

async function runCaddy({ folder, port, socket, interfaceName, workloadPort }: Place): Promise<() => Promise<void>> {
  const file = join(folder, 'Caddyfile');
  const tls = join(folder, '../tls');
  const text = placed(example('caddy/Caddyfile'), {
    '/run/edgeward/forward-auth.sock': socket,
    'hmi.plant.example:8443': `${host}:${port}`,
    '/etc/caddy/web.pem': join(tls, 'chain.pem'),
    '/etc/caddy/web.key': join(tls, 'key.pem'),
    '/var/lib/edgeward/identity/roots.pem': join(tls, 'roots.pem'),
    'edgeward_interface hmi-web': `edgeward_interface ${interfaceName}`,
    '127.0.0.1:8080': `127.0.0.1:${workloadPort}`,
  });
  writeFileSync(file, text);
  return await run(findProgram('caddy') ?? 'caddy', ['run', '--config', file, '--adapter', 'caddyfile'], port, folder);
}

/** Resolves when it listens; what it gives ends it. */
async function run(
  program: string,
  args: readonly string[],
  port: number,
  folder: string,
): Promise<() => Promise<void>> {
  const env = { ...process.env, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env });
  const said: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const exit = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exit;
  };
  for (let tries = 0; !(await connects(port)); tries++) {
    if (tries > 200 || child.exitCode !== null) {
      await stop();
      throw new Error(`${program} does not listen: ${said.join('').slice(-500)}`);
    }
    await delay(50);
  }
  return stop;
}

const connects = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
