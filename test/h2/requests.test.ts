// What is a request and what is not: RFC 9113 section 8, and gRPC over HTTP/2, by a client that sends what it likes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  ack,
  callFields,
  endHeaders,
  endStream,
  type Field,
  frame,
  message,
  number,
  padded,
  types,
} from './raw-client.ts';
import { startRaw } from './raw-server.ts';

const echo = '/t.T/Echo';
const hello = Buffer.from('hello');
const protocolError = 1;

test('a call is answered with head, message and status', async (t) => {
  const { open, server } = await startRaw(t);
  const client = await open();
  client.call(1, echo, hello);
  const expected = { ':status': '200', 'content-type': 'application/grpc', 'grpc-status': '0' };
  assert.deepEqual(await client.answer(1), { fields: expected, messages: [hello], reset: undefined });
  client.call(3, echo, Buffer.alloc(0));
  assert.deepEqual(await client.answer(3), { fields: expected, messages: [Buffer.alloc(0)], reset: undefined });
  assert.equal(server.counters.callsAnswered, 2);
});

const replaced = (name: string, ...values: string[]): Field[] =>
  callFields(echo).flatMap((field) => (field[0] === name ? values.map((value): Field => [name, value]) : [field]));
const malformed: readonly (readonly [string, readonly Field[]])[] = [
  ['an uppercase name', callFields(echo, ['X-Up', '1'])],
  ['a name with a space', callFields(echo, ['x y', '1'])],
  ['an empty name', callFields(echo, ['', '1'])],
  ['a name with an octet above ASCII', callFields(echo, ['x-\u00e9', '1'])],
  ['a value that is not ASCII', callFields(echo, ['x-a', '\u00ff\u00fe'])],
  ['a value with a line end', callFields(echo, ['x-a', 'a\r\nb: c'])],
  ['a value with NUL', callFields(echo, ['x-a', 'a\0b'])],
  ['a value with a space in front', callFields(echo, ['x-a', ' a'])],
  ['a value with a space behind', callFields(echo, ['x-a', 'a '])],
  ['connection', callFields(echo, ['connection', 'close'])],
  ['keep-alive', callFields(echo, ['keep-alive', '1'])],
  ['proxy-connection', callFields(echo, ['proxy-connection', 'close'])],
  ['transfer-encoding', callFields(echo, ['transfer-encoding', 'chunked'])],
  ['upgrade', callFields(echo, ['upgrade', 'h2c'])],
  ['te that is not trailers', replaced('te', 'gzip')],
  ...[':method', ':scheme', ':path'].flatMap((name): [string, Field[]][] => [
    [`no ${name}`, replaced(name)],
    [`${name} twice`, [[name, 'x'] as Field, ...callFields(echo)]],
  ]),
  [':authority twice', replaced(':authority', 'a', 'a')],
  ['an empty :path', replaced(':path', '')],
  ['an unknown pseudo-header field', [[':x', '1'], ...callFields(echo)]],
  ['a pseudo-header field of answers', [[':status', '200'], ...callFields(echo)]],
  ['a pseudo-header field after the others', [...replaced(':path'), [':path', echo]]],
  ['host that is not :authority', callFields(echo, ['host', 'elsewhere'])],
  ['content-type twice', callFields(echo, ['content-type', 'application/grpc'])],
  ['grpc-timeout twice', callFields(echo, ['grpc-timeout', '1S'], ['grpc-timeout', '2S'])],
  ['content-length that is no number', callFields(echo, ['content-length', '-1'])],
];

test('a malformed head ends its stream and nothing else', async (t) => {
  const { open, seen } = await startRaw(t);
  const client = await open();
  let streamId = 1;
  for (const [what, fields] of malformed) {
    client.headers(streamId, 0, fields);
    client.send(frame(types.data, endStream, streamId, message(hello)));
    const { reset, messages } = await client.answer(streamId);
    assert.deepEqual({ reset, messages }, { reset: protocolError, messages: [] }, what);
    streamId += 2;
  }
  assert.equal(seen.messages.length, 0);
  client.call(streamId, echo, hello);
  assert.equal((await client.answer(streamId)).fields['grpc-status'], '0');
});

const refused: readonly (readonly [string, readonly Field[], Readonly<Record<string, string>>])[] = [
  ['a method that is not POST', replaced(':method', 'GET'), { ':status': '405' }],
  ['another content type', replaced('content-type', 'application/json'), { ':status': '415' }],
  ['gRPC-Web', replaced('content-type', 'application/grpc-web+proto'), { ':status': '415' }],
  ['JSON in gRPC', replaced('content-type', 'application/grpc+json'), { ':status': '415' }],
  ['no content type', replaced('content-type'), { ':status': '415' }],
  ['an unknown path', replaced(':path', '/t.T/Other'), { ':status': '200', 'grpc-status': '12' }],
  ['a path with a query', replaced(':path', `${echo}?x=1`), { ':status': '200', 'grpc-status': '12' }],
  ['compression', callFields(echo, ['grpc-encoding', 'gzip']), { ':status': '200', 'grpc-status': '12' }],
  ...['', '1', 'S', '123456789S', '1s', '-1S', '1.5S', ' 1S'.trim() + ' '.trim() + 'x'].map(
    (value): [string, Field[], Record<string, string>] => [
      `grpc-timeout "${value}"`,
      callFields(echo, ['grpc-timeout', value]),
      { ':status': '200', 'grpc-status': '13' },
    ],
  ),
];

test('a request that is no call here is refused by its head, once it has ended', async (t) => {
  const { open, seen } = await startRaw(t);
  const client = await open();
  let streamId = 1;
  for (const [what, fields, expected] of refused) {
    client.headers(streamId, 0, fields);
    client.send(frame(types.data, 0, streamId, message(hello)));
    client.send(frame(types.data, endStream, streamId));
    const { fields: said, messages } = await client.answer(streamId);
    for (const [name, value] of Object.entries(expected)) assert.equal(said[name], value, what);
    assert.deepEqual(messages, [], what);
    streamId += 2;
  }
  assert.equal(seen.messages.length, 0);
});

test('the content of a request is one message, not compressed', async (t) => {
  const { open, seen } = await startRaw(t, { maxMessageBytes: 1000 });
  const client = await open();
  const contents: readonly (readonly [Buffer, string])[] = [
    [Buffer.alloc(0), '12'],
    [Buffer.from([0, 0, 0]), '12'],
    [message(hello).subarray(0, -1), '12'],
    [Buffer.concat([message(hello), Buffer.from([0])]), '12'],
    [Buffer.concat([message(hello), message(hello)]), '12'],
    [message(gzipSync(hello), 1), '12'],
    [message(hello, 2), '13'],
    [message(Buffer.alloc(1001)), '8'],
    [message(Buffer.alloc(1000)), '0'],
  ];
  let streamId = 1;
  for (const [content, status] of contents) {
    client.headers(streamId, 0, callFields(echo));
    client.send(frame(types.data, endStream, streamId, content));
    assert.equal((await client.answer(streamId)).fields['grpc-status'], status, content.toString('hex').slice(0, 40));
    streamId += 2;
  }
  assert.equal(seen.messages.length, 1);
});

test('a message that announces too much is refused at once, and the rest of it is not wanted', async (t) => {
  const { open } = await startRaw(t, { maxMessageBytes: 1000 });
  const client = await open();
  client.headers(1, 0, callFields(echo));
  client.send(frame(types.data, 0, 1, Buffer.from([0, 0x7f, 0xff, 0xff, 0xff])));
  assert.equal((await client.answer(1)).fields['grpc-status'], '8');
  const reset = await client.until(({ type, streamId }) => type === types.rst && streamId === 1);
  assert.equal(reset?.payload.readUInt32BE(), 0, 'RST_STREAM NO_ERROR after the whole answer');
  client.send(frame(types.data, endStream, 1, Buffer.alloc(500)));
  client.call(3, echo, hello);
  assert.equal((await client.answer(3)).fields['grpc-status'], '0', 'what was under way is discarded');
});

test('content-length has to be true', async (t) => {
  const { open, seen } = await startRaw(t);
  const client = await open();
  for (const [streamId, length, reset] of [
    [1, 9, protocolError],
    [3, 11, protocolError],
    [5, 10, undefined],
  ] as const) {
    client.headers(streamId, 0, callFields(echo, ['content-length', String(length)]));
    client.send(frame(types.data, endStream, streamId, message(hello)));
    assert.equal((await client.answer(streamId)).reset, reset);
  }
  assert.equal(seen.messages.length, 1);
});

test('a message in any pieces, padded, with trailers behind it, is the same message', async (t) => {
  const { open } = await startRaw(t);
  const client = await open();
  const content = message(Buffer.from('a message in many pieces'));
  client.headers(1, 0, callFields(echo));
  for (const octet of content) client.send(frame(types.data, 0, 1, Buffer.from([octet])));
  client.send(frame(types.data, endStream | padded, 1, Buffer.from([3, 0, 0, 0])));
  assert.deepEqual((await client.answer(1)).messages, [content.subarray(5)]);
  client.headers(3, 0, callFields(echo));
  client.send(frame(types.data, padded, 3, Buffer.concat([Buffer.from([2]), content, Buffer.alloc(2)])));
  client.headers(3, endStream, [['x-checksum', '1']]);
  assert.deepEqual((await client.answer(3)).messages, [content.subarray(5)]);
});

test('trailers that are none end the stream', async (t) => {
  const { open, seen } = await startRaw(t);
  const client = await open();
  const trailers: readonly (readonly [number, readonly Field[]])[] = [
    [0, [['x-a', '1']]],
    [endStream, [[':path', echo]]],
    [endStream, [['X-A', '1']]],
  ];
  for (const [index, [flags, fields]] of trailers.entries()) {
    const streamId = 2 * index + 1;
    client.headers(streamId, 0, callFields(echo));
    client.send(frame(types.data, 0, streamId, message(hello)));
    client.headers(streamId, flags, fields);
    assert.equal((await client.answer(streamId)).reset, protocolError);
  }
  assert.equal(seen.messages.length, 0);
});

test('10,000 fields are refused, and the connection goes on', async (t) => {
  const { open, seen } = await startRaw(t);
  const client = await open();
  // The smallest block for it: the same field of the static table 10,000 times.
  const blockOf = (fields: number): Buffer => Buffer.alloc(fields, 0x90);
  client.headers(1, endStream, callFields(echo));
  await client.answer(1);
  client.send(frame(types.headers, endHeaders | endStream, 3, blockOf(10_000)));
  assert.equal((await client.answer(3)).fields['grpc-status'], '8');
  client.call(5, echo, hello);
  assert.equal((await client.answer(5)).fields['grpc-status'], '0');
  assert.equal(seen.messages.length, 1);
});

test('a deadline that has passed is not worth a call; one that passes ends it', async (t) => {
  const { open, clock, seen } = await startRaw(t);
  const client = await open();
  client.call(1, echo, hello, ['grpc-timeout', '0m']);
  assert.equal((await client.answer(1)).fields['grpc-status'], '4');
  assert.equal(seen.messages.length, 0);
  client.call(3, '/t.T/Never', hello, ['grpc-timeout', '50m']);
  await client.settled();
  await clock.advance(49);
  assert.equal(seen.aborted, 0);
  await clock.advance(1);
  assert.equal((await client.answer(3)).fields['grpc-status'], '4');
  assert.equal(seen.aborted, 1);
});

test('more calls at a time than allowed are refused for another try, cancelled ones that still run included', async (t) => {
  const { open, server } = await startRaw(t, { maxConcurrentStreams: 2 });
  const client = await open();
  client.call(1, '/t.T/Stuck', hello);
  client.call(3, '/t.T/Stuck', hello);
  client.call(5, echo, hello);
  assert.equal((await client.answer(5)).reset, 7, 'REFUSED_STREAM');
  client.send(frame(types.rst, 0, 1, number(8)));
  client.call(7, echo, hello);
  assert.equal((await client.answer(7)).reset, 7, 'its method still runs');
  assert.equal(server.counters.streamsRefused, 2);
});

test('a header table of a peer that does not follow our SETTINGS ends the connection', async (t) => {
  const { open } = await startRaw(t);
  const client = await open();
  // Without the size update that has to begin the block.
  client.send(frame(types.headers, endHeaders | endStream, 1, Buffer.from([0x83])));
  assert.equal(await client.end(), 9, 'COMPRESSION_ERROR');
});

test('closing serves what the client had begun, and nothing above it', async (t) => {
  const { open, server } = await startRaw(t);
  const client = await open();
  client.call(1, echo, hello);
  await client.answer(1);
  const closed = server.close(1_000_000);
  const first = await client.until(({ type }) => type === types.goaway);
  assert.equal(first?.payload.readUInt32BE(), 2 ** 31 - 1);
  client.call(3, echo, hello);
  assert.equal((await client.answer(3)).fields['grpc-status'], '0', 'it crossed the GOAWAY');
  const ping = await client.until(({ type, flags }) => type === types.ping && flags === 0);
  assert.ok(ping);
  client.headers(5, 0, callFields(echo));
  client.send(frame(types.ping, ack, 0, ping.payload));
  const second = await client.until(({ type, payload }) => type === types.goaway && payload.readUInt32BE() === 5);
  assert.ok(second);
  client.call(7, echo, hello);
  client.send(frame(types.data, endStream, 5, message(hello)));
  assert.equal((await client.answer(5)).fields['grpc-status'], '0');
  await closed;
  assert.deepEqual(client.answered(7).fields, {});
});
