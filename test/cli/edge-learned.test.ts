// edgeward edge learned, against the local socket of an edge whose proxies have seen a little.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loadEdgeConfig } from '../../bin/edge/config.ts';
import { openLearned } from '../../bin/edge/learned.ts';
import { serveLocalOrders } from '../../bin/edge/local-socket.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeFiles } from '../../store/files.ts';
import { createLogger } from '../../runtime/log.ts';

const run = promisify(execFile);
const edgeward = join(import.meta.dirname, '../../bin/edgeward.ts');

test('edge learned shows what was seen, writes it once and never over a file, and forgets when told', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'edgeward-learned-'));
  const configFile = join(directory, 'edge.yaml');
  await writeFile(
    configFile,
    `state: ${directory}\nrun: ${directory}\ncontrol: { address: 'control.example:7443' }\nproxies: [{ interface: plc-modbus, listen: 15502, learn: true }]\n`,
  );
  const config = await loadEdgeConfig(configFile);
  const now = (): number => Date.UTC(2026, 10, 23);
  const learned = await openLearned({
    fs: nodeFiles,
    stateDir: directory,
    config,
    slice: () => undefined,
    now,
    clock: systemClock,
    log: createLogger({ name: 'test', level: 'silent' }),
  });
  const nothing = { active: false, entries: [] };
  const socket = await serveLocalOrders(
    {
      island: { enter: () => Promise.resolve(nothing), leave: () => Promise.resolve(nothing) },
      pardon: () => Promise.resolve(false),
      learned,
    },
    config,
  );
  const cli = async (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    await run(process.execPath, [edgeward, 'edge', 'learned', '--config', configFile, ...args]).then(
      (done) => ({ code: 0, ...done }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  try {
    assert.match((await cli()).stdout, /nothing was seen/);

    const end = { address: '192.0.2.5', port: 40_000 };
    learned.saw(
      { source: end, destination: end, interface: 'plc-modbus', subject: { id: 'hmi-1', binding: 'svid' } },
      {
        operation: { protocol: 'modbus', unit: 1, functionCode: 3, address: 7, quantity: 2, values: [] },
        decision: { allow: true, reason: 'granted', rule: '', place: '', operation: '', bundle: '' },
      },
    );
    const shown = JSON.parse((await cli('--json')).stdout) as {
      interfaces: { name: string; messages: number }[];
      files: { path: string; text: string }[];
    };
    assert.deepEqual(
      [shown.interfaces[0]?.name, shown.interfaces[0]?.messages, shown.files.map(({ path }) => path)],
      ['plc-modbus', 1, ['interfaces/learned.yaml', 'grants/learned.yaml']],
    );

    const repository = join(directory, 'policy');
    assert.equal((await cli('--write', repository, '--interface', 'plc-modbus')).code, 0);
    assert.match(await readFile(join(repository, 'interfaces/learned.yaml'), 'utf8'), /read-holding-registers/);
    const again = await cli('--write', repository, '--forget');
    assert.equal(again.code, 1);
    assert.match(again.stderr, /CLI_FILE_FAILED/);
    assert.match((await cli('--forget')).stdout, /read-holding-registers/, 'what was not written is not forgotten');
    assert.match((await cli()).stdout, /nothing was seen/);
  } finally {
    socket.close();
    await rm(directory, { recursive: true, force: true });
  }
});

test('edge learned writes where a policy repository has its interfaces and grants, whatever the edge says', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'edgeward-learned-'));
  const configFile = join(directory, 'edge.yaml');
  await writeFile(configFile, `state: ${directory}\nrun: ${directory}\ncontrol: { address: 'control.example:7443' }\n`);
  const nothing = { active: false, entries: [] };
  const files = [{ path: '../outside.yaml', text: 'of the edge, by the hand of root' }];
  const socket = await serveLocalOrders(
    {
      island: { enter: () => Promise.resolve(nothing), leave: () => Promise.resolve(nothing) },
      pardon: () => Promise.resolve(false),
      learned: { show: () => ({ since: 0, interfaces: [], files }) },
    },
    await loadEdgeConfig(configFile),
  );
  try {
    const repository = join(directory, 'policy');
    const args = ['edge', 'learned', '--config', configFile, '--write', repository];
    const error = await run(process.execPath, [edgeward, ...args]).then(
      () => undefined,
      (failed: { code: number; stderr: string }) => failed,
    );
    assert.equal(error?.code, 1);
    assert.match(error.stderr, /CLI_FILE_FAILED/);
    await assert.rejects(readFile(join(directory, 'outside.yaml')), { code: 'ENOENT' });
  } finally {
    socket.close();
    await rm(directory, { recursive: true, force: true });
  }
});
