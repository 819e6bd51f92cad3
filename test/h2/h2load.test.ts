// h2load (nghttp2), a foreign load generator, on a unix socket: everything that it asks is answered, over many connections.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createUnaryServer } from '../../runtime/h2/server.ts';
import { requires } from '../support/capabilities.ts';
import { message } from './raw-client.ts';

test('all calls of h2load are answered', { timeout: 60_000 }, async (t) => {
  if (!requires(t, 'h2load')) return;
  const folder = mkdtempSync(join(tmpdir(), 'ew-h2load-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const content = Buffer.alloc(800, 'x');
  writeFileSync(join(folder, 'body'), message(content));
  let calls = 0;
  const server = createUnaryServer({
    methods: new Map([
      [
        '/t.T/Same',
        (message) => {
          if (content.equals(message)) calls++;
          return message;
        },
      ],
    ]),
    onFault: (error) => assert.fail(String(error)),
  });
  const path = join(folder, 'server.sock');
  await server.listen(`unix:${path}`);
  t.after(() => server.close(0));
  const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const load = ['-n', '20000', '-c', '8', '-m', '64', '-d', join(folder, 'body')];
  const h2load = spawn('h2load', [...load, ...headers, '-B', `unix:${path}`, 'http://localhost/t.T/Same'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let said = '';
  h2load.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  await new Promise((resolve) => h2load.once('close', resolve));
  assert.match(said, /20000 succeeded, 0 failed, 0 errored, 0 timeout/);
  assert.equal(calls, 20_000);
  const { callsAnswered, resetsSent, floodsRefused, connectionsFailed } = server.counters;
  assert.deepEqual(
    { callsAnswered, resetsSent, floodsRefused, connectionsFailed },
    { callsAnswered: 20_000, resetsSent: 0, floodsRefused: 0, connectionsFailed: 0 },
  );
});
