// A real nginx asks forward-auth through the shipped snippet; curl is the client. The workload is a directory of files.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { serveAuthz, type AuthzPorts } from '../../enforcer/authz/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import { type Obligation, requireFulfilment } from '../../policy/engine/index.ts';
import { certificatesFromPem, verifyChain } from '../../identity/index.ts';
import { requires } from '../support/capabilities.ts';
import { freePort } from '../support/free-ports.ts';
import { type GuardedWeb, openGuardedWeb } from '../support/guarded-web.ts';
import { runMatrix } from '../support/guarded-web-matrix.ts';
import { createTestAuthority } from '../support/pki.ts';

const root = join(import.meta.dirname, '../..');
const run = promisify(execFile);
const port = await freePort();
/** Of a second server whose configuration says that it carries out `badge`. */
const badgePort = await freePort();

const obligations: Readonly<Record<string, Obligation>> = {
  '/stepped': { id: 'step-up', level: 'urn:example:mfa' },
  '/badge': { id: 'custom', name: 'badge' },
};

interface Request {
  readonly certificate?: 'gateway-1' | 'stranger';
  readonly headers?: readonly string[];
  readonly method?: string;
  readonly on?: number;
}

test('nginx with the shipped snippet', async (t) => {
  if (!requires(t, 'nginx', 'curl')) return;
  const scratch = mkdtempSync(join(tmpdir(), 'edgeward-nginx-'));
  const authority = createTestAuthority('plant.example');
  const stranger = createTestAuthority('plant.example');
  const seen: { subject: string; method: string; path: string; connection: string }[] = [];
  const ports: AuthzPorts = {
    decide: (request, { fulfilment }) => {
      assert.equal(request.operation.protocol, 'http');
      const { method, path } = request.operation as { method: string; path: string };
      seen.push({ subject: request.subject.id, method, path, connection: request.context.connection });
      const { subject, resource } = request;
      const asked = obligations[path];
      const granted =
        subject.id === 'gateway-1' && resource.interface === 'hmi-web' && (path === '/status' || path in obligations);
      const decision = {
        allow: granted,
        reason: granted ? ('granted' as const) : ('no-grant' as const),
        rule: granted ? 'grant:view' : '',
        place: '',
        operation: '',
        bundle: '',
      };
      return asked === undefined ? decision : requireFulfilment({ ...decision, obligations: [asked] }, fulfilment);
    },
    usage: () => noRequestUsage,
    identify: ({ certificatePem = '' }) => {
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
  let server = await serveAuthz(ports, () => true, { grpc: [], forwardAuthSocket: socket, socketMode: 0o666 });
  t.after(async () => {
    await server.close(0);
    rmSync(scratch, { recursive: true, force: true });
  });
  const nginx = await startNginx(scratch, socket, authority);
  // Not SIGKILL, of which its workers would hear nothing.
  t.after(() => nginx.kill('SIGTERM'));

  const client = {
    'gateway-1': authority.issue('spiffe://plant.example/device/gateway-1'),
    stranger: stranger.issue('spiffe://plant.example/device/gateway-1'),
  };
  for (const [name, svid] of Object.entries(client)) {
    writeFileSync(join(scratch, `${name}.pem`), svid.chainPem);
    writeFileSync(join(scratch, `${name}.key`), svid.keyPem, { mode: 0o600 });
  }
  const ask = async (target: string, { certificate, headers = [], method = 'GET', on = port }: Request = {}) => {
    const identity =
      certificate === undefined
        ? []
        : ['--cert', join(scratch, `${certificate}.pem`), '--key', join(scratch, `${certificate}.key`)];
    const { stdout } = await run('curl', [
      '-sk',
      '--path-as-is',
      '-X',
      method,
      '-D',
      '-',
      ...identity,
      ...headers.flatMap((header) => ['-H', header]),
      `https://127.0.0.1:${on}${target}`,
    ]);
    return { status: Number(stdout.split(' ')[1]), text: stdout };
  };

  await t.test('a granted request with an SVID is allowed and reaches the workload', async () => {
    const { status, text } = await ask('/status', { certificate: 'gateway-1' });
    assert.equal(status, 200);
    assert.match(text, /hmi status/);
    assert.equal(seen.at(-1)?.subject, 'gateway-1');
    assert.match(seen.at(-1)?.connection ?? '', /^127\.0\.0\.1:\d+$/);
  });

  await t.test('no certificate is 401, another path 403', async () => {
    assert.equal((await ask('/status')).status, 401);
    assert.equal((await ask('/admin/', { certificate: 'gateway-1' })).status, 403);
  });

  await t.test('a certificate of another authority for the same name is nobody', async () => {
    const { status } = await ask('/status', { certificate: 'stranger' });
    assert.ok(status === 401 || status === 400, `status ${status}`);
  });

  await t.test('identity headers of the client decide nothing and reach nobody', async () => {
    const forged = [
      'X-Edgeward-Subject: gateway-1',
      'X-Client-Verify: SUCCESS',
      'X-Edgeward-Interface: other',
      'X-Original-URI: /status',
    ];
    assert.equal((await ask('/status', { headers: forged })).status, 401);
    assert.equal((await ask('/admin/', { certificate: 'gateway-1', headers: forged })).status, 403);
    assert.equal(seen.at(-1)?.path, '/admin/');
  });

  await t.test('the raw target and the real method are asked', async () => {
    await ask('/status/../admin/%2e%2e/x?y=1', { certificate: 'gateway-1', method: 'POST' });
    assert.deepEqual(
      { path: seen.at(-1)?.path, method: seen.at(-1)?.method },
      { path: '/status/../admin/%2e%2e/x?y=1', method: 'POST' },
    );
  });

  await t.test('a step-up that is not proven reaches the client as a challenge', async () => {
    const { status, text } = await ask('/stepped', { certificate: 'gateway-1' });
    assert.equal(status, 401);
    assert.match(
      text,
      /^www-authenticate: Bearer error="insufficient_user_authentication", acr_values="urn:example:mfa"\r$/im,
    );
    assert.doesNotMatch((await ask('/status')).text, /www-authenticate/i);
  });

  await t.test(
    'an obligation is denied unless this nginx is configured to carry it out; a client cannot say so',
    async () => {
      const claims = ['X-Edgeward-Fulfils: custom:badge', 'Edgeward-Fulfils: custom:badge'];
      for (const target of ['/badge', '/badge?fulfils=custom:badge']) {
        assert.equal((await ask(target, { certificate: 'gateway-1', headers: claims })).status, 403, target);
      }
      const { status, text } = await ask('/badge', { certificate: 'gateway-1', on: badgePort });
      assert.equal(status, 200);
      assert.match(text, /^x-carried: custom:badge\r$/im);
    },
  );

  await t.test('an enforcer that is gone denies, and one that is back allows again', async () => {
    await server.close(0);
    const { status, text } = await ask('/status', { certificate: 'gateway-1' });
    assert.equal(status, 500);
    assert.doesNotMatch(text, /hmi status/);
    server = await serveAuthz(ports, () => true, { grpc: [], forwardAuthSocket: socket, socketMode: 0o666 });
    assert.equal((await ask('/status', { certificate: 'gateway-1' })).status, 200);
  });
});

test('nginx with the shipped snippet in front of a proxied workload', async (t) => {
  if (!requires(t, 'nginx', 'curl')) return;
  const web = await openGuardedWeb('nginx');
  t.after(async () => await web.close());
  writeProxyConfig(web);
  await web.proxy('/usr/sbin/nginx', ['-c', join(web.scratch, 'nginx.conf'), '-p', web.scratch]);
  await runMatrix(t, web, {
    gone: 500,
    slow: 500,
    stranger: 400,
    answeredByProxy: { '/%2e%2e/admin': 400, '/status%00': 400, '*': 400 },
    rewritten: { 'http://evil.example/admin': '/admin' },
    refusedMethods: ['TRACE'],
  });
});

/** A workload behind `proxy_pass`, and a location for WebSockets, whose own headers replace the inherited ones. */
function writeProxyConfig({ scratch, socket, port: own, workloadPort }: GuardedWeb): void {
  const snippet = readFileSync(join(root, 'examples/nginx/edgeward.conf'), 'utf8');
  writeFileSync(join(scratch, 'edgeward.conf'), snippet.replace('/run/edgeward/forward-auth.sock', socket));
  const identity = snippet.match(/^proxy_set_header X-Edgeward-.*$/gm) ?? [];
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${scratch}/${name};`,
  );
  const config = `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; pid ${scratch}/nginx.pid; error_log ${scratch}/error.log warn;
events { worker_connections 256; }
http {
  access_log off; ${paths.join(' ')}
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${own} ssl;
    ssl_certificate ${scratch}/web.pem; ssl_certificate_key ${scratch}/web.key; ssl_client_certificate ${scratch}/roots.pem;
    set $edgeward_interface hmi-web;
    include ${scratch}/edgeward.conf;
    location / { proxy_pass http://127.0.0.1:${workloadPort}; }
    location = /status {
      proxy_pass http://127.0.0.1:${workloadPort};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      ${identity.join('\n      ')}
    }
  }
}
`;
  writeFileSync(join(scratch, 'nginx.conf'), config);
}

async function startNginx(scratch: string, socket: string, authority: ReturnType<typeof createTestAuthority>) {
  mkdirSync(join(scratch, 'www/admin'), { recursive: true });
  writeFileSync(join(scratch, 'www/status'), 'hmi status\n');
  writeFileSync(join(scratch, 'www/badge'), 'hmi badge\n');
  writeFileSync(join(scratch, 'www/admin/index.html'), 'hmi administration\n');
  const web = authority.issue('spiffe://plant.example/device/hmi-1/workload/web');
  writeFileSync(join(scratch, 'web.pem'), web.chainPem);
  writeFileSync(join(scratch, 'web.key'), web.keyPem, { mode: 0o600 });
  writeFileSync(join(scratch, 'roots.pem'), authority.rootPem);
  const snippet = readFileSync(join(root, 'examples/nginx/edgeward.conf'), 'utf8').replace(
    '/run/edgeward/forward-auth.sock',
    socket,
  );
  writeFileSync(join(scratch, 'edgeward.conf'), snippet);
  const values: Record<string, string> = {
    scratch,
    address: '127.0.0.1',
    roots: join(scratch, 'roots.pem'),
    snippet: join(scratch, 'edgeward.conf'),
  };
  const config = readFileSync(join(root, 'demo/workloads/nginx-guarded.conf'), 'utf8')
    .replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? '')
    .replace(':8443', `:${port}`);
  writeFileSync(join(scratch, 'fulfils.conf'), snippet.replace('.sock:/;', '.sock:/?fulfils=custom:badge;'));
  const [, guarded = ''] = /(    server \{.*\n    \}\n)/s.exec(config) ?? [];
  const carrying = guarded
    .replace(`:${port}`, `:${badgePort}`)
    .replace('edgeward.conf;', 'fulfils.conf;')
    .replace('default_type', 'add_header X-Carried $edgeward_obligations always; default_type');
  writeFileSync(
    join(scratch, 'nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;\n' : ''}${config.replace(guarded, guarded + carrying)}`,
  );
  const nginx = spawn('/usr/sbin/nginx', ['-c', join(scratch, 'nginx.conf'), '-p', scratch], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (let tries = 0; tries < 100 && !(await connects()); tries++) await delay(50);
  return nginx;
}

const connects = (): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
