// What a denied message gets, as the interface in force says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SliceInterface } from '../../policy/bundle/index.ts';
import { rawClient, readRegisters, recordingServer, writeRegister } from '../../test/proxy/wire.ts';
import { readOnlySlice, world } from '../../test/proxy/world.ts';

test('on an interface that closes, a denied write ends the connection without an answer, and the next may come', async () => {
  await using server = await recordingServer();
  const entry = readOnlySlice.interfaces[0] as SliceInterface;
  let onDeny: 'close' | undefined;
  await using w = await world(server.port, {
    entryOf: () => (onDeny === undefined ? entry : { ...entry, onDeny }),
  });
  const write = writeRegister(1, 50, 7);
  await using first = await rawClient(w.port);
  await first.send(write);
  assert.equal((await first.answer())?.functionCode, 0x86, 'the default is an answer');
  onDeny = 'close';
  await first.send(write);
  assert.equal(await first.answer(), undefined, 'the bundle in force counts');
  await using second = await rawClient(w.port);
  await second.send(readRegisters(1, 0));
  assert.equal((await second.answer())?.functionCode, 3);
  assert.ok(!server.bytes().includes(write), 'the server sees nothing of it');
});
