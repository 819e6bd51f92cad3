// A peer that never stops sending does not keep the rest of the process from its turns.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { createUnaryServer } from '../../runtime/h2/server.ts';

const messageBytes = 1_500;
const together = 64;

test('between two turns of the event loop a connection is read for two chunks at most', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-turns-'));
  const path = join(folder, 'h2.sock');
  let calls = 0;
  const server = createUnaryServer({
    methods: new Map([
      [
        '/envoy.service.auth.v3.Authorization/Check',
        () => {
          calls++;
          // Long enough that the next requests are there before these are answered.
          const until = performance.now() + 0.02;
          while (performance.now() < until) continue;
          return new Uint8Array(64);
        },
      ],
    ]),
    onFault: (error) => assert.fail(String(error)),
  });
  await server.listen(`unix:${path}`);
  const peer = new Worker(new URL('turns-client.ts', import.meta.url), {
    workerData: { path, messageBytes, together },
  });
  t.after(async () => {
    await peer.terminate();
    await server.close(0);
    rmSync(folder, { recursive: true });
  });
  let most = 0;
  const read = (): number => calls;
  while (read() < 20_000) {
    const before = read();
    await nextTurn();
    most = Math.max(most, read() - before);
  }
  const inAChunk = Math.ceil(65_536 / messageBytes);
  assert.ok(most <= 3 * inAChunk, `${most} calls in one turn`);
});
