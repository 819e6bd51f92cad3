// A connection whose ends are slow, or take nothing.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { rawClient, recordingServer } from '../../test/proxy/wire.ts';
import { world } from '../../test/proxy/world.ts';
import type { Direction, Message, Outcome, Protocol, ProxyOperation } from './protocol.ts';

const untilTrue = async (condition: () => boolean): Promise<void> => {
  for (let turns = 0; turns < 5_000 && !condition(); turns++) await turn();
  assert.ok(condition(), 'it never happened');
};
const someTurns = async (): Promise<void> => {
  for (let turns = 0; turns < 200; turns++) await turn();
};

const message = (outcome: () => Outcome): Message => ({ ask: () => ({ kind: 'pass' }), settle: outcome });

/** Every byte is a message; what it gets, the test says. Of the server every byte goes on. */
function bytewise(outcomeOf: (byte: number) => Outcome, more: Partial<Direction> = {}): Protocol {
  const direction = (of: (byte: number) => Outcome): Direction => ({
    push: (chunk) => ({ messages: [...chunk].map((byte) => message(() => of(byte))), fault: undefined }),
    isPartial: () => false,
  });
  return {
    name: 'bytes',
    kind: 'modbus',
    open: () => ({
      client: { ...direction(outcomeOf), ...more },
      server: direction((byte) => ({ onward: Buffer.from([byte]) })),
      isIdle: () => true,
    }),
    record: (operation: ProxyOperation) => ({ class: 'other', data: {}, key: [operation.protocol], changes: false }),
  };
}

test('connection: a client that reads nothing keeps its place until it is closed, and is closed in the end', async () => {
  // More than the kernel takes for a client that reads nothing.
  const answer = Buffer.alloc(16 * 1024 * 1024);
  await using server = await recordingServer();
  await using w = await world(server.port, { limits: { maxConnectionsPerPeer: 1 } }, () =>
    bytewise(() => ({ back: answer, close: 'after' })),
  );
  await using silent = await rawClient(w.port);
  silent.socket.pause();
  await silent.send(Buffer.from('x'));
  await someTurns();
  await using second = await rawClient(w.port);
  await untilTrue(second.isClosed);
  assert.equal(w.proxy.connections().length, 1, 'the first still has its place, the second found none');
  await w.clock.advance(31_000);
  await untilTrue(() => w.proxy.connections().length === 0);
  silent.socket.resume();
  await silent.closed;
});

test('connection: a client that is gone keeps its place while its server has not taken what was sent', async () => {
  const request = Buffer.alloc(16 * 1024 * 1024);
  await using server = await recordingServer();
  await using w = await world(
    server.port,
    {
      limits: { maxConnectionsPerPeer: 1 },
      connectUpstream: async () => {
        const socket = connect({ host: '127.0.0.1', port: server.port });
        await new Promise((resolve) => socket.once('connect', resolve));
        await untilTrue(() => server.connections().length === 1);
        server.connections()[0]?.pause();
        return socket;
      },
    },
    () => bytewise(() => ({ onward: request })),
  );
  await using client = await rawClient(w.port);
  await client.send(Buffer.from('x'));
  await untilTrue(() => server.connections().length === 1);
  await someTurns();
  client.socket.destroy();
  await someTurns();
  assert.equal(w.proxy.connections().length, 1);
  await w.clock.advance(31_000);
  await untilTrue(() => w.proxy.connections().length === 0);
});

test('connection: a message that was begun is not late while nobody reads the rest of it', async () => {
  let room = false;
  await using server = await recordingServer();
  await using w = await world(server.port, {}, () =>
    bytewise(() => ({ back: Buffer.from('y') }), { isPartial: () => true, hasRoom: () => room }),
  );
  await using client = await rawClient(w.port);
  await client.send(Buffer.from('x'));
  await untilTrue(() => w.proxy.connections().length === 1);
  await someTurns();
  await w.clock.advance(11_000);
  await someTurns();
  assert.equal(client.isClosed(), false);
  room = true;
  await w.clock.advance(1_000);
  await someTurns();
  assert.equal(client.isClosed(), false);
  await w.clock.advance(11_000);
  await client.closed;
  assert.match(String((await w.finish()).at(-1)?.data['message']), /begun and not finished/);
});

test('connection: what waits for its last words to be read is closed at once by an order', async () => {
  const answer = Buffer.alloc(16 * 1024 * 1024);
  await using server = await recordingServer();
  await using w = await world(server.port, {}, () => bytewise(() => ({ back: answer, close: 'after' })));
  await using silent = await rawClient(w.port);
  silent.socket.pause();
  await silent.send(Buffer.from('x'));
  await someTurns();
  assert.equal(w.proxy.close('gateway-1'), 1);
  let received = 0;
  silent.socket.on('data', (chunk: Buffer) => (received += chunk.length));
  silent.socket.resume();
  await untilTrue(silent.isClosed);
  assert.ok(received < answer.length, 'all of it came after the end');
});
