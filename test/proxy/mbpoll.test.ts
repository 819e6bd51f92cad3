// mbpoll, an unmodified Modbus master, reads through the proxy and is refused the write; straight at the server its
// write arrives.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { findProgram, requires } from '../support/capabilities.ts';
import { startModbusServer } from './modbus-server.ts';
import { world } from './world.ts';

function mbpoll(port: number, ...args: readonly string[]): Promise<{ failed: boolean; output: string }> {
  return new Promise((resolve) => {
    const all = ['-1', '-0', '-m', 'tcp', '-a', '1', '-p', String(port), ...args];
    execFile(findProgram('mbpoll') ?? 'mbpoll', all, { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, output: `${stdout}${stderr}` });
    });
  });
}

test('mbpoll reads through the proxy and is refused the write', async (t) => {
  if (!requires(t, 'mbpoll')) return;
  await using server = await startModbusServer();
  await using w = await world(server.port);

  const read = await mbpoll(w.port, '-t', '4', '-r', '5', '-c', '3', '127.0.0.1');
  assert.equal(read.failed, false, read.output);
  assert.match(read.output, /\[5\]:\s+7\n\[6\]:\s+7\n\[7\]:\s+7/);

  const written = await mbpoll(w.port, '-t', '4', '-r', '50', '127.0.0.1', '99');
  assert.match(written.output, /Write output \(holding\) register failed: Illegal function/);
  assert.equal(await server.register(50), 7);

  const beyond = await mbpoll(w.port, '-t', '4', '-r', '99', '-c', '2', '127.0.0.1');
  assert.match(beyond.output, /Illegal function/);

  const control = await mbpoll(server.port, '-t', '4', '-r', '50', '127.0.0.1', '99');
  assert.match(control.output, /Written 1 references/);
  assert.equal(await server.register(50), 99);
});
