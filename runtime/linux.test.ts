// Transparent listeners, the notify socket, and what is said when the machine does not have it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { requires } from '../test/support/capabilities.ts';
import { interfaceName, sdNotify, transparentListener } from './linux.ts';

for (const address of ['127.0.0.1', '::1']) {
  test(`a transparent listener on ${address} is an ordinary server to Node`, async (t) => {
    if (!requires(t, 'root', 'linux')) return;
    const server = createServer((socket) => socket.end(`to ${socket.localAddress}`));
    server.listen({ fd: transparentListener(address, 0) });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = connect(port, address);
    const [bytes] = (await once(client, 'data')) as [Buffer];
    assert.equal(bytes.toString(), `to ${address}`);
    assert.throws(() => transparentListener(address, port), { code: 'LINUX_ADDRESS', message: /EADDRINUSE/ });
    server.close();
    await once(server, 'close');
  });
}

test('a listener needs an address without a zone, and the right to be transparent', (t) => {
  assert.throws(() => transparentListener('fe80::1%lo', 0), { code: 'LINUX_ADDRESS' });
  assert.throws(() => transparentListener('plc.example', 0), { code: 'LINUX_ADDRESS' });
  if (!requires(t, 'root', 'linux')) return;
  const script = `
    const { transparentListener } = await import(${JSON.stringify(new URL('./linux.ts', import.meta.url).href)});
    process.setgid(65534); process.setuid(65534);
    try { transparentListener('127.0.0.1', 0); } catch (error) { console.log(error.code, error.message); }`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(stdout, 'LINUX_PERMISSION setsockopt IP_TRANSPARENT: EPERM\n');
});

test('without koffi every call says what is missing; nothing pretends to work', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'linux-'));
  for (const name of ['linux.ts', 'errors.ts']) await copyFile(join(import.meta.dirname, name), join(folder, name));
  const script = `
    const { transparentListener, sdNotify } = await import(${JSON.stringify(`file://${folder}/linux.ts`)});
    for (const call of [() => transparentListener('127.0.0.1', 0), () => sdNotify('READY=1', '/nowhere')]) {
      try { call(); } catch (error) { console.log(error.code); }
    }
    console.log(sdNotify('READY=1', ''));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  await rm(folder, { recursive: true });
  assert.equal(stdout, 'LINUX_UNAVAILABLE\nLINUX_UNAVAILABLE\nfalse\n', stderr);
});

test('the notify socket gets the state; a socket that is gone is an error, no socket is none', async (t) => {
  assert.equal(sdNotify('READY=1', undefined), false);
  if (!requires(t, 'linux', 'pymodbus')) return;
  assert.throws(() => sdNotify('READY=1', '/nowhere/notify'), { code: 'LINUX_CALL', message: /ENOENT/ });
  for (const path of [join(tmpdir(), `notify-${process.pid}`), `@notify-${process.pid}`]) {
    // Node cannot open a datagram socket of the unix family; Debian's python3 can.
    const python = [
      'import socket, sys',
      's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
      'path = sys.argv[1]',
      "s.bind('\\0' + path[1:] if path[0] == '@' else path)",
      "print('bound', flush=True)",
      'print(s.recv(100).decode(), flush=True)',
    ].join('\n');
    const receiver = spawn('/usr/bin/python3', ['-c', python, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    receiver.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
    await once(receiver.stdout, 'data');
    assert.equal(sdNotify('READY=1\nSTATUS=ok', path), true);
    await once(receiver, 'close');
    assert.equal(output, 'bound\nREADY=1\nSTATUS=ok\n');
    if (!path.startsWith('@')) await rm(path);
  }
});

test('interfaces are known by index', (t) => {
  if (!requires(t, 'linux')) return;
  assert.equal(interfaceName(1), 'lo');
  assert.equal(interfaceName(999_999), '');
});
