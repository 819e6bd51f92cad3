// What the connections of one interface share.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { frame, rawClient, readRegisters, recordingServer, writeRegister } from '../../../test/proxy/wire.ts';
import { world } from '../../../test/proxy/world.ts';
import { modbusProtocol } from './exchange.ts';

const granted = { allow: true, reason: 'granted', rule: '', place: '', operation: '', bundle: '' } as const;

test('modbus: a register is the same one by whatever address of the server it is asked for', async () => {
  let held = 10;
  await using server = await recordingServer((request) => {
    if (request[7] === 3) return frame(request.readUInt16BE(0), 1, [3, 2, 0, held]);
    held = request.readUInt16BE(10);
    return request;
  });
  const changes: unknown[] = [];
  const protocol = modbusProtocol(() => 0);
  const at = async (address: string) =>
    await world(
      server.port,
      {
        listen: { host: '127.0.0.1', port: 0, destination: { address, port: server.port } },
        connectUpstream: () => Promise.resolve(connect({ host: '127.0.0.1', port: server.port })),
        decide: (_connection, operation) => {
          if ('values' in operation && operation.values.length > 0) changes.push(operation.change);
          return granted;
        },
      },
      () => protocol,
    );
  await using one = await at('192.0.2.1');
  await using other = await at('2001:db8::1');
  await using first = await rawClient(one.port);
  await using second = await rawClient(other.port);
  for (const [client, request] of [
    [first, readRegisters(1, 0)],
    [first, writeRegister(2, 0, 90)],
    [second, readRegisters(3, 0)],
    [second, writeRegister(4, 0, 170)],
  ] as const) {
    await client.send(request);
    await client.answer();
  }
  // The last is measured against 10 as well, and not only against what the second address answered with.
  assert.deepEqual([...new Set(changes)], [80, 160]);
});
