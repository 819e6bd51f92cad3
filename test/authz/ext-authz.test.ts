// ext_authz and gRPC health over a real unix socket and TCP, asked with our own client of Envoy's contract.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type AuthzPorts, checkTransports, serveAuthz } from '../../enforcer/authz/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import { Authorization } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { CodedError } from '../../runtime/errors.ts';
import { createGrpcClient } from '../../runtime/grpc.ts';

const ports: AuthzPorts = {
  decide: ({ subject, operation }) => {
    const granted = subject.id === 'gateway-1' && operation.protocol === 'http' && operation.path === '/status';
    return { allow: granted, reason: granted ? 'granted' : 'no-grant', rule: '', place: '', operation: '', bundle: '' };
  },
  usage: () => noRequestUsage,
  identify: ({ principal = '' }) => {
    const id = /^spiffe:\/\/plant\.example\/device\/([a-z0-9-]+)$/.exec(principal)?.[1];
    if (id === undefined) throw new Error('not a device');
    return { id, binding: 'svid', state: 'trusted', attributes: {} };
  },
  log: { note: () => undefined, keep: () => Promise.resolve() },
  auditDurable: () => false,
  now: () => Date.now(),
};

const question = (principal: string, path: string, headers: Record<string, string> = {}) => ({
  attributes: {
    source: { principal },
    request: { http: { method: 'GET', host: 'hmi-1.plant.example', path, headers } },
    contextExtensions: { 'edgeward-interface': 'hmi-web' },
  },
});

for (const transport of checkTransports) {
  test(`the deadline of a call reaches admission, by ${transport}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ew-authz-'));
    const socket = `unix:${join(folder, 'authz.sock')}`;
    const left: (number | undefined)[] = [];
    const admission: AuthzPorts['admission'] = {
      admits: ({ deadlineMs }) => {
        left.push(deadlineMs === undefined ? undefined : deadlineMs - performance.now());
        return true;
      },
      wait: async (_, answer) => await answer,
      status: () => ({ waiting: 0, oldestMs: 0, shed: 0 }),
    };
    const server = await serveAuthz({ ...ports, admission }, () => true, {
      grpc: [socket],
      forwardAuthSocket: undefined,
      transport,
    });
    const client = createGrpcClient(Authorization, socket, 'insecure');
    t.after(async () => {
      client.close();
      await server.close(0);
      rmSync(folder, { recursive: true });
    });
    await client.check(question('', '/status'), { timeoutMs: 60_000 });
    assert.ok((left[0] ?? 0) > 0 && (left[0] ?? 0) <= 60_000, String(left[0]));
  });

  test(`Check and health over unix socket and TCP, by ${transport}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ew-authz-'));
    const socket = `unix:${join(folder, 'authz.sock')}`;
    const tcp = `127.0.0.1:${20_000 + (process.pid % 10_000)}`;
    let serving = false;
    const server = await serveAuthz(ports, () => serving, {
      grpc: [socket, tcp],
      forwardAuthSocket: undefined,
      transport,
    });
    t.after(async () => {
      await server.close(0);
      rmSync(folder, { recursive: true });
    });
    for (const address of [socket, tcp]) {
      const authz = createGrpcClient(Authorization, address, 'insecure');
      const health = createGrpcClient(Health, address, 'insecure');
      const code = async (
        principal: string,
        path: string,
        headers?: Record<string, string>,
      ): Promise<number | undefined> => (await authz.check(question(principal, path, headers))).status?.code;

      await t.test(`${address.split(':')[0]}: allow, deny, nobody`, async () => {
        assert.equal(await code('spiffe://plant.example/device/gateway-1', '/status'), 0);
        assert.equal(await code('spiffe://plant.example/device/gateway-1', '/admin/'), 7);
        assert.equal(await code('spiffe://elsewhere.example/device/gateway-1', '/status'), 16);
        assert.equal(await code('', '/status', { 'x-edgeward-subject': 'gateway-1' }), 16, 'a header names nobody');
        assert.equal((await authz.check({})).status?.code, 16, 'an empty question is denied');
      });

      await t.test(`${address.split(':')[0]}: health follows the bundle`, async () => {
        serving = false;
        assert.equal((await health.check({ service: '' })).status, Status.NOT_SERVING);
        serving = true;
        assert.equal((await health.check({ service: 'envoy.service.auth.v3.Authorization' })).status, Status.SERVING);
        await assert.rejects(
          async () => await health.check({ service: 'nobody' }),
          (error) =>
            error instanceof CodedError && error.code === 'AUTHZ_UNKNOWN_SERVICE' && error.status === 'NOT_FOUND',
        );
        const seen: number[] = [];
        for await (const { status } of health.watch({ service: '' })) {
          seen.push(status);
          if (seen.length === 2) break;
          serving = false;
        }
        assert.deepEqual(seen, [Status.SERVING, Status.NOT_SERVING]);
      });
      authz.close();
      health.close();
    }
  });
}

test('ext_authz without TLS listens on this host only', async () => {
  await assert.rejects(
    async () => await serveAuthz(ports, () => true, { grpc: ['0.0.0.0:19192'], forwardAuthSocket: undefined }),
    (error) => error instanceof CodedError && error.code === 'AUTHZ_ADDRESS_REMOTE',
  );
});
