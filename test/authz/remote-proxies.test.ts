// ext_authz over mutual TLS for proxies on other hosts: who may ask, who is refused, and what ends a connection that is open.
// The real wiring of the edge (bin/edge/remote-proxies.ts), real TLS; openssl as a client that is not ours.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { EdgeCore } from '../../bin/edge/core.ts';
import { remoteProxies } from '../../bin/edge/remote-proxies.ts';
import type { AuthzPorts } from '../../enforcer/authz/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import { parseCertificate } from '../../identity/index.ts';
import { rowOf, stateTable, type SubjectState } from '../../policy/engine/index.ts';
import { Authorization } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { type ClientTls, createGrpcClient } from '../../runtime/grpc.ts';
import { requires } from '../support/capabilities.ts';
import { createTestAuthority, type TestSvid } from '../support/pki.ts';
import { openRemoteEdge, type RemoteEdge } from '../support/remote-edge.ts';

const listed = 'spiffe://plant.example/device/gateway-1/workload/envoy';
const listedDevice = 'spiffe://plant.example/device/gateway-2';
const edge = 'spiffe://plant.example/device/hmi-1';

const ports: AuthzPorts = {
  decide: ({ subject }) => ({
    allow: subject.id === 'client-1',
    reason: subject.id === 'client-1' ? 'granted' : 'no-grant',
    rule: '',
    place: '',
    operation: '',
    bundle: '',
  }),
  usage: () => noRequestUsage,
  // Whoever the proxy speaks for; here by name, the certificate is verified elsewhere.
  identify: ({ principal = '' }) => ({
    id: principal.split('/').at(-1) ?? '',
    binding: 'svid',
    state: 'trusted',
    attributes: {},
  }),
  log: { note: () => undefined, keep: () => Promise.resolve() },
  auditDurable: () => false,
  now: () => Date.now(),
};

const openEdge = async (t: TestContext): Promise<RemoteEdge> =>
  await openRemoteEdge(t, createTestAuthority('plant.example'), ports, { uri: edge, proxies: [listed, listedDevice] });

interface Proxy {
  /** gRPC code of the Check's status, of who is granted and who is not; or the code of the error. */
  readonly ask: (client?: string) => Promise<number | string | undefined>;
  readonly serving: () => Promise<Status | string>;
  /** Serial number of the certificate that the edge showed last. */
  readonly shown: () => string;
}

function proxyOf(t: TestContext, { port, authority }: RemoteEdge, svid: TestSvid | undefined): Proxy {
  let shown = '';
  const tls: ClientTls = {
    ...(svid === undefined ? {} : { key: svid.keyPem, chain: svid.chainPem }),
    roots: authority.rootPem,
    verifyServer: ([leaf]) => {
      const { spiffeId, serialHex } = parseCertificate(leaf ?? Buffer.alloc(0));
      assert.equal(spiffeId?.uri, edge);
      shown = serialHex;
    },
  };
  const authz = createGrpcClient(Authorization, `127.0.0.1:${port}`, tls);
  const health = createGrpcClient(Health, `127.0.0.1:${port}`, tls);
  t.after(() => {
    authz.close();
    health.close();
  });
  const codeOf = (error: unknown): string => (error as { code: string }).code;
  const options = { timeoutMs: 5_000 };
  return {
    ask: async (client = 'client-1') =>
      await authz
        .check({ attributes: { source: { principal: `spiffe://plant.example/device/${client}` } } }, options)
        .then(({ status }) => status?.code ?? 0, codeOf),
    serving: async () => await health.check({}, options).then(({ status }) => status, codeOf),
    shown: () => shown,
  };
}

test('a listed proxy is answered about its clients, and hears health', async (t) => {
  const opened = await openEdge(t);
  for (const uri of [listed, listedDevice]) {
    const proxy = proxyOf(t, opened, opened.authority.issue(uri));
    assert.equal(await proxy.ask(), 0);
    assert.equal(await proxy.ask('client-2'), 7, 'who is allowed to ask is not who is asked about');
    assert.equal(await proxy.serving(), Status.SERVING);
  }
  assert.deepEqual(opened.events, []);
});

const refused: readonly [
  who: string,
  code: string,
  svid: (edge: RemoteEdge) => TestSvid | undefined,
  subject?: string,
][] = [
  ['nobody: no certificate', 'PEER_REFUSED', () => undefined],
  [
    'another workload of a listed device',
    'AUTHZ_PROXY_NOT_LISTED',
    at('/device/gateway-2/workload/envoy'),
    'gateway-2',
  ],
  ['the device of a listed workload', 'AUTHZ_PROXY_NOT_LISTED', at('/device/gateway-1'), 'gateway-1'],
  ['a name that a listed one begins with', 'AUTHZ_PROXY_NOT_LISTED', at('/device/gateway-22'), 'gateway-22'],
  ['an operator', 'AUTHZ_PROXY_NOT_LISTED', at('/operator/ann')],
  ['the control plane', 'AUTHZ_PROXY_NOT_LISTED', at('/control/server')],
  ['one of another authority', 'PEER_REFUSED', () => createTestAuthority('plant.example').issue(listed)],
  [
    'one of another trust domain',
    'PEER_REFUSED',
    () => createTestAuthority('other.example').issue(listed.replace('plant', 'other')),
  ],
  [
    'one that has expired by the time that is trusted',
    'IDENTITY_EXPIRED',
    (opened) => {
      const svid = opened.authority.issue(listed, { ttlSeconds: 3_600 });
      opened.now += 2 * 3_600_000;
      return svid;
    },
  ],
  [
    'a revoked one',
    'IDENTITY_REVOKED',
    (opened) => {
      const svid = opened.authority.issue(listed);
      opened.revoked = new Set([parseCertificate(svid.der).serialHex]);
      return svid;
    },
  ],
];

function at(path: string): (edge: RemoteEdge) => TestSvid {
  return ({ authority }) => authority.issue(`spiffe://plant.example${path}`);
}

for (const [who, code, svid, subject] of refused) {
  test(`not let in, and remembered: ${who}`, async (t) => {
    const opened = await openEdge(t);
    const proxy = proxyOf(t, opened, svid(opened));
    assert.equal(await proxy.ask(), 'RPC_UNAVAILABLE');
    assert.equal(await proxy.serving(), 'RPC_UNAVAILABLE');
    const [event] = opened.events;
    assert.partialDeepStrictEqual(event, {
      kind: 'authz',
      activity: 'refuse',
      severity: 'medium',
      data: { source_ip: '127.0.0.1', count: 1 },
    });
    assert.equal(event?.data.subject, subject);
    assert.equal(event?.data.code, code);
    assert.equal(opened.events.length, 1, 'the same again is counted, not written');
  });
}

for (const state of Object.keys(stateTable) as SubjectState[]) {
  const row = rowOf(state);
  const mayAsk = !row.contained && row.safety === 'yes';
  test(`a proxy on a device that is ${state} ${mayAsk ? 'may ask' : 'is refused'}`, async (t) => {
    const opened = await openEdge(t);
    opened.states.set('gateway-1', state);
    const proxy = proxyOf(t, opened, opened.authority.issue(listed));
    assert.equal(await proxy.ask(), mayAsk ? 0 : 'RPC_UNAVAILABLE');
    if (!mayAsk)
      assert.partialDeepStrictEqual(opened.events[0]?.data, { subject: 'gateway-1', code: 'AUTHZ_PROXY_HELD_BACK' });
  });
}

const ends: readonly [what: string, order: (edge: RemoteEdge, svid: TestSvid) => void][] = [
  ['an order against its device', ({ states }) => states.set('gateway-1', 'quarantined')],
  [
    'the revocation of its certificate',
    (opened, { der }) => (opened.revoked = new Set([parseCertificate(der).serialHex])),
  ],
  ['lost orders, by which everybody is unknown', ({ states }) => states.set('gateway-1', 'unknown')],
];

for (const [what, order] of ends) {
  test(`${what} ends the open connection of that proxy and no other`, async (t) => {
    const opened = await openEdge(t);
    const svid = opened.authority.issue(listed);
    const proxy = proxyOf(t, opened, svid);
    const other = proxyOf(t, opened, opened.authority.issue(listedDevice));
    assert.deepEqual([await proxy.ask(), await other.ask()], [0, 0]);
    assert.equal(opened.recheck(), 0);
    order(opened, svid);
    assert.equal(opened.recheck(), 1);
    assert.equal(await proxy.ask(), 'RPC_UNAVAILABLE');
    assert.equal(await other.ask(), 0);
    assert.equal(opened.recheck(), 0);
  });

  test(`${what} is looked at with each question too`, async (t) => {
    const opened = await openEdge(t);
    const svid = opened.authority.issue(listed);
    const proxy = proxyOf(t, opened, svid);
    assert.deepEqual([await proxy.ask(), await proxy.serving()], [0, Status.SERVING]);
    order(opened, svid);
    // The connection ends with it: what it would hear else is why.
    assert.equal(await proxy.ask(), 'RPC_UNAVAILABLE');
    assert.equal(await proxy.serving(), 'RPC_UNAVAILABLE');
    assert.ok(opened.events.length > 0);
  });
}

test('a certificate that expires while its connection is open answers no more questions', async (t) => {
  const opened = await openEdge(t);
  const proxy = proxyOf(t, opened, opened.authority.issue(listed, { ttlSeconds: 3_600 }));
  assert.equal(await proxy.ask(), 0);
  opened.now += 2 * 3_600_000;
  assert.equal(await proxy.ask(), 'RPC_UNAVAILABLE');
  assert.equal(opened.events[0]?.data.code, 'IDENTITY_EXPIRED');
});

test('a renewed SVID is shown to who connects anew, and open connections go on', async (t) => {
  const opened = await openEdge(t);
  const before = proxyOf(t, opened, opened.authority.issue(listed));
  assert.equal(await before.ask(), 0);
  const renewed = opened.authority.issue(edge);
  opened.renew(renewed);
  assert.equal(await before.ask(), 0);
  assert.notEqual(before.shown(), parseCertificate(renewed.der).serialHex);
  const after = proxyOf(t, opened, opened.authority.issue(listedDevice));
  assert.equal(await after.ask(), 0);
  assert.equal(after.shown(), parseCertificate(renewed.der).serialHex);
});

test('roots that are gone take with them who came by them', async (t) => {
  const opened = await openEdge(t);
  const proxy = proxyOf(t, opened, opened.authority.issue(listed));
  assert.equal(await proxy.ask(), 0);
  opened.renew(opened.authority.issue(edge), [createTestAuthority('plant.example').root]);
  assert.equal(await proxy.ask(), 'RPC_UNAVAILABLE');
});

test('an identity that does not fit leaves the old one in place', async (t) => {
  const opened = await openEdge(t);
  const broken = { ...opened.authority.issue(edge), keys: opened.authority.issue(edge).keys };
  opened.renew(broken);
  assert.equal(await proxyOf(t, opened, opened.authority.issue(listed)).ask(), 0);
});

test('a listed proxy of another trust domain is refused before anything listens', () => {
  const core = (proxies: readonly string[]) =>
    ({
      config: { authz: { tls: { listen: '127.0.0.1:0', proxies } } },
      own: { anchors: () => ({ trustDomain: 'plant.example' }), current: () => ({}) },
    }) as unknown as EdgeCore;
  const orders = { subjectState: () => assert.fail(), view: () => assert.fail() };
  assert.throws(() => remoteProxies(core(['spiffe://other.example/device/gateway-1']), orders), {
    code: 'AUTHZ_PROXY_TRUST_DOMAIN',
  });
});

test('openssl without a certificate, and with TLS 1.2, gets nothing; with a listed SVID it gets HTTP/2', async (t) => {
  if (!requires(t, 'openssl')) return;
  const opened = await openEdge(t);
  const folder = mkdtempSync(join(tmpdir(), 'ew-remote-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const svid = opened.authority.issue(listed);
  writeFileSync(`${folder}/chain.pem`, svid.chainPem);
  writeFileSync(`${folder}/key.pem`, svid.keyPem, { mode: 0o600 });
  const identity = ['-cert', `${folder}/chain.pem`, '-cert_chain', `${folder}/chain.pem`, '-key', `${folder}/key.pem`];
  // The connection preface and empty SETTINGS (RFC 9113, 3.4): who is let in is answered with SETTINGS.
  const preface = Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    Buffer.from('000000040000000000', 'hex'),
  ]);
  const say = async (...args: string[]): Promise<{ out: Buffer; err: string }> => {
    const address = `127.0.0.1:${opened.port}`;
    const openssl = spawn('openssl', ['s_client', '-connect', address, '-alpn', 'h2', '-quiet', ...args]);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    openssl.stdin.on('error', () => undefined);
    openssl.stderr.on('data', (data: Buffer) => err.push(data));
    openssl.stdout.on('data', (data: Buffer) => {
      out.push(data);
      openssl.kill();
    });
    openssl.stdin.write(preface);
    await once(openssl, 'close');
    return { out: Buffer.concat(out), err: Buffer.concat(err).toString() };
  };
  const settings = (out: Buffer): boolean => out.length >= 9 && out[3] === 4;
  assert.ok(settings((await say(...identity)).out), 'the probe sees who is let in');
  assert.deepEqual((await say()).out, Buffer.alloc(0));
  const old = await say('-tls1_2', ...identity);
  assert.deepEqual(old.out, Buffer.alloc(0));
  assert.match(old.err, /alert protocol version/);
});
