// A worker that dies takes records along; that they are lost is recorded, or logged where even that cannot be.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { edgeConfigSchema } from '../../bin/edge/config.ts';
import { openWorkers, type WorkersParts } from '../../bin/edge/workers/index.ts';
import * as keys from '../activation/world.ts';
import { viewOf } from './world.ts';

test('the death of a worker while the spool takes nothing is not the end of the edge', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ew-lost-'));
  const logged: string[] = [];
  const { trustDomain } = keys;
  const anchors = { trustDomain, roots: [], publisherKeys: keys.anchors.publisherKeys };
  const parts = {
    core: {
      config: edgeConfigSchema.parse({
        state: join(folder, 'state'),
        run: folder,
        control: { address: '127.0.0.1:1' },
        authz: { processes: 2 },
        logLevel: 'error',
      }),
      deviceId: keys.deviceId,
      log: { ...keys.silent, error: (_: object, message: string) => logged.push(message) },
      emit: () => Promise.reject(new Error('the spool is full')),
      own: { current: () => ({ chain: [], anchors }) },
      trusted: { time: () => ({ now: Date.now(), trusted: true }) },
      boot: { uptimeMs: () => performance.now() },
    },
    activation: { current: () => undefined },
    orders: { view: () => viewOf({}) },
    glass: { openings: () => [] },
    island: { active: () => false },
  } as unknown as WorkersParts;
  const workers = openWorkers(parts);
  const stop = new AbortController();
  const running = workers.task(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    await workers.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const until = async (holds: () => boolean): Promise<void> => {
    for (let turn = 0; turn < 200 && !holds(); turn++) await delay(50);
    assert.ok(holds());
  };
  await until(() => workers.status().ready === 1);
  const pid = execFileSync('pgrep', ['-P', String(process.pid), '-f', 'workers/worker.ts'], { encoding: 'utf8' });
  process.kill(Number(pid.trim().split('\n')[0]), 'SIGKILL');
  await until(() => logged.some((message) => message.includes('could not be recorded')));
});
