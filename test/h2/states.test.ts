// What came before decides what a frame means: closed streams, windows, the table of HPACK.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { test } from 'node:test';
import {
  ack,
  block,
  callFields,
  endHeaders,
  endStream,
  type Field,
  frame,
  message,
  number,
  preface,
  type RawClient,
  types,
} from './raw-client.ts';
import { startRaw } from './raw-server.ts';

const echo = '/t.T/Echo';
const hello = Buffer.from('hello');
const protocolError = 1;
const streamClosed = 5;

const afterwards: readonly (readonly [string, (client: RawClient) => void, number])[] = [
  ['HEADERS on a stream that has ended', (client) => client.headers(5, endStream, callFields(echo)), streamClosed],
  ['DATA on a stream that has ended', (client) => client.send(frame(types.data, endStream, 5, hello)), streamClosed],
  ['HEADERS below the highest stream', (client) => client.headers(3, endStream, callFields(echo)), protocolError],
  ['DATA below the highest stream', (client) => client.send(frame(types.data, endStream, 3, hello)), streamClosed],
  ['DATA on a stream that is idle', (client) => client.send(frame(types.data, endStream, 7, hello)), protocolError],
  ['RST_STREAM on a stream that is idle', (client) => client.send(frame(types.rst, 0, 7, number(8))), protocolError],
  ['HEADERS on an even stream', (client) => client.headers(8, endStream, callFields(echo)), protocolError],
  ['PUSH_PROMISE', (client) => client.send(frame(types.push, endHeaders, 5, number(2))), protocolError],
];

for (const [what, act, code] of afterwards) {
  test(`${what} ends the connection`, async (t) => {
    const { open } = await startRaw(t);
    const client = await open();
    client.call(5, echo, hello);
    await client.answer(5);
    act(client);
    assert.equal(await client.end(), code);
  });
}

test('a cancelled call has no answer, though its method gives one', async (t) => {
  const { open, release, server, faults } = await startRaw(t);
  const client = await open();
  client.call(1, '/t.T/Held', hello);
  client.send(frame(types.rst, 0, 1, number(8)));
  await client.settled();
  release();
  await client.settled();
  await client.settled();
  assert.equal(client.frames.filter(({ streamId }) => streamId === 1).length, 0);
  assert.equal(server.counters.streamsOpen, 0);
  assert.deepEqual(faults, []);
});

const dataBytes = (client: RawClient, id?: number): number =>
  client.frames
    .filter(({ type, streamId }) => type === types.data && (id === undefined || streamId === id))
    .reduce((sum, { payload }) => sum + payload.length, 0);

const initialWindow = (octets: number): Buffer =>
  frame(types.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(octets)]));

test('the window of the connection holds for all its streams, for small answers and for large ones', async (t) => {
  for (const [path, content, count] of [
    [echo, Buffer.alloc(1000), 100],
    ['/t.T/Big', hello, 4],
  ] as const) {
    const { open } = await startRaw(t);
    const client = await open();
    client.send(initialWindow(1_000_000));
    client.call(1, echo, hello);
    const ids = Array.from({ length: count }, (_, index) => 2 * index + 3);
    for (const id of ids) {
      client.send(
        frame(types.headers, endHeaders, id, block(callFields(path))),
        frame(types.data, endStream, id, message(content)),
      );
    }
    await client.settled();
    assert.equal(dataBytes(client), 65_535);
    client.send(frame(types.windowUpdate, 0, 0, number(1_000_000)));
    for (const id of ids) assert.equal((await client.answer(id)).fields['grpc-status'], '0');
  }
});

test('the window of a stream holds for a small answer', async (t) => {
  const { open } = await startRaw(t);
  const client = await open();
  client.call(1, echo, hello);
  await client.answer(1);
  client.send(initialWindow(3));
  client.call(3, echo, hello);
  await client.settled();
  assert.equal(dataBytes(client, 3), 3);
  client.send(frame(types.windowUpdate, 0, 3, number(100)));
  assert.deepEqual((await client.answer(3)).messages, [hello]);
});

test('a client that keeps no header table is told that we use none', async (t) => {
  const { open } = await startRaw(t);
  const port = (await open()).socket.remotePort;
  const session = connect(`http://127.0.0.1:${port}`, { settings: { headerTableSize: 0 } });
  t.after(() => session.destroy());
  for (let round = 0; round < 2; round++) {
    const stream = session.request(Object.fromEntries(callFields(echo)), { endStream: false });
    const trailers = once(stream, 'trailers') as Promise<[Record<string, unknown>]>;
    stream.resume().end(message(hello));
    const [{ 'grpc-status': status }] = await trailers;
    assert.equal(status, '0');
  }
});

test('equal header blocks are not equal requests while the peer may use a table', async (t) => {
  const { open } = await startRaw(t);
  const client = await open(false);
  // The server's SETTINGS are never acknowledged, so a table of 4096 octets is the peer's right.
  client.send(preface, frame(types.settings, 0, 0));
  const rest = block(callFields('').filter(([name]) => name !== ':path')).subarray(0);
  const pseudo = block(callFields('').filter(([name]) => name.startsWith(':') && name !== ':path'));
  const others = rest.subarray(pseudo.length);
  /** `:path`, put into the table as its newest entry; or what that entry says. */
  const added = (path: string): Buffer => Buffer.concat([Buffer.from([0x44, path.length]), Buffer.from(path)]);
  const newest = Buffer.from([0x80 | 62]);
  const ask = async (streamId: number, path: Buffer): Promise<Buffer | undefined> => {
    client.send(
      frame(types.headers, endHeaders, streamId, Buffer.concat([pseudo, path, others])),
      frame(types.data, endStream, streamId, message(hello)),
    );
    return (await client.answer(streamId)).messages[0];
  };
  assert.deepEqual(await ask(1, added(echo)), hello);
  assert.deepEqual(await ask(3, newest), hello);
  assert.deepEqual(await ask(5, added('/t.T/Big')), Buffer.alloc(50_000, 1));
  client.send(frame(types.windowUpdate, 0, 0, number(1_000_000)));
  assert.deepEqual(await ask(7, newest), Buffer.alloc(50_000, 1));
});

test('a header block that was read before is the same call again, another one is not', async (t) => {
  const { open } = await startRaw(t);
  const client = await open();
  const more = (value: string): Field => ['x-a', value];
  for (let round = 0, streamId = 1; round < 12; round++, streamId += 2) {
    const path = round % 3 === 2 ? '/t.T/Othe' : echo;
    client.headers(streamId, 0, callFields(path, more(String(round % 2))));
    client.send(frame(types.data, endStream, streamId, message(Buffer.from(String(round)))));
    const { fields, messages } = await client.answer(streamId);
    assert.equal(fields['grpc-status'], path === echo ? '0' : '12');
    assert.deepEqual(messages, path === echo ? [Buffer.from(String(round))] : []);
  }
});

test('a head that came in pieces is not taken for the next one that comes in pieces', async (t) => {
  const { open } = await startRaw(t);
  const client = await open();
  client.call(1, echo, hello);
  await client.answer(1);
  /** Cut inside its header block, with a PING before it whose answer says that the first piece was read. */
  const inPieces = async (streamId: number, path: string): Promise<string | undefined> => {
    const head = frame(types.headers, endHeaders, streamId, block(callFields(path)));
    const mark = Buffer.alloc(8, streamId);
    client.send(frame(types.ping, 0, 0, mark), head.subarray(0, 20));
    await client.until(({ type, flags, payload }) => type === types.ping && flags === ack && payload.equals(mark));
    client.send(head.subarray(20), frame(types.data, endStream, streamId, message(hello)));
    return (await client.answer(streamId)).fields['grpc-status'];
  };
  assert.equal(await inPieces(3, '/t.T/Othe'), '12');
  assert.equal(await inPieces(5, echo), '0');
  assert.equal(await inPieces(7, '/t.T/Othe'), '12');
});
