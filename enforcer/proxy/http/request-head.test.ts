import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHead } from './head.ts';
import { readRequestHead, type RequestHead } from './request-head.ts';

function read(...lines: readonly string[]): RequestHead | string {
  const head = readHead(lines.join('\r\n'));
  const found = 'fault' in head ? head : readRequestHead(head.read);
  return 'fault' in found ? found.fault : found.read;
}

const ok = (...lines: readonly string[]): RequestHead => {
  const found = read(...lines);
  if (typeof found === 'string') assert.fail(found);
  return found;
};

const refusal = (...lines: readonly string[]): string => {
  const found = read(...lines);
  return typeof found === 'string' ? found : assert.fail(`read: ${found.operation.path}`);
};

test('a request asks for method, target, host, headers and the length that it says', () => {
  const { operation, framing, last, expectsContinue } = ok(
    'POST /set?x=1 HTTP/1.1',
    'Host: hmi.plant.example:8080',
    'Content-Length: 12',
    'Accept: a',
    'accept:   b  ',
    'Accept_: c',
    'X_Line: d',
    'x-line: e',
  );
  assert.deepEqual(
    { ...operation, headers: Object.entries(operation.headers) },
    {
      protocol: 'http',
      method: 'POST',
      path: '/set?x=1',
      host: 'hmi.plant.example:8080',
      headers: [
        ['host', ['hmi.plant.example:8080']],
        ['content-length', ['12']],
        ['accept', ['a', 'b']],
        ['accept-', ['c']],
        // Some servers make one header of both.
        ['x-line', ['d', 'e']],
      ],
      bodyBytes: 12,
    },
  );
  assert.deepEqual([framing, last, expectsContinue], [{ kind: 'length', bytes: 12 }, false, false]);
});

test('where it ends, and whether another may follow', () => {
  const post = (...lines: string[]): RequestHead => ok('POST / HTTP/1.1', 'host: a', ...lines);
  assert.deepEqual(post().framing, { kind: 'none' });
  assert.deepEqual(post('content-length: 0').framing, { kind: 'none' });
  assert.deepEqual(post('transfer-encoding: chunked').framing, { kind: 'chunked' });
  assert.equal(post('transfer-encoding: chunked').operation.bodyBytes, 0);
  assert.equal(post('connection: Keep-Alive, close').last, true);
  assert.equal(post('connection: keep-alive').last, false);
  assert.equal(ok('GET / HTTP/1.0', 'host: a', 'connection: keep-alive').last, true);
  assert.equal(post('expect: 100-Continue', 'content-length: 1').expectsContinue, true);
});

test('a target with scheme and host counts by its path, where the host is that of Host', () => {
  assert.equal(ok('GET http://a:80/x?y HTTP/1.1', 'host: a:80').operation.path, '/x?y');
  assert.equal(ok('GET http://a HTTP/1.1', 'host: a').operation.path, '/');
  for (const target of [
    'http://b/x',
    'http://a.b/x',
    'http://a@b/x',
    'https://a/x',
    'HTTP://a/x',
    'http://a?x',
    'http://ab/x',
    'http:///x',
  ])
    assert.match(refusal(`GET ${target} HTTP/1.1`, 'host: a'), /host/, target);
});

const get = 'GET / HTTP/1.1';
const post = 'POST / HTTP/1.1';
const refused: readonly (readonly [RegExp, ...string[]])[] = [
  [/no Host/, get],
  [/several Hosts/, get, 'host: a', 'host: a'],
  [/capital letters/, get, 'host: A'],
  [/several hosts/, get, 'host: a,b'],
  [/no host/, get, 'host:'],
  [/no request line/, 'GET /', 'host: a'],
  [/no request line/, 'GET  / HTTP/1.1', 'host: a'],
  [/no request line/, 'GET\t/ HTTP/1.1', 'host: a'],
  [/no request line/, 'GET / x HTTP/1.1', 'host: a'],
  [/no request line/, 'GET /\u00e9 HTTP/1.1', 'host: a'],
  [/no request line/, 'GET / http/1.1', 'host: a'],
  [/version/, 'GET / HTTP/1.2', 'host: a'],
  [/version/, 'PRI * HTTP/2.0', 'host: a'],
  [/capital letters/, 'get / HTTP/1.1', 'host: a'],
  [/CONNECT/, 'CONNECT a:443 HTTP/1.1', 'host: a:443'],
  [/Upgrade/, get, 'host: a', 'connection: upgrade', 'upgrade: websocket'],
  [/Upgrade/, get, 'host: a', 'upgrade: h2c'],
  [/expectation/, post, 'host: a', 'expect: everything'],
  [/expectation/, 'POST / HTTP/1.0', 'host: a', 'expect: 100-continue'],
  [/content-length twice/, post, 'host: a', 'content-length: 1', 'content-length: 1'],
  [/no number/, post, 'host: a', 'content-length: +1'],
  [/no number/, post, 'host: a', 'content-length: -1'],
  [/no number/, post, 'host: a', 'content-length: 1, 1'],
  [/no number/, post, 'host: a', 'content-length: 0x1'],
  [/no number/, post, 'host: a', 'content-length: 01'],
  [/no number/, post, 'host: a', 'content-length:'],
  [/beyond what is counted/, post, 'host: a', 'content-length: 99999999999999999'],
  [/no number/, post, 'host: a', 'content-length: 9999999999999999999999'],
  [/beside/, post, 'host: a', 'content-length: 1', 'transfer-encoding: chunked'],
  [/beside/, post, 'host: a', 'transfer-encoding: chunked', 'content-length: 1'],
  [/other than chunked/, post, 'host: a', 'transfer-encoding: identity'],
  [/other than chunked/, post, 'host: a', 'transfer-encoding: xchunked'],
  [/other than chunked/, post, 'host: a', 'transfer-encoding: gzip, chunked'],
  [/other than chunked/, post, 'host: a', 'transfer-encoding: chunked, identity'],
  [/other than chunked/, post, 'host: a', 'transfer-encoding: "chunked"'],
  [/twice/, post, 'host: a', 'transfer-encoding: chunked', 'transfer-encoding: chunked'],
  [/another header/, post, 'host: a', 'content_length: 5'],
  [/HTTP\/1.0/, 'POST / HTTP/1.0', 'host: a', 'transfer-encoding: chunked'],
  [/GET with a body/, get, 'host: a', 'content-length: 3'],
  [/HEAD with a body/, 'HEAD / HTTP/1.1', 'host: a', 'transfer-encoding: chunked'],
  [/trailers/, post, 'host: a', 'trailer: x', 'transfer-encoding: chunked'],
  [/itself who it is/, get, 'host: a', 'x-edgeward-subject: admin'],
  [/itself who it is/, get, 'host: a', 'X-Forwarded-Client-Cert: By=x'],
  [/another header/, get, 'host: a', 'x_edgeward_subject: admin'],
  [/not its own/, get, 'host: a', 'connection: close, x-forwarded-for'],
  [/another method/, post, 'host: a', 'x-http-method-override: DELETE'],
  [/more headers/, get, 'host: a', ...Array.from({ length: 200 }, (_, index) => `x-${index}: y`)],
  [/longer than any reader/, get, 'host: a', `x: ${'y'.repeat(17_000)}`],
  [/longer than any reader/, `GET /${'y'.repeat(18_000)} HTTP/1.1`, 'host: a'],
];

for (const [why, ...lines] of refused) {
  test(`refused: ${lines.join(' | ').slice(0, 90)}`, () => assert.match(refusal(...lines), why));
}
