// Both gRPC servers, asked by an unmodified grpc-js client: whoever serves, the answers are the same.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, suite, test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import { Authorization } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Health } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { createGrpcClient, type GrpcClient } from '../../runtime/grpc.ts';
import { until } from '../support/until.ts';
import { checkPath, type RunningServer, type Seen, startGrpcJs, startOurs, type StartServer } from './grpc-servers.ts';

const folder = mkdtempSync(join(tmpdir(), 'ew-h2-'));
after(() => rmSync(folder, { recursive: true }));

conformance('grpc-js', startGrpcJs);
conformance('our own', startOurs);

function conformance(name: string, start: StartServer): void {
  for (const kind of ['unix', 'TCP']) {
    suite(`${name} server on ${kind}`, () => {
      const path = join(folder, `${name.slice(0, 3).trim()}.sock`);
      let server: RunningServer;
      let authz: GrpcClient<typeof Authorization>;
      let health: GrpcClient<typeof Health>;
      let seen: Seen;
      let target: string;
      beforeEach(async () => {
        seen = { aborted: 0, faults: [] };
        server = await start(kind === 'unix' ? `unix:${path}` : '127.0.0.1:0', seen);
        target = kind === 'unix' ? `unix:${path}` : `127.0.0.1:${server.port}`;
        authz = createGrpcClient(Authorization, target, 'insecure');
        health = createGrpcClient(Health, target, 'insecure');
      });
      afterEach(async () => {
        authz.close();
        health.close();
        await server.close(0);
      });

      const ask = async (asked: string, options = {}): Promise<string> => {
        const request = { attributes: { request: { http: { path: asked } } } };
        const { httpResponse } = await authz.check(request, options);
        return httpResponse.case === 'deniedResponse' ? httpResponse.value.body : 'no body';
      };

      test('a call has its answer, at once or later', async () => {
        assert.equal(await ask('/now'), '/now');
        assert.equal(await ask('/later'), '/later');
      });

      test('many calls at a time have each their own', async () => {
        const asked = Array.from({ length: 300 }, (_, index) => `/${index % 3 === 0 ? 'later' : 'now'}/${index}`);
        assert.deepEqual(await Promise.all(asked.map((path) => ask(path))), asked);
      });

      test('a coded error arrives whole, another one without its inside', async () => {
        await assert.rejects(ask('/coded'), {
          code: 'RPC_PERMISSION_DENIED',
          message: 'not for you: ä%\n',
          place: { file: 'a.yaml', line: 3 },
        });
        await assert.rejects(ask('/fault'), { code: 'RPC_INTERNAL', message: 'internal error' });
        await assert.rejects(ask('/fault-later'), { code: 'RPC_INTERNAL', message: 'internal error' });
      });

      test('a message of any allowed size goes both ways, a larger one neither', async () => {
        for (const bytes of [0, 1, 16_000, 16_384, 30_000, 60_000]) {
          assert.equal((await ask(`/large/${bytes}`)).length, bytes);
          assert.equal((await ask(`/now/${'x'.repeat(bytes)}`)).length, bytes + 5);
        }
        await assert.rejects(ask('/large/65536'), { code: 'RPC_RESOURCE_EXHAUSTED' });
        await assert.rejects(ask(`/now/${'x'.repeat(70_000)}`), { code: 'RPC_RESOURCE_EXHAUSTED' });
        assert.equal(await ask('/now'), '/now', 'the connection is as it was');
      });

      test('a deadline ends the call on both sides', async () => {
        await assert.rejects(ask('/never', { timeoutMs: 50 }), { code: 'RPC_DEADLINE_EXCEEDED' });
        await until('the method was told', async () => seen.aborted > 0, 5_000, 5);
      });

      test('a cancelled call ends on both sides', async () => {
        const stop = new AbortController();
        const asked = ask('/never', { signal: stop.signal });
        await ask('/now');
        stop.abort(new Error('enough'));
        await assert.rejects(asked, { message: 'enough' });
        await until('the method was told', async () => seen.aborted > 0, 5_000, 5);
      });

      test('a path is a method only if it is exactly the same', async () => {
        const paths = ['/x.Y/Z', `${checkPath}/`, `/${checkPath}`, `${checkPath}?a=1`, checkPath.toLowerCase()];
        for (const path of [...paths, checkPath.replace('/C', '%2FC')]) {
          assert.equal((await rawCall(target, path)).code, 12, path);
        }
        assert.equal((await rawCall(target, checkPath)).code, 0);
      });

      test('a stream of answers comes in order and ends, with its error if there is one', async () => {
        const statuses: number[] = [];
        for await (const { status } of health.watch({ service: '' })) statuses.push(status);
        assert.deepEqual(statuses, [1, 2]);
        statuses.length = 0;
        await assert.rejects(
          async () => {
            for await (const { status } of health.watch({ service: 'fails' })) statuses.push(status);
          },
          { code: 'RPC_NOT_FOUND', message: 'gone' },
        );
        assert.deepEqual(statuses, [1, 2]);
      });

      test('who leaves a stream ends it', async () => {
        let count = 0;
        for await (const _ of health.watch({ service: 'endless' })) if (++count === 2) break;
        await until('the method was told', async () => seen.aborted > 0, 5_000, 5);
      });

      test('closing lets calls finish and refuses new ones', async () => {
        await ask('/now');
        const pending = ask('/later');
        // The request is under way, and the server has to know it before it is closed.
        await ask('/now');
        const closed = server.close(5_000);
        assert.equal(await pending, '/later');
        await closed;
        await assert.rejects(ask('/now'), { code: 'RPC_UNAVAILABLE' });
      });

      test('closing ends what does not finish', async () => {
        const pending = assert.rejects(ask('/never'));
        await ask('/now');
        await server.close(20);
        await pending;
        assert.ok(seen.aborted > 0);
      });

      test('a unix socket has its mode', () => {
        if (kind === 'unix') assert.equal(statSync(path).mode & 0o777, 0o660);
      });
    });
  }
}

/** An empty message to a path that our own client would not send. */
async function rawCall(target: string, path: string) {
  const client = new Client(target, credentials.createInsecure());
  const same = (value: Buffer): Buffer => value;
  try {
    return await new Promise<{ code: number }>((resolve) => {
      client.makeUnaryRequest(path, same, same, Buffer.alloc(0), (error) =>
        resolve({ code: error === null ? 0 : error.code }),
      );
    });
  } finally {
    client.close();
  }
}
