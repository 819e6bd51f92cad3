// What the tests of real proxies share: an enforcer's forward-auth socket with an engine of two lines, a workload that says
// what reached it, an authority with clients, and curl.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type AuthzPorts, serveAuthz } from '../../enforcer/authz/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import { certificatesFromPem, verifyChain } from '../../identity/index.ts';
import { freePort } from './free-ports.ts';
import { createTestAuthority } from './pki.ts';

const run = promisify(execFile);

/** What the engine was asked. */
export interface Asked {
  readonly subject: string;
  readonly interface: string;
  readonly method: string;
  readonly path: string;
  readonly connection: string;
}

/** What reached the workload. */
export interface Reached {
  readonly method: string;
  readonly url: string;
  /** Names in lower case and values, each header line apart. */
  readonly headers: readonly (readonly [string, string])[];
}

export interface Heard {
  /** 0 where the proxy ended the connection without an answer. */
  readonly status: number;
  readonly text: string;
}

export interface Ask {
  readonly certificate?: 'gateway-1' | 'stranger';
  readonly headers?: readonly string[];
  readonly method?: string;
  /** Further arguments of curl. */
  readonly curl?: readonly string[];
}

export interface GuardedWeb {
  readonly scratch: string;
  readonly socket: string;
  /** Port of the proxy, for `https://hmi.plant.example:<port>`. */
  readonly port: number;
  readonly workloadPort: number;
  readonly asked: Asked[];
  readonly reached: Reached[];
  /** Bearer tokens that were to be verified. */
  readonly bearers: string[];
  /** Files in `scratch`: web.pem, web.key, roots.pem. */
  ask(target: string, ask?: Ask): Promise<Heard>;
  stopEnforcer(): Promise<void>;
  startEnforcer(): Promise<void>;
  /** From now on no question is answered. */
  hang(): void;
  /** Starts a proxy and waits until it listens. */
  proxy(program: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<void>;
  close(): Promise<void>;
}

/** gateway-1 may see `/status` of `hmi-web`, with any method; nobody else may see anything. */
export async function openGuardedWeb(name: string): Promise<GuardedWeb> {
  const scratch = mkdtempSync(join(tmpdir(), `edgeward-${name}-`));
  const authority = createTestAuthority('plant.example');
  const asked: Asked[] = [];
  const bearers: string[] = [];
  let hanging = false;
  const ports: AuthzPorts = {
    decide: ({ subject, resource, operation, context }) => {
      if (operation.protocol !== 'http') throw new Error('not about a request');
      const { method, path } = operation;
      asked.push({ subject: subject.id, interface: resource.interface, method, path, connection: context.connection });
      const allow = subject.id === 'gateway-1' && resource.interface === 'hmi-web' && path === '/status';
      const reason = allow ? 'granted' : 'no-grant';
      return { allow, reason, rule: allow ? 'grant:view' : '', place: '', operation: '', bundle: '' };
    },
    usage: () => noRequestUsage,
    identify: async ({ certificatePem = '', bearer }) => {
      if (bearer !== undefined) bearers.push(bearer);
      if (hanging) await new Promise(() => undefined);
      const leaf = certificatesFromPem(certificatePem)[0] ?? Buffer.alloc(0);
      const svid = verifyChain(leaf, [authority.intermediate], [authority.root], {
        now: Date.now(),
        trustDomain: 'plant.example',
      });
      return { id: svid.id.name, binding: 'svid', state: 'trusted', attributes: {} };
    },
    log: { note: () => undefined, keep: () => Promise.resolve() },
    auditDurable: () => false,
    now: () => Date.now(),
  };
  const socket = join(scratch, 'forward-auth.sock');
  const serve = async () =>
    await serveAuthz(ports, () => true, { grpc: [], forwardAuthSocket: socket, socketMode: 0o666 });
  let enforcer = await serve();
  const reached: Reached[] = [];
  const workload = createWorkload(reached);
  await once(workload.listen(0, '127.0.0.1'), 'listening');
  writeFiles(scratch, authority);
  const port = await freePort();
  let stopProxy = async (): Promise<void> => undefined;
  return {
    scratch,
    socket,
    port,
    workloadPort: (workload.address() as AddressInfo).port,
    asked,
    reached,
    bearers,
    ask: async (target, ask = {}) => await curl(scratch, port, target, ask),
    stopEnforcer: async () => await enforcer.close(0),
    startEnforcer: async () => {
      enforcer = await serve();
    },
    hang: () => {
      hanging = true;
    },
    proxy: async (program, args, env = {}) => {
      const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
      const exit = once(child, 'exit');
      stopProxy = async () => {
        child.kill('SIGTERM');
        await exit;
      };
      for (let tries = 0; !(await connects(port)); tries++) {
        if (tries > 200 || child.exitCode !== null) throw new Error(`${program} does not listen: ${said}`);
        await delay(50);
      }
    },
    close: async () => {
      await stopProxy();
      await enforcer.close(0);
      workload.close();
      workload.closeAllConnections();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

function createWorkload(reached: Reached[]): Server {
  const note = ({ method = '', url = '', rawHeaders }: IncomingMessage): void => {
    const headers = rawHeaders.flatMap((name, index): [string, string][] =>
      index % 2 === 0 ? [[name.toLowerCase(), rawHeaders[index + 1] ?? '']] : [],
    );
    reached.push({ method, url, headers });
  };
  const server = createServer({ maxHeaderSize: 256 * 1024 }, (request, response) => {
    note(request);
    request.resume();
    response.end('hmi status\n');
  });
  server.on('upgrade', (request, socket) => {
    note(request);
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  });
  return server;
}

function writeFiles(scratch: string, authority: ReturnType<typeof createTestAuthority>): void {
  const gateway = 'spiffe://plant.example/device/gateway-1';
  const svids = {
    web: authority.issue('spiffe://plant.example/device/hmi-1/workload/web'),
    'gateway-1': authority.issue(gateway),
    stranger: createTestAuthority('plant.example').issue(gateway),
  };
  for (const [name, svid] of Object.entries(svids)) {
    writeFileSync(join(scratch, `${name}.pem`), svid.chainPem);
    writeFileSync(join(scratch, `${name}.key`), svid.keyPem, { mode: 0o600 });
  }
  writeFileSync(join(scratch, 'roots.pem'), authority.rootPem);
}

async function curl(scratch: string, port: number, target: string, ask: Ask): Promise<Heard> {
  const { certificate, headers = [], method = 'GET', curl: more = [] } = ask;
  const file = join(scratch, certificate ?? '');
  const args = [
    '-ski',
    '--path-as-is',
    '--max-time',
    '10',
    '--http1.1',
    '--noproxy',
    '*',
    ...(method === 'HEAD' ? ['--head'] : ['-X', method]),
    ...(certificate === undefined ? [] : ['--cert', `${file}.pem`, '--key', `${file}.key`]),
    ...headers.flatMap((header) => ['-H', header]),
    '--resolve',
    `hmi.plant.example:${port}:127.0.0.1`,
    ...more,
    ...(target.startsWith('/') && !/[#\0]/.test(target) ? [] : ['--request-target', target]),
    `https://hmi.plant.example:${port}${target.startsWith('/') ? target : '/'}`,
  ];
  // An end without an answer is an answer too; what was said before it counts.
  const { stdout } = await run('curl', args).catch((error: unknown) => error as { stdout: string });
  return { status: Number(stdout.split(' ')[1] ?? 0), text: stdout };
}

const connects = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
