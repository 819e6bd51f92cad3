// Peers that cost more than they ask: each known flood ends with ENHANCE_YOUR_CALM and what was held is let go; who is only busy
// is served. Time is the test's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../support/until.ts';
import {
  block,
  callFields,
  endHeaders,
  endStream,
  frame,
  message,
  number,
  preface,
  type RawClient,
  types,
} from './raw-client.ts';
import { type RawSetup, startRaw } from './raw-server.ts';

const calm = 11;
const cancel = 8;
const echo = '/t.T/Echo';
const hello = Buffer.from('hello');
const few = { burst: 50, perSecond: 10, perCall: 1 };
const budgets = { idleFrames: few, resets: few };

async function nothingLeft({ server }: RawSetup): Promise<void> {
  await until('no connection is left', async () => server.counters.connectionsOpen === 0, 5_000, 2);
  assert.equal(server.counters.streamsOpen, 0);
  assert.equal(server.counters.bytesHeld, 0);
}

/** Sends `one` again and again and says what the connection ended with. */
async function flood(client: RawClient, one: (index: number) => Buffer, times: number): Promise<number | 'closed'> {
  for (let index = 0; index < times; index++) client.send(one(index));
  return await client.end();
}

const idleFloods: readonly (readonly [string, (index: number) => Buffer])[] = [
  ['PING', () => frame(types.ping, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', () => frame(types.settings, 0, 0)],
  ['PRIORITY', () => frame(types.priority, 0, 3, Buffer.alloc(5))],
  ['WINDOW_UPDATE', () => frame(types.windowUpdate, 0, 0, number(1))],
  ['frames of an unknown type', () => frame(0xb0, 0, 0, Buffer.alloc(10))],
  ['GOAWAY', () => frame(types.goaway, 0, 0, Buffer.alloc(8))],
  ['empty DATA', () => frame(types.data, 0, 1)],
  ['RST_STREAM of a stream that is over', () => frame(types.rst, 0, 1, number(cancel))],
];

for (const [what, one] of idleFloods) {
  test(`a flood of ${what}`, async (t) => {
    const setup = await startRaw(t, budgets);
    const client = await setup.open();
    client.headers(1, what === 'empty DATA' ? 0 : endStream, callFields(echo));
    await client.settled();
    assert.equal(await flood(client, one, 100), calm);
    assert.equal(setup.server.counters.floodsRefused, 1);
    await nothingLeft(setup);
  });
}

const opened = (streamId: number, path = echo): Buffer =>
  frame(types.headers, endHeaders, streamId, block(callFields(path)));

test('rapid reset (CVE-2023-44487)', async (t) => {
  const setup = await startRaw(t, budgets);
  const client = await setup.open();
  client.call(1, echo, hello);
  await client.answer(1);
  const ended = await flood(
    client,
    (index) => Buffer.concat([opened(2 * index + 3), frame(types.rst, 0, 2 * index + 3, number(cancel))]),
    100,
  );
  assert.equal(ended, calm);
  await nothingLeft(setup);
});

test('resets that the server is made to send (CVE-2025-8671)', async (t) => {
  const setup = await startRaw(t, budgets);
  const client = await setup.open();
  client.call(1, echo, hello);
  await client.answer(1);
  // A window increment of nothing: a stream error.
  const ended = await flood(
    client,
    (index) =>
      Buffer.concat([
        opened(2 * index + 3),
        frame(types.data, 0, 2 * index + 3, hello),
        frame(types.windowUpdate, 0, 2 * index + 3, number(0)),
      ]),
    100,
  );
  assert.equal(ended, calm);
  await nothingLeft(setup);
});

test('a peer that is busy and cancels a few is served', async (t) => {
  const { open, server } = await startRaw(t, budgets);
  const client = await open();
  client.call(1, echo, hello);
  await client.answer(1);
  let streamId = 3;
  for (let round = 0; round < 200; round++) {
    client.call(streamId, echo, hello);
    client.send(opened(streamId + 2), frame(types.rst, 0, streamId + 2, number(cancel)));
    streamId += 4;
  }
  client.call(streamId, echo, hello);
  assert.equal((await client.answer(streamId)).fields['grpc-status'], '0');
  assert.equal(server.counters.floodsRefused, 0);
});

test('budgets come back with time', async (t) => {
  const { open, clock, server } = await startRaw(t, { ...budgets, idleMs: 1_000_000 });
  const client = await open();
  for (let second = 0; second < 30; second++) {
    for (let index = 0; index < 8; index++) client.send(frame(types.ping, 0, 0, Buffer.alloc(8)));
    await client.settled();
    await clock.advance(1_000);
  }
  assert.equal(server.counters.floodsRefused, 0);
});

test('a header block without end, in bytes or in frames, empty ones too', async (t) => {
  const shapes = [
    { size: 10_000, limits: { maxHeaderBlockBytes: 50_000, maxContinuations: 1000 } },
    { size: 10, limits: { maxHeaderBlockBytes: 50_000, maxContinuations: 10 } },
    { size: 0, limits: {} },
  ];
  for (const { size, limits } of shapes) {
    const setup = await startRaw(t, limits);
    const client = await setup.open();
    client.send(frame(types.headers, endStream, 1, block(callFields(echo))));
    assert.equal(await flood(client, () => frame(types.continuation, 0, 1, Buffer.alloc(size, 0x90)), 100), calm);
    await nothingLeft(setup);
  }
});

test('a client that does not open its window holds a bounded number of answers', async (t) => {
  const setup = await startRaw(t, { maxQueuedBytes: 500_000 });
  const client = await setup.open();
  client.send(frame(types.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(0)])));
  client.call(1, '/t.T/Big', hello);
  for (let streamId = 3; streamId < 41; streamId += 2) {
    client.send(opened(streamId, '/t.T/Big'), frame(types.data, endStream, streamId, message(hello)));
  }
  assert.equal(await client.end(), calm);
  await nothingLeft(setup);
});

test('answers wait for the window, go on with it, and are ended when it does not come', async (t) => {
  const { open, clock, server } = await startRaw(t, { answerMs: 10_000 });
  const client = await open();
  client.send(frame(types.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(1000)])));
  client.call(1, '/t.T/Big', hello);
  client.send(opened(3, '/t.T/Big'), frame(types.data, endStream, 3, message(hello)));
  await client.settled();
  const received = (id: number): number =>
    client.frames
      .filter(({ type, streamId }) => type === types.data && streamId === id)
      .reduce((sum, { payload }) => sum + payload.length, 0);
  assert.deepEqual([received(1), received(3)], [1000, 1000]);
  client.send(frame(types.windowUpdate, 0, 1, number(500)));
  await client.settled();
  assert.equal(received(1), 1500);
  client.send(frame(types.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(900)])));
  client.send(frame(types.windowUpdate, 0, 1, number(99)));
  await client.settled();
  assert.equal(received(1), 1500, 'the window is below what has gone');
  client.send(frame(types.windowUpdate, 0, 1, number(1_000_000)), frame(types.windowUpdate, 0, 0, number(1_000_000)));
  const [whole] = (await client.answer(1)).messages;
  assert.deepEqual(whole, Buffer.alloc(50_000, 1));
  await clock.advance(11_000);
  assert.equal((await client.answer(3)).reset, cancel);
  assert.equal(server.counters.timeouts, 1);
});

test('a stream of answers waits for its reader, and ends with it', async (t) => {
  const setup = await startRaw(t);
  const client = await setup.open();
  client.call(1, '/t.T/Many', hello);
  await client.settled();
  await client.settled();
  const bytes = client.frames.filter(({ type }) => type === types.data).reduce((sum, f) => sum + f.payload.length, 0);
  assert.ok(bytes <= 65_535, `${bytes} are more than the window`);
  client.send(frame(types.rst, 0, 1, number(cancel)));
  await until('the method was told', async () => setup.seen.aborted === 1, 5_000, 2);
  assert.equal(setup.server.counters.streamsOpen, 0);
});

test('a window that overflows ends the stream, or the connection', async (t) => {
  const { open } = await startRaw(t);
  const client = await open();
  client.call(1, '/t.T/Stuck', hello);
  client.send(frame(types.windowUpdate, 0, 1, number(2 ** 31 - 1)));
  assert.equal((await client.answer(1)).reset, 3, 'FLOW_CONTROL_ERROR');
  client.send(frame(types.windowUpdate, 0, 0, number(2 ** 31 - 1)));
  assert.equal(await client.end(), 3);
});

test('a window is given back as its bytes are taken', async (t) => {
  const { open } = await startRaw(t, { maxMessageBytes: 10_000_000 });
  const client = await open();
  const content = Buffer.alloc(5_000_000, 7);
  const bytes = message(content);
  client.send(frame(types.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(2 ** 31 - 1)])));
  client.send(frame(types.windowUpdate, 0, 0, number(2 ** 30)));
  client.headers(1, 0, callFields('/t.T/Echo'));
  await client.settled();
  const given = (id: number): number =>
    client.frames
      .filter(({ type, streamId }) => type === types.windowUpdate && streamId === id)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(), 65_535);
  for (let sent = 0; sent < bytes.length;) {
    await client.until(() => given(0) > sent && given(1) > sent);
    const end = Math.min(sent + 16_384, given(0), given(1), bytes.length);
    client.send(frame(types.data, end === bytes.length ? endStream : 0, 1, bytes.subarray(sent, end)));
    sent = end;
  }
  assert.deepEqual((await client.answer(1)).messages, [content]);
});

test('messages that are not complete hold a bounded number of bytes', async (t) => {
  const { open, server } = await startRaw(t, { maxBufferedBytes: 100_000 });
  const client = await open();
  client.call(1, echo, hello);
  for (let streamId = 3; streamId < 43; streamId += 2) {
    const part = Buffer.concat([Buffer.from([0, 0, 1, 0, 0]), Buffer.alloc(10_000)]);
    client.send(opened(streamId), frame(types.data, 0, streamId, part));
  }
  await client.settled();
  const refused = Array.from({ length: 20 }, (_, index) => client.answered(2 * index + 3).fields['grpc-status']);
  assert.equal(refused.filter((status) => status === '8').length, 11);
  assert.equal(server.counters.streamsOpen, 9);
});

test('messages that are not complete hold a bounded number of bytes, however many connections they come by', async (t) => {
  const setup = await startRaw(t, { maxBufferedBytesOfAll: 100_000 });
  const clients = [];
  for (let index = 0; index < 20; index++) {
    const client = await setup.open();
    clients.push(client);
    client.call(1, echo, hello);
    const part = Buffer.concat([Buffer.from([0, 0, 1, 0, 0]), Buffer.alloc(10_000)]);
    client.send(opened(3), frame(types.data, 0, 3, part));
    await client.settled();
  }
  const refused = clients.map((client) => client.answered(3).fields['grpc-status']);
  assert.equal(refused.filter((status) => status === '8').length, 11);
  assert.ok(setup.server.counters.bytesHeld <= 100_000);
  for (const client of clients) client.close();
  await nothingLeft(setup);
});

test('a frame larger than announced', async (t) => {
  const setup = await startRaw(t);
  const client = await setup.open();
  client.send(Buffer.from([0x00, 0x40, 0x01, 0, 0, 0, 0, 0, 1]));
  assert.equal(await client.end(), 6, 'FRAME_SIZE_ERROR');
  await nothingLeft(setup);
});

const slow: readonly (readonly [string, boolean, (client: RawClient) => void, number | 'closed'])[] = [
  ['who says nothing', false, () => undefined, 1],
  ['who stops inside the preface', false, (client) => client.send(preface.subarray(0, 10)), 1],
  ['who never acknowledges SETTINGS', false, (client) => client.send(preface, frame(types.settings, 0, 0)), 4],
  ['who stops inside a frame', true, (client) => client.send(Buffer.from([0, 0, 100, 0, 0])), calm],
  [
    'who stops inside a header block',
    true,
    (client) => client.send(frame(types.headers, 0, 1, Buffer.from([0x20]))),
    calm,
  ],
];

for (const [what, greet, act, code] of slow) {
  test(`${what} is not waited for`, async (t) => {
    const setup = await startRaw(t, { prefaceMs: 5_000, frameMs: 5_000, idleMs: 1_000_000 });
    const client = await setup.open(greet);
    act(client);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await setup.clock.advance(4_900);
    assert.equal(setup.server.counters.connectionsOpen, 1);
    await setup.clock.advance(6_000);
    assert.equal(await client.end(), code);
    assert.equal(setup.server.counters.timeouts, 1);
    await nothingLeft(setup);
  });
}

test('frames that always end in the next chunk are not a frame without end', async (t) => {
  const setup = await startRaw(t, { frameMs: 1_000, requestMs: 1_000_000, idleMs: 1_000_000 });
  const client = await setup.open();
  const ping = frame(types.ping, 0, 0, Buffer.alloc(8));
  client.send(ping.subarray(0, 5));
  for (let step = 0; step < 10; step++) {
    client.send(ping.subarray(5), ping.subarray(0, 5));
    await client.until(() => client.frames.filter(({ type }) => type === types.ping).length > step);
    await setup.clock.advance(500);
  }
  assert.equal(setup.server.counters.connectionsOpen, 1);
});

test('a request that does not end is ended, the connection is not', async (t) => {
  const { open, clock } = await startRaw(t, { requestMs: 2_000 });
  const client = await open();
  client.headers(1, 0, callFields(echo));
  client.send(frame(types.data, 0, 1, message(hello).subarray(0, 6)));
  await client.settled();
  await clock.advance(3_000);
  assert.equal((await client.answer(1)).reset, cancel);
  client.send(opened(3), frame(types.data, endStream, 3, message(hello)));
  assert.equal((await client.answer(3)).fields['grpc-status'], '0');
});

test('who asks nothing for long is asked to come again', async (t) => {
  const setup = await startRaw(t, { idleMs: 10_000, prefaceMs: 5_000 });
  const client = await setup.open();
  await setup.clock.advance(10_500);
  const goaway = await client.until(({ type }) => type === types.goaway);
  assert.equal(goaway?.payload.readUInt32BE(4), 0, 'NO_ERROR');
  await setup.clock.advance(6_000);
  await client.until(() => false);
  await nothingLeft(setup);
});

test('who does not read is not written to for ever', async (t) => {
  const setup = await startRaw(t, { answerMs: 10_000, maxQueuedBytes: 2 ** 30 });
  const client = await setup.open();
  client.send(frame(types.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(2 ** 31 - 1)])));
  client.send(frame(types.windowUpdate, 0, 0, number(2 ** 31 - 1 - 65_535)));
  client.call(1, echo, hello);
  await client.answer(1);
  client.socket.pause();
  for (let streamId = 3; streamId < 2003; streamId += 2) {
    client.send(opened(streamId, '/t.T/Big'), frame(types.data, endStream, streamId, message(hello)));
  }
  // The server stops to read once its socket is full, so what it holds is bounded by what it had read.
  await until('calls were served', async () => setup.seen.messages.length > 10, 5_000, 5);
  let before = -1;
  await until('the server stopped', async () => before === (before = setup.seen.messages.length), 5_000, 50);
  assert.ok(setup.seen.messages.length < 1001, 'it went on');
  await setup.clock.advance(11_000);
  await nothingLeft(setup);
});

test('a client that goes away takes its calls with it', async (t) => {
  const setup = await startRaw(t);
  const client = await setup.open();
  client.call(1, '/t.T/Never', hello);
  await client.settled();
  client.close();
  await until('the method was told', async () => setup.seen.aborted === 1, 5_000, 2);
  await nothingLeft(setup);
});
