import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHead } from './head.ts';
import { readResponseHead, type ResponseHead } from './response-head.ts';

function read(method: string, ...lines: readonly string[]): ResponseHead | string {
  const head = readHead(lines.join('\r\n'));
  const found = 'fault' in head ? head : readResponseHead(head.read, method);
  return 'fault' in found ? found.fault : found.read;
}

const ends: readonly (readonly [string, readonly string[], Partial<ResponseHead>])[] = [
  ['GET', ['HTTP/1.1 200 OK', 'content-length: 5'], { framing: { kind: 'length', bytes: 5 }, last: false }],
  ['GET', ['HTTP/1.1 200', 'content-length: 0'], { framing: { kind: 'none' }, last: false }],
  ['GET', ['HTTP/1.1 200 OK', 'Transfer-Encoding: Chunked'], { framing: { kind: 'chunked' }, last: false }],
  ['GET', ['HTTP/1.1 200 OK'], { framing: { kind: 'until-close' }, last: true }],
  ['GET', ['HTTP/1.1 200 OK', 'content-length: 5', 'connection: close'], { last: true }],
  ['GET', ['HTTP/1.0 200 OK', 'content-length: 5'], { last: true }],
  ['GET', ['HTTP/1.0 200 OK', 'content-length: 5', 'connection: keep-alive'], { last: false }],
  ['HEAD', ['HTTP/1.1 200 OK', 'content-length: 5'], { framing: { kind: 'none' }, last: false }],
  ['HEAD', ['HTTP/1.1 200 OK', 'transfer-encoding: chunked'], { framing: { kind: 'none' } }],
  ['GET', ['HTTP/1.1 204 No Content'], { framing: { kind: 'none' } }],
  ['GET', ['HTTP/1.1 204 No Content', 'content-length: 0'], { framing: { kind: 'none' } }],
  ['GET', ['HTTP/1.1 304 Not Modified', 'content-length: 5'], { framing: { kind: 'none' } }],
  ['GET', ['HTTP/1.1 100 Continue'], { framing: { kind: 'none' }, status: 100 }],
];

for (const [method, lines, expected] of ends) {
  test(`${method}: ${lines.join(' | ')}`, () => {
    const found = read(method, ...lines);
    if (typeof found === 'string') assert.fail(found);
    assert.deepEqual({ ...found, ...expected }, found);
  });
}

const refused: readonly (readonly [RegExp, ...string[]])[] = [
  [/no status line/, 'HTTP/1.1 OK'],
  [/no status line/, 'HTTP/2 200 OK'],
  [/no status line/, 'HTTP/1.1 99 Few'],
  [/no status line/, 'HTTP/1.1 600 Many'],
  [/no status line/, 'ICY 200 OK'],
  [/switch to/, 'HTTP/1.1 101 Switching Protocols'],
  [/content-length twice/, 'HTTP/1.1 200 OK', 'content-length: 5', 'content-length: 5'],
  [/no number/, 'HTTP/1.1 200 OK', 'content-length: -5'],
  [/no number/, 'HTTP/1.1 200 OK', 'content-length: 5, 5'],
  [/beyond what is counted/, 'HTTP/1.1 200 OK', 'content-length: 9999999999999999'],
  [/beside/, 'HTTP/1.1 200 OK', 'content-length: 5', 'transfer-encoding: chunked'],
  [/other than chunked/, 'HTTP/1.1 200 OK', 'transfer-encoding: gzip'],
  [/other than chunked/, 'HTTP/1.1 200 OK', 'transfer-encoding: chunked', 'transfer-encoding: chunked'],
  [/HTTP\/1.0/, 'HTTP/1.0 200 OK', 'transfer-encoding: chunked'],
  [/204 with a body/, 'HTTP/1.1 204 No Content', 'content-length: 5'],
  [/204 with a body/, 'HTTP/1.1 204 No Content', 'transfer-encoding: chunked'],
  [/100 with a body/, 'HTTP/1.1 100 Continue', 'content-length: 5'],
  [/folded/, 'HTTP/1.1 200 OK', 'a: b', ' c'],
];

for (const [why, ...lines] of refused) {
  test(`refused: ${lines.join(' | ')}`, () => {
    const found = read('GET', ...lines);
    assert.match(typeof found === 'string' ? found : 'read', why);
  });
}
