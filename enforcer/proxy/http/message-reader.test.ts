import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createMessageReader, type MessageReader, type Part } from './message-reader.ts';
import { readRequestHead, type RequestHead } from './request-head.ts';

const reader = (): MessageReader<RequestHead> => createMessageReader({ head: readRequestHead, trailers: 'refused' });

/** Heads, content octets and bytes of each request, however its body came in pieces. */
interface Whole {
  readonly method: string;
  readonly path: string;
  bytes: string;
  content: number;
  complete: boolean;
}

function wholeOf(parts: readonly Part<RequestHead>[]): { requests: Whole[]; fault?: string } {
  const requests: Whole[] = [];
  for (const part of parts) {
    if (part.kind === 'fault') return { requests, fault: part.why };
    const bytes = part.bytes.toString('latin1');
    if (part.kind === 'head') {
      const { method, path } = part.head.operation;
      requests.push({ method, path, bytes, content: 0, complete: part.last });
      continue;
    }
    const last = requests.at(-1);
    assert.ok(last !== undefined && !last.complete, 'a body belongs to the request before it');
    last.bytes += bytes;
    last.content += part.content;
    last.complete = part.last;
  }
  return { requests };
}

const read = (...pieces: readonly (string | Buffer)[]): ReturnType<typeof wholeOf> => {
  const one = reader();
  return wholeOf(pieces.flatMap((piece) => one.push(Buffer.isBuffer(piece) ? piece : Buffer.from(piece, 'latin1'))));
};

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/).map((name) => `q-${name}`);
const value = fc.stringMatching(/^(?:[!-~](?:[ -~]{0,20}[!-~])?)?$/);
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const chunked = fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 6 }).map((chunks) => ({
  octets: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
  text:
    [...chunks, new Uint8Array(0)]
      .map(
        (chunk) =>
          `${chunk.length.toString(16)}\r\n${Buffer.from(chunk).toString('latin1')}${chunk.length > 0 ? '\r\n' : ''}`,
      )
      .join('') + '\r\n',
}));

const request = fc
  .record({
    method: fc.constantFrom('POST', 'PUT', 'PATCH'),
    path: fc.stringMatching(/^\/[a-z0-9/]{0,20}$/),
    fields: fc.array(fc.tuple(token, value), { maxLength: 5 }),
    body: fc.oneof(
      fc.constant({ head: '', text: '', octets: 0 }),
      body.map((text) => ({ head: `content-length: ${text.length}\r\n`, text, octets: text.length })),
      chunked.map(({ text, octets }) => ({ head: 'transfer-encoding: chunked\r\n', text, octets })),
    ),
  })
  .map((made) => ({
    ...made,
    text: `${made.method} ${made.path} HTTP/1.1\r\nhost: a\r\n${made.fields.map(([name, text]) => `${name}: ${text}\r\n`).join('')}${made.body.head}\r\n${made.body.text}`,
  }));

test('requests are the same in whatever pieces they come, and their bytes are those that came', () => {
  fc.assert(
    fc.property(
      fc.array(request, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(2_000), { maxLength: 20 }),
      (made, cuts) => {
        const stream = Buffer.from(made.map(({ text }) => text).join(''), 'latin1');
        const places = [0, ...cuts.map((cut) => cut % (stream.length + 1)).toSorted((a, b) => a - b), stream.length];
        const pieces = places.slice(1).map((end, index) => stream.subarray(places[index], end));
        for (const way of [[stream], pieces, [...stream].map((byte) => Buffer.from([byte]))]) {
          const { requests, fault } = read(...way);
          assert.equal(fault, undefined);
          assert.deepEqual(
            requests,
            made.map(({ method, path, text, body: { octets } }) => ({
              method,
              path,
              bytes: text,
              content: octets,
              complete: true,
            })),
          );
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('any bytes at all: never thrown, the same at any cut, and nothing beyond a fault', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'GET ',
      '/ ',
      'HTTP/1.1',
      '\r\n',
      '\n',
      '\r',
      'host: a',
      'content-length: 5',
      ':',
      ' ',
      '\t',
      '\0',
      '0',
      'a',
      'transfer-encoding: chunked',
      ';x',
    ),
    fc.string({ maxLength: 4 }),
    fc.constant('POST /x HTTP/1.1\r\nhost: a\r\n'),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.nat(200), (pieces, cut) => {
      const text = pieces.join('');
      const at = cut % (text.length + 1);
      const summary = ({ requests, fault }: ReturnType<typeof wholeOf>) => ({
        fault,
        // A fault within the body throws away what came with it, which depends on the pieces.
        requests: fault === undefined ? requests : requests.map(({ path }) => path),
      });
      assert.deepEqual(summary(read(text.slice(0, at), text.slice(at))), summary(read(text)));
    }),
    { numRuns: 500 },
  );
});

const post = (framing: string, rest: string): string => `POST / HTTP/1.1\r\nhost: a\r\n${framing}\r\n\r\n${rest}`;
const chunks = (rest: string): string => post('transfer-encoding: chunked', rest);

const wrong: readonly (readonly [string, string, RegExp])[] = [
  ['LF only', 'GET / HTTP/1.1\nhost: a\n\n', /without CR/],
  ['LF at the end of the head', 'GET / HTTP/1.1\r\nhost: a\r\n\n', /without CR/],
  ['CR in a line', 'GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n', /CR without LF/],
  ['NUL', 'GET / HTTP/1.1\r\nhost: a\0\r\n\r\n', /control character/],
  ['an empty line before', '\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n', /empty line/],
  ['another protocol', '\u0016\u0003\u0001\u0002', /control character/],
  ['a folded line', 'GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n', /folded/],
  ['a space before the colon', 'GET / HTTP/1.1\r\nhost : a\r\n\r\n', /space before the colon/],
  ['a name that is no token', 'GET / HTTP/1.1\r\nhost: a\r\n(x): y\r\n\r\n', /no token/],
  ['no colon', 'GET / HTTP/1.1\r\nhost: a\r\nnothing\r\n\r\n', /without a colon/],
  ['a tab before a value', 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\tchunked\r\n\r\n', /a tab around/],
  ['a chunk with an extension', chunks('5;x=y\r\nabcde\r\n0\r\n\r\n'), /extension/],
  ['a chunk with a space', chunks('5 \r\nabcde\r\n0\r\n\r\n'), /extension/],
  ['a chunk without a size', chunks('\r\nabcde\r\n0\r\n\r\n'), /without a size/],
  ['a negative chunk', chunks('-5\r\nabcde\r\n'), /without a size/],
  ['0x before a size', chunks('0x5\r\nabcde\r\n0\r\n\r\n'), /extension/],
  ['a chunk beyond 32 bits', chunks('100000000\r\n'), /larger than any/],
  ['a chunk of 2 GiB and more', chunks('80000000\r\n'), /larger than any/],
  ['a chunk longer than its size', chunks('5\r\nabcdefg\r\n'), /longer than its size/],
  ['LF behind a size', chunks('5\nabcde\r\n0\r\n\r\n'), /extension/],
  ['CR and no LF behind a size', chunks('5\rXabcde\r\n0\r\n\r\n'), /CR without LF/],
  ['a trailer', chunks('0\r\nx: y\r\n\r\n'), /trailers/],
];

for (const [name, text, why] of wrong) {
  test(`refused: ${name}`, () => {
    const found = read(text);
    assert.match(found.fault ?? '', why);
    assert.match(read(...text.split('')).fault ?? '', why, 'in pieces too');
    assert.ok(found.requests.every(({ complete }) => !complete));
  });
}

test('a head has a bound, also one that never ends', () => {
  assert.match(read(`GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(20_000)}`).fault ?? '', /longer than any reader/);
  const one = reader();
  let fault = '';
  for (let sent = 0; sent < 70_000 && fault === ''; sent += 100) {
    const [part] = one.push(Buffer.alloc(100, 'x'));
    if (part?.kind === 'fault') fault = part.why;
  }
  assert.match(fault, /longer than any reader/);
});

test('nothing is read behind a fault', () => {
  const one = reader();
  one.push(Buffer.from('GET / HTTP/1.1\n'));
  assert.deepEqual(one.push(Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n')), []);
});
