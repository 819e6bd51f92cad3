// The wiring of the edge: a configuration, the subjects of the orders and a bundle in force, asked over the socket.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { SubjectView } from '../../enforcer/activation/index.ts';
import { sampleSlice } from '../../policy/engine/testing/sample-slice.ts';
import { decisionPoint } from '../../test/support/authzen.ts';
import { freePort } from '../../test/support/free-ports.ts';
import { openAuthzen } from './authzen.ts';
import { edgeConfigSchema } from './config.ts';
import type { OwnIdentity } from './identity.ts';
import { createSubjects } from './subjects.ts';

async function open(t: TestContext, authzen: object | undefined) {
  const run = mkdtempSync(join(tmpdir(), 'ew-edge-authzen-'));
  const config = edgeConfigSchema.parse({
    run,
    control: { address: 'control.plant.example:7443' },
    authz: authzen === undefined ? {} : { authzen },
  });
  const states = new Map<string, 'trusted' | 'quarantined'>();
  const orders = {
    subjectState: (id: string) => ({ state: states.get(id) ?? ('trusted' as const), attributes: {} }),
    view: () => ({ revoked: new Set() }) as unknown as SubjectView,
  };
  const anchors = { trustDomain: 'plant.example', roots: [] };
  const own = { current: () => ({ chain: [], anchors }), anchors: () => anchors } as unknown as OwnIdentity;
  const subjects = createSubjects(own, orders, () => Date.now());
  const point = decisionPoint(sampleSlice());
  const inForce = point.ports.inForce();
  assert.ok(inForce !== undefined);
  const active = { engine: inForce.engine, bundle: { slice: inForce.slice } } as never;
  const server = await openAuthzen(config, point.ports, subjects, () => active, point.ports.emit);
  t.after(async () => {
    await server?.close();
    rmSync(run, { recursive: true });
  });
  return { server, states, socket: join(run, 'authzen.sock'), run };
}

const message = (id: string) => ({
  subject: { type: 'device', id },
  action: { name: 'status' },
  resource: { type: 'interface', id: 'web' },
});

async function ask(options: object, id = 'gateway-1', headers: object = {}): Promise<[number, unknown]> {
  return await new Promise((resolve, reject) => {
    const path = '/access/v1/evaluation';
    const all = { method: 'POST', path, headers: { 'content-type': 'application/json', ...headers }, ...options };
    const outgoing = httpRequest(all, (incoming) => {
      let text = '';
      incoming.on('data', (chunk: Buffer) => (text += chunk.toString()));
      incoming.on('end', () => {
        const status = incoming.statusCode ?? 0;
        resolve([status, status === 200 ? (JSON.parse(text) as { decision: boolean }).decision : text]);
      });
    });
    outgoing.on('error', reject);
    outgoing.end(JSON.stringify(message(id)));
  });
}

test('AuthZEN is off until the configuration has it', async (t) => {
  assert.equal((await open(t, undefined)).server, undefined);
});

test('without a binding every device is nobody', async (t) => {
  const { socket } = await open(t, {});
  assert.deepEqual(await ask({ socketPath: socket }), [200, false]);
});

test('a device counts with the binding of the configuration and the state of the orders', async (t) => {
  const { socket, states } = await open(t, { binding: 'svid' });
  assert.equal(statSync(socket).mode & 0o777, 0o660);
  assert.deepEqual(await ask({ socketPath: socket }), [200, true]);
  states.set('gateway-1', 'quarantined');
  assert.deepEqual(await ask({ socketPath: socket }), [200, false]);
  const { socket: weaker } = await open(t, { binding: 'ip' });
  assert.deepEqual(await ask({ socketPath: weaker }), [200, false], 'the grant asks for a certificate');
});

test('TCP asks for the token of a file that only its owner reads', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ew-token-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'correct-horse\n', { mode: 0o600 });
  const port = await freePort();
  await open(t, { binding: 'svid', tcp: `127.0.0.1:${port}`, tokenFile });
  const tcp = { host: '127.0.0.1', port };
  assert.equal((await ask(tcp))[0], 401);
  assert.deepEqual(await ask(tcp, 'gateway-1', { authorization: 'Bearer correct-horse' }), [200, true]);
  await assert.rejects(open(t, { binding: 'svid', tcp: '192.0.2.1:9193', tokenFile }), /loopback/);
  // Nothing stays open behind a start that failed, or this test would not end.
  await assert.rejects(open(t, { binding: 'svid', tcp: `127.0.0.1:${port}`, tokenFile }), /EADDRINUSE/);
});
