// node:http2 as oracle: whatever valid requests come, framed and cut in whatever way, our server answers what one on
// node:http2 with the same handler answers. And bytes that are not valid never give an answer that the handler did not give.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { test } from 'node:test';
import fc from 'fast-check';
import { HpackDecoder } from '../../runtime/h2/hpack-decoder.ts';
import { until } from '../support/until.ts';
import { startOracle } from './node-oracle.ts';
import {
  block,
  callFields,
  endHeaders,
  endStream,
  type Field,
  frame,
  message,
  padded,
  preface,
  RawClient,
  types,
} from './raw-client.ts';
import { startRaw } from './raw-server.ts';

const maxMessageBytes = 20_000;
const echo = '/t.T/Echo';

interface Request {
  readonly fields: readonly Field[];
  readonly content: Buffer;
  /** Sizes of the DATA frames and the padding of each; the rest goes into a last one. */
  readonly pieces: readonly { readonly size: number; readonly padding: number }[];
  /** Where the header block is cut into CONTINUATION frames. */
  readonly cuts: readonly number[];
  readonly trailers: boolean;
  readonly priority: boolean;
}

const weighted = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const fields = fc
  .record({
    method: weighted('POST', 'GET', 'PUT'),
    path: weighted(echo, '/', '/t.T/echo', `${echo}/`, `${echo}?a`),
    type: weighted('application/grpc', 'text/plain', 'application/json'),
    timeout: weighted<string | undefined>(undefined, '10S', '1H', '99999999m', 'x', '1', '123456789S'),
    more: fc.array(fc.stringMatching(/^[!-~]{0,40}$/), { maxLength: 5 }),
  })
  .map(({ method, path, type, timeout, more }): Field[] => [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ...(type === '' ? [] : [['content-type', type] as const]),
    ...(timeout === undefined ? [] : [['grpc-timeout', timeout] as const]),
    ...more.map((value, index) => [`x-more-${index}`, value] as const),
  ]);

const content = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => message(bytes)) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: maxMessageBytes }).map((size) => message(Buffer.alloc(size, 5))) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => message(bytes, 1)) },
);

const request: fc.Arbitrary<Request> = fc.record({
  fields,
  content,
  pieces: fc.array(fc.record({ size: fc.integer({ min: 0, max: 500 }), padding: fc.integer({ min: 0, max: 20 }) }), {
    maxLength: 6,
  }),
  cuts: fc.array(fc.integer({ min: 0, max: 150 }), { maxLength: 3 }),
  trailers: fc.boolean(),
  priority: fc.boolean(),
});

/** Frames of one request; they may be mixed with those of others, but HEADERS and CONTINUATION stay together. */
function framesOf(streamId: number, { fields, content, pieces, cuts, trailers, priority }: Request): Buffer[] {
  const whole = block(fields);
  const at = [...new Set(cuts)].filter((cut) => cut < whole.length).sort((a, b) => a - b);
  const parts = [0, ...at].map((start, index) => whole.subarray(start, at[index] ?? whole.length));
  const head = parts.map((part, index) => {
    const flags = index === parts.length - 1 ? endHeaders : 0;
    if (index > 0) return frame(types.continuation, flags, streamId, part);
    return priority
      ? frame(types.headers, flags | 0x20, streamId, Buffer.concat([Buffer.from([0, 0, 0, 0, 9]), part]))
      : frame(types.headers, flags, streamId, part);
  });
  const data: Buffer[] = [];
  let sent = 0;
  for (const { size, padding } of pieces) {
    data.push(dataOf(streamId, 0, content.subarray(sent, sent + size), padding));
    sent = Math.min(sent + size, content.length);
  }
  for (; content.length - sent > 16_000; sent += 16_000) {
    data.push(dataOf(streamId, 0, content.subarray(sent, sent + 16_000), 0));
  }
  data.push(dataOf(streamId, trailers ? 0 : endStream, content.subarray(sent), 0));
  if (trailers) data.push(frame(types.headers, endHeaders | endStream, streamId, block([['x-end', '1']])));
  return [Buffer.concat(head), ...data];
}

const dataOf = (streamId: number, flags: number, bytes: Buffer, padding: number): Buffer =>
  padding === 0
    ? frame(types.data, flags, streamId, bytes)
    : frame(
        types.data,
        flags | padded,
        streamId,
        Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)]),
      );

/** Opens streams in order and mixes the rest as `order` says. */
function mixed(requests: readonly Request[], order: readonly number[]): Buffer {
  const queues = requests.map((request, index) => framesOf(2 * index + 1, request));
  const out: Buffer[] = [];
  let opened = 0;
  for (let turn = 0; queues.some((queue) => queue.length > 0); turn++) {
    const wish = (order[turn % Math.max(order.length, 1)] ?? 0) % queues.length;
    const index =
      wish > opened || (wish === opened && queues[wish]?.length === 0) ? Math.min(opened, queues.length - 1) : wish;
    const next = queues[index]?.shift() ?? queues.find((queue, at) => at <= opened && queue.length > 0)?.shift();
    if (next === undefined) {
      opened++;
      continue;
    }
    out.push(next);
    if (index === opened) opened++;
  }
  return Buffer.concat(out);
}

async function answers(port: number, bytes: Buffer, cuts: readonly number[], count: number): Promise<unknown[]> {
  const client = await RawClient.open({ port }, false);
  const whole = Buffer.concat([preface, frame(types.settings, 0, 0), bytes]);
  let sent = 0;
  for (const cut of cuts.toSorted((a, b) => a - b)) {
    const end = Math.max(sent, Math.floor((cut / 1000) * whole.length));
    client.send(whole.subarray(sent, end));
    sent = end;
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.send(whole.subarray(sent));
  try {
    for (let index = 0; index < count; index++) await client.answer(2 * index + 1);
    const fields = fieldsByStream(client);
    return Array.from({ length: count }, (_, index) => {
      const { messages, reset } = client.answered(2 * index + 1);
      // Ours does not wait for the end of a message that announces too much: a whole answer, then RST_STREAM NO_ERROR.
      return { fields: fields.get(2 * index + 1), messages, reset: reset === 0 ? undefined : reset };
    });
  } finally {
    client.close();
  }
}

/** What decides for a client; node:http2 adds a date, and we say more about errors. */
const compared = new Set([':status', 'content-type', 'grpc-status']);

function fieldsByStream(client: RawClient): Map<number, Record<string, string>> {
  const decoder = new HpackDecoder();
  const all = new Map<number, Record<string, string>>();
  for (const { type, streamId, payload } of client.frames) {
    if (type !== types.headers) continue;
    const fields = all.get(streamId) ?? {};
    all.set(streamId, fields);
    const field = (name: string, value: string): void => {
      if (compared.has(name)) fields[name] = value;
    };
    decoder.decode(payload, 0, payload.length, { field });
  }
  return all;
}

test('our server and node:http2 answer the same to the same bytes', async (t) => {
  const ours = await startRaw(t, { maxMessageBytes });
  const oracle = await startOracle(maxMessageBytes);
  t.after(() => oracle.close());
  const port = (await ours.open()).socket.remotePort ?? 0;
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat(7), { maxLength: 40 }),
      fc.array(fc.nat(1000), { maxLength: 6 }),
      async (requests, order, cuts) => {
        const bytes = mixed(requests, order);
        const [mine, theirs] = await Promise.all([
          answers(port, bytes, cuts, requests.length),
          answers(oracle.port, bytes, cuts, requests.length),
        ]);
        assert.deepEqual(mine, theirs);
        answered += mine.filter((answer) => (answer as { messages: Buffer[] }).messages.length > 0).length;
      },
    ),
    { numRuns: 150 },
  );
  assert.ok(answered > 50, `only ${answered} calls were answered with a message`);
  assert.deepEqual(ours.faults, []);
});

test('a node:http2 client sees the same statuses from both', async (t) => {
  const ours = await startRaw(t, { maxMessageBytes });
  const oracle = await startOracle(maxMessageBytes);
  t.after(() => oracle.close());
  const port = (await ours.open()).socket.remotePort ?? 0;
  const sessions = [port, oracle.port].map((port) => connect(`http://127.0.0.1:${port}`));
  t.after(() => sessions.forEach((session) => session.destroy()));
  const ask = async (
    session: (typeof sessions)[number],
    fields: readonly Field[],
    content: Buffer,
  ): Promise<unknown> => {
    const stream = session.request(Object.fromEntries(fields), { endStream: false });
    const seen: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    const note = (headers: Record<string, unknown>): void => {
      for (const name of [':status', 'content-type', 'grpc-status']) if (name in headers) seen[name] = headers[name];
    };
    stream
      .on('response', note)
      .on('trailers', note)
      .on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.end(content);
    await once(stream, 'close');
    return { seen, content: Buffer.concat(chunks) };
  };
  await fc.assert(
    fc.asyncProperty(fields, content, async (fields, content) => {
      const [mine, theirs] = await Promise.all(sessions.map((session) => ask(session, fields, content)));
      assert.deepEqual(mine, theirs);
    }),
    { numRuns: 300 },
  );
});

const conversation = Buffer.concat([
  preface,
  frame(types.settings, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0])),
  frame(types.windowUpdate, 0, 0, Buffer.from([0, 1, 0, 0])),
  ...[1, 3, 5, 7].flatMap((streamId) => [
    frame(types.headers, endHeaders, streamId, block(callFields(echo, ['x-a', `value-${streamId}`]))),
    frame(types.data, endStream, streamId, message(Buffer.from(`message-${streamId}`))),
  ]),
  frame(types.ping, 0, 0, Buffer.from('ping-end')),
]);

test('a conversation cut at every byte is the same conversation', async (t) => {
  const ours = await startRaw(t, { maxConnections: 10_000 });
  const port = (await ours.open()).socket.remotePort ?? 0;
  const cuts = Array.from({ length: conversation.length - 1 }, (_, index) => index + 1);
  const batch = 50;
  for (let first = 0; first < cuts.length; first += batch) {
    await Promise.all(
      cuts.slice(first, first + batch).map(async (cut) => {
        const client = await RawClient.open({ port }, false);
        client.send(conversation.subarray(0, cut));
        await new Promise((resolve) => setTimeout(resolve, 5));
        client.send(conversation.subarray(cut));
        for (const streamId of [1, 3, 5, 7]) {
          assert.deepEqual(
            (await client.answer(streamId)).messages,
            [Buffer.from(`message-${streamId}`)],
            `cut at ${cut}`,
          );
        }
        client.close();
      }),
    );
  }
  // And a whole conversation byte by byte.
  const client = await RawClient.open({ port }, false);
  for (const octet of conversation) {
    client.send(Buffer.from([octet]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual((await client.answer(7)).messages, [Buffer.from('message-7')]);
  assert.equal(ours.server.counters.connectionsFailed, 0);
});

test('a conversation that ends at every byte leaves nothing behind', async (t) => {
  const ours = await startRaw(t, { maxConnections: 10_000 });
  const port = (await ours.open()).socket.remotePort ?? 0;
  for (let cut = 0; cut < conversation.length; cut += 1) {
    const client = await RawClient.open({ port }, false);
    client.send(conversation.subarray(0, cut));
    client.socket.end();
    if (cut % 20 === 0) await client.until(() => false);
  }
  await until('only the first connection is left', async () => ours.server.counters.connectionsOpen === 1, 10_000, 10);
  assert.equal(ours.server.counters.streamsOpen, 0);
  assert.deepEqual(ours.faults, []);
});

test('mutated bytes neither crash the server, nor get an answer that no method gave, nor leave anything behind', async (t) => {
  const ours = await startRaw(t, { maxConnections: 10_000 });
  const port = (await ours.open()).socket.remotePort ?? 0;
  const mutation = fc.record({ at: fc.nat(conversation.length - 1), octet: fc.nat(255), kind: fc.nat(3) });
  let broken = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 6 }), async (mutations) => {
      let bytes = Buffer.from(conversation);
      for (const { at, octet, kind } of mutations) {
        const place = at % bytes.length;
        if (kind === 0) bytes[place] = octet;
        else if (kind === 1) bytes[place] = (bytes[place] ?? 0) ^ (1 << (octet % 8));
        else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1)]);
        else bytes = Buffer.concat([bytes.subarray(0, place), Buffer.from([octet]), bytes.subarray(place)]);
      }
      ours.seen.messages.length = 0;
      const client = await RawClient.open({ port }, false);
      client.send(bytes);
      client.socket.end();
      await client.until(() => false);
      const given = new Set(ours.seen.messages.map((message) => message.toString('hex')));
      const streams = new Set(client.frames.filter(({ type }) => type === types.data).map(({ streamId }) => streamId));
      for (const streamId of streams) {
        for (const answer of client.answered(streamId).messages) assert.ok(given.has(answer.toString('hex')));
      }
      if (client.frames.some(({ type }) => type === types.goaway)) broken++;
    }),
    { numRuns: 1500 },
  );
  assert.ok(broken > 100, 'mutations are noticed');
  await until('only the first connection is left', async () => ours.server.counters.connectionsOpen === 1, 10_000, 10);
  assert.equal(ours.server.counters.streamsOpen, 0);
  assert.deepEqual(ours.faults, []);
});
