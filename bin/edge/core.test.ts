// What the configuration says of the spool reaches the spool.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { storeEnrolled } from '../../ca/edge/identity-directory.ts';
import { trustAnchorsFromWire } from '../../identity/index.ts';
import { createLogger } from '../../runtime/log.ts';
import { openDatabase } from '../../store/database.ts';
import { nodeFiles } from '../../store/files.ts';
import { enrolDevice, openTestCa } from '../../test/ca/support.ts';
import { edgePaths, loadEdgeConfig } from './config.ts';
import { openEdgeCore } from './core.ts';

async function enrol(state: string): Promise<void> {
  mkdirSync(join(state, 'identity'), { recursive: true, mode: 0o700 });
  const world = await openTestCa(await openDatabase('sqlite::memory:'));
  const { keys, chain } = await enrolDevice(world, 'plc-1');
  const { anchors } = await world.ca.trustAnchors();
  await storeEnrolled({ fs: nodeFiles, path: state }, keys, chain, trustAnchorsFromWire(anchors));
}

test('what edge.yaml masks is in no byte of the spool', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-core-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const lines = [
    `state: ${join(folder, 'state')}`,
    `run: ${join(folder, 'run')}`,
    'control: {address: "127.0.0.1:7443"}',
    'audit: {mask: [subject]}',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const config = await loadEdgeConfig(file);
  await enrol(config.state);
  const core = await openEdgeCore(config, createLogger({ name: 'test', level: 'silent' }));
  const data = { subject: 'patient-4711', interface: 'bed-7' };
  await core.emit({ kind: 'authz', activity: 'deny', data }, true);
  await core.spool.close();
  const { spool } = edgePaths(config);
  const stored = readdirSync(spool)
    .map((name) => readFileSync(join(spool, name), 'latin1'))
    .join();
  assert.ok(stored.includes('bed-7'), 'the event is there');
  assert.ok(!stored.includes('patient-4711'), 'the masked value is not');
});
