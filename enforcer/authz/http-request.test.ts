// A request that two servers read differently has no reading: hosts, methods, and headers that are doubled, aliased or taken
// away. Targets: policy/engine/http-path.test.ts; the field's CVEs through the real sockets: test/authz/cve-corpus.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ambiguityOf, type ReportedRequest } from './http-request.ts';
import { maxRequestHeaderCharacters, maxRequestHeaders } from './limits.ts';

const plain: ReportedRequest = {
  method: 'GET',
  target: '/status?x=1',
  host: 'hmi-1.plant.example:8443',
  scheme: 'https',
  headers: [],
};
const withHeaders = (...headers: readonly string[]): string | undefined => ambiguityOf({ ...plain, headers });
const joined = (...headers: readonly string[]): string | undefined => ambiguityOf({ ...plain, headers, joined: true });

test('an ordinary request has one reading', () => {
  assert.equal(ambiguityOf(plain), undefined);
  const usual = [
    [':authority', 'hmi-1.plant.example:8443', ':path', '/status?x=1', ':method', 'GET', ':scheme', 'https'],
    ['User-Agent', 'curl/8.14 (\u00fcber)', 'accept', 'text/html, */*;q=0.1', 'cookie', 'a=1; b=2', 'x-tab', 'a\tb'],
    ['Authorization', 'Bearer a.b.c', 'content-length', '17', 'connection', 'keep-alive, Upgrade', 'upgrade', 'h2c'],
    ['x-forwarded-for', '192.0.2.1, 10.0.0.1', 'x-forwarded-proto', 'https', 'x_trace', '1', 'Connection', 'TE'],
    ['x-request-id', 'b1946ac9', 'x-request-id', 'again', 'x-edgeward-subject', 'somebody'],
    ['x-forwarded-client-cert', 'By=spiffe://a/b;Subject="CN=a,O=b",By=spiffe://a/c', 'x-http-method', 'GET'],
    ['X-Envoy-Auth-Partial-Body', 'false'],
  ].flat();
  assert.equal(withHeaders(...usual), undefined);
  assert.equal(joined(...usual.slice(0, 18)), undefined);
  for (const credential of [
    'Digest username="a, b", realm="plant", nc=00000001',
    'Digest username*=UTF-8\'\'J%C3%A4s, realm="plant",uri="/a,b"',
    'AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host;range, Signature=5d67',
    'OAuth realm="", oauth_version="1.0"',
    'SCRAM-SHA-256 realm="plant", data=biwsbj11c2Vy==',
  ]) {
    assert.equal(withHeaders('authorization', credential), undefined, credential);
  }
});

const ambiguousHeaders: readonly [string, readonly string[]][] = [
  ['authorization twice', ['authorization', 'Bearer a', 'Authorization', 'Bearer b']],
  ['the same authorization twice', ['authorization', 'Bearer a', 'authorization', 'Bearer a']],
  ['two credentials in one line', ['authorization', 'Bearer a, Basic b']],
  ['a second credential behind a parameter', ['authorization', 'Digest a="b", Basic c=d']],
  ['a second credential behind a parameter without quotes', ['authorization', 'AWS4 a=b/c, Basic c=d']],
  ['a second credential behind base64', ['authorization', 'Basic YTpi=, Bearer=c']],
  ['a second credential of base64', ['authorization', 'Digest a="b", Basic YTpi']],
  ['a quote that never ends', ['authorization', 'Digest a="b, c="d']],
  ['x-edgeward-subject twice', ['x-edgeward-subject', 'a', 'x-edgeward-subject', 'b']],
  ['x-edgeward-subject of two', ['x-edgeward-subject', 'a,b']],
  ['x-forwarded-host twice', ['x-forwarded-host', 'a', 'x-forwarded-host', 'b']],
  ['x-forwarded-uri of two', ['x-forwarded-uri', '/a,/b']],
  ['x-forwarded-for in two lines', ['x-forwarded-for', '192.0.2.1', 'x-forwarded-for', '192.0.2.2']],
  ['forwarded in two lines', ['forwarded', 'for=192.0.2.1', 'forwarded', 'for=192.0.2.2']],
  ['x-original-url twice', ['x-original-url', '/a', 'x-original-url', '/b']],
  ['content-length twice', ['content-length', '1', 'content-length', '1']],
  ['content-length of two', ['content-length', '1,1']],
  ['content-length with a sign', ['content-length', '+1']],
  ['content-length with a zero before', ['content-length', '01']],
  ['content-length in hexadecimal', ['content-length', '0x1']],
  ['no content-length', ['content-length', '']],
  ['content-length beside transfer-encoding', ['content-length', '1', 'transfer-encoding', 'chunked']],
  ['another transfer-encoding', ['transfer-encoding', 'gzip, chunked']],
  ['transfer-encoding with a tab', ['transfer-encoding', '\tchunked']],
  ['transfer-encoding in capitals', ['transfer-encoding', 'Chunked']],
  ['Remote_User', ['Remote_User', 'admin']],
  ['remote.user', ['remote.user', 'admin']],
  ['X_Edgeward_Subject', ['X_Edgeward_Subject', 'admin']],
  ['x-forwarded_host', ['x-forwarded-host', 'a', 'x-forwarded_host', 'b']],
  ['Content_Length', ['content_length', '4']],
  ['transfer_encoding', ['transfer_encoding', 'chunked']],
  ['a line feed in a value', ['x-a', 'b\nx-edgeward-subject: admin']],
  ['a carriage return in a value', ['x-a', 'b\r']],
  ['NUL in a value', ['x-a', 'b\u0000']],
  ['DEL in a value', ['x-a', '\u007f']],
  ['non-ASCII in an identity', ['x-forwarded-user', 'jos\u00e9']],
  ['space around an identity', ['x-forwarded-user', 'admin ']],
  ['a space in a name', ['x a', 'b']],
  ['a colon in a name', ['x:a', 'b']],
  ['a name of another alphabet', ['authori\u017fation', 'b']],
  ['NUL in a name', ['x-a\u0000', 'b']],
  ['no name', ['', 'b']],
  ['a name without value', ['x-a']],
  ['connection: an identity', ['connection', 'x-edgeward-subject']],
  ['connection: among others', ['connection', 'close, X-Forwarded-Host']],
  ['connection: authorization', ['connection', 'Authorization']],
  ['connection: any other header', ['connection', 'cookie']],
  ['a second connection', ['connection', 'close', 'connection', 'x-forwarded-for']],
  ['another method', ['x-http-method-override', 'DELETE']],
  ['a part of the body', ['x-envoy-auth-partial-body', 'true']],
  ['a part of the body, in other words', ['x-envoy-auth-partial-body', 'True']],
  ['nothing said of the body', ['x-envoy-auth-partial-body', '']],
  ['a part of the body and all of it', ['x-envoy-auth-partial-body', 'false', 'x-envoy-auth-partial-body', 'true']],
  ['a part of the body, joined', ['x-envoy-auth-partial-body', 'false,true']],
  ['another method, lower case name of others', ['X-HTTP-Method', 'PUT']],
  ['another method, third way', ['x-method-override', 'get']],
  ['the method twice', ['x-http-method-override', 'GET', 'x-http-method-override', 'GET']],
  ['another host', ['host', 'evil.example']],
  ['the host in capitals', ['Host', 'HMI-1.plant.example:8443']],
  ['host twice', ['host', 'hmi-1.plant.example:8443', 'host', 'hmi-1.plant.example:8443']],
  ['another :authority', [':authority', 'evil.example']],
  ['another :path', [':path', '/admin/']],
  ['another :method', [':method', 'POST']],
  ['another :scheme', [':scheme', 'http']],
  ['a pseudo header of an answer', [':status', '200']],
  ['a tunnel in HTTP/2', [':protocol', 'websocket']],
];

for (const [name, headers] of ambiguousHeaders) {
  test(`headers: ${name}`, () => {
    assert.equal(typeof withHeaders(...headers), 'string');
  });
}

test('headers: lines that were joined are as if apart', () => {
  for (const headers of [
    ['authorization', 'Digest a="b", c="d"'],
    ['x-edgeward-subject', 'user,admin'],
    ['content-length', '1,1'],
  ]) {
    assert.equal(typeof joined(...headers), 'string', headers.join(': '));
  }
});

test('headers: more than any server reads', () => {
  const many = (count: number): string[] => Array.from({ length: count }, (_, at) => [`x-${at}`, '']).flat();
  assert.equal(withHeaders(...many(maxRequestHeaders)), undefined);
  assert.equal(typeof withHeaders(...many(maxRequestHeaders + 1)), 'string');
  assert.equal(typeof withHeaders(...many(10_000)), 'string');
  assert.equal(withHeaders('x', 'a'.repeat(maxRequestHeaderCharacters - 1)), undefined);
  assert.equal(typeof withHeaders('x', 'a'.repeat(maxRequestHeaderCharacters)), 'string');
});

test('methods: capital letters, and no tunnel', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'M-SEARCH']) {
    assert.equal(ambiguityOf({ ...plain, method }), undefined, method);
  }
  for (const method of [
    '',
    'get',
    'Get',
    'GET ',
    ' GET',
    'GE\u0000T',
    'G\u00cbT',
    'GET/',
    'CONNECT',
    '-',
    'A'.repeat(33),
  ]) {
    assert.equal(typeof ambiguityOf({ ...plain, method }), 'string', JSON.stringify(method));
  }
});

test('schemes: http and https', () => {
  for (const scheme of ['', 'http', 'https']) assert.equal(ambiguityOf({ ...plain, scheme }), undefined, scheme);
  for (const scheme of ['HTTPS', 'ws', 'file', 'https:']) {
    assert.equal(typeof ambiguityOf({ ...plain, scheme }), 'string', scheme);
  }
});

test('a proxy that cannot say the host: what the headers say is judged', () => {
  const { host: _, ...rest } = plain;
  assert.equal(ambiguityOf({ ...rest, host: undefined }), undefined);
  assert.equal(ambiguityOf({ ...rest, host: undefined, headers: ['Host', 'plant.example'] }), undefined);
  assert.equal(typeof ambiguityOf({ ...rest, host: undefined, headers: ['Host', 'Plant.example'] }), 'string');
  const two = [':authority', 'plant.example', 'host', 'evil.example'];
  assert.equal(typeof ambiguityOf({ ...rest, host: undefined, headers: two }), 'string');
});

const name = fc.oneof(
  fc.constantFrom(
    'authorization',
    'Host',
    'x-forwarded-host',
    'X_Edgeward_Subject',
    'connection',
    'content-length',
    ':path',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.stringMatching(/^[a-z-]{1,10}$/),
);
const text = fc.oneof(
  fc.constantFrom('', 'GET', '/', 'plant.example', 'close', '1', 'a, b', 'chunked'),
  fc.string({ unit: 'binary', maxLength: 12 }),
);
const anyRequest = fc.record({
  method: fc.oneof(fc.constantFrom('GET', 'POST', 'get'), text),
  target: fc.oneof(fc.constantFrom('/', '/a'), text),
  host: fc.oneof(fc.constantFrom('plant.example', '[::1]', undefined), text),
  scheme: fc.constantFrom('', 'http', 'https', 'x'),
  headers: fc.array(fc.tuple(name, text), { maxLength: 6 }).map((pairs) => pairs.flat()),
  joined: fc.boolean(),
});

test('property: any request is read without a fault, always alike, and a line more never makes it clear', () => {
  fc.assert(
    fc.property(anyRequest, fc.tuple(name, text), (request, line) => {
      const why = ambiguityOf(request);
      assert.equal(ambiguityOf(structuredClone(request)), why);
      if (why === undefined) return;
      assert.match(why, /^[\x20-\x7e]{1,200}$/, 'the reason is fit for a log');
      if (request.host === undefined) return;
      assert.equal(typeof ambiguityOf({ ...request, headers: [...request.headers, ...line] }), 'string');
    }),
    { numRuns: 5_000 },
  );
});

test('property: what has one reading is read by fetch as it was written', () => {
  fc.assert(
    fc.property(anyRequest, (request) => {
      if (ambiguityOf(request) !== undefined || request.host === undefined) return;
      assert.equal(new URL(`gopher://${request.host}/`).host, request.host);
      const lines = request.headers.flatMap((value, at): [string, string][] =>
        at % 2 === 0 && !value.startsWith(':') ? [[value, request.headers[at + 1] ?? '']] : [],
      );
      for (const [key, value] of new Headers(lines.filter(([, value]) => /^[\0-\u00ff]*$/.test(value)))) {
        if (/^(?:authorization|host|content-length|x-forwarded-host)$/.test(key)) {
          assert.equal(lines.filter(([written]) => written.toLowerCase() === key).length, 1);
          assert.ok(lines.some(([, written]) => written === value));
        }
      }
    }),
    { numRuns: 5_000 },
  );
});

test('a body that came with the question has the length that the request says', () => {
  const of = (bodyBytes: number | undefined, ...headers: readonly string[]) =>
    ambiguityOf({ ...plain, method: 'POST', headers, bodyBytes });
  assert.equal(of(undefined, 'content-length', '20000'), undefined, 'no body was asked for');
  assert.equal(of(16_384, 'content-length', '16384', 'x-envoy-auth-partial-body', 'false'), undefined);
  assert.equal(of(16_384, 'x-envoy-auth-partial-body', 'false'), undefined, 'chunked');
  assert.match(of(16_384, 'content-length', '20000', 'x-envoy-auth-partial-body', 'false') ?? '', /only a part/);
  assert.match(of(16_384, 'content-length', '100') ?? '', /only a part/);
});
