// The reader against protobuf-es: the same question out of the same bytes, or a refusal; never another question.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { AttributeContext_HttpRequest } from '../../../proto/gen/envoy/service/auth/v3/attribute_context_pb.ts';
import { type CheckRequest, CheckRequestSchema } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ambiguityOf } from '../http-request.ts';
import { parseFulfils } from '../obligations.ts';
import { exactPrincipal } from '../principal.ts';
import type { Question } from '../question.ts';
import { readCheckRequest } from './check-request.ts';
import { WireFault } from './wire-reader.ts';

type Init = MessageInitShape<typeof CheckRequestSchema>;
const bytesOf = (init: Init): Buffer => Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, init)));

/** The question that the message asks, by another decoder and another text of the same rules. */
function oracle(message: CheckRequest): Question {
  const { source, destination, request, contextExtensions = {} } = message.attributes ?? {};
  const http = request?.http;
  const said = http === undefined ? (destination?.labels ?? {}) : contextExtensions;
  const address = source?.address?.address;
  const socket = address?.case === 'socketAddress' ? address.value : undefined;
  const port = socket?.portSpecifier.case === 'portValue' ? socket.portSpecifier.value : 0;
  const host = socket?.address ?? '';
  const attributes = Object.entries(said)
    .filter(([name]) => name.startsWith('edgeward-attribute-'))
    .map(([name, value]) => [name.slice('edgeward-attribute-'.length), value] as const);
  const fulfils = parseFulfils(said['edgeward-fulfils']);
  const ambiguous = http === undefined ? undefined : ambiguity(http);
  return {
    interface: said['edgeward-interface'] ?? '',
    operation: http === undefined ? { protocol: 'port' } : { protocol: 'http', method: http.method, path: http.path },
    peer: { ...evidence(source?.certificate ?? '', source?.principal ?? ''), ...credential(http) },
    connection: host === '' ? '' : host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    source: 'ext-authz',
    ...(attributes.length === 0 || attributes.length > 64 ? {} : { attributes: Object.fromEntries(attributes) }),
    ...(fulfils === undefined ? {} : { fulfils }),
    ...(ambiguous === undefined ? {} : { ambiguous }),
  };
}

function linesOf(http: AttributeContext_HttpRequest): string[] {
  const lines = http.headerMap?.headers ?? [];
  return [
    ...Object.entries(http.headers).flatMap(([key, value]) => [key, Buffer.from(value).toString('latin1')]),
    ...lines.flatMap(({ key, value, rawValue }) => [
      key,
      Buffer.from(rawValue.length === 0 ? value : rawValue).toString('latin1'),
    ]),
  ];
}

function ambiguity(http: AttributeContext_HttpRequest): string | undefined {
  const { method, path: target, host, scheme } = http;
  return ambiguityOf({
    method,
    target,
    host,
    scheme,
    headers: linesOf(http),
    joined: Object.keys(http.headers).length > 0,
    bodyBytes: http.rawBody.length || Buffer.byteLength(http.body) || undefined,
  });
}

function credential(http: AttributeContext_HttpRequest | undefined): Question['peer'] {
  const lines = http === undefined ? [] : linesOf(http);
  const said = lines.filter((_, at) => at % 2 === 1 && /^authorization$/i.test(lines[at - 1] ?? ''));
  const [, bearer] = /^Bearer ([\w.~+/-]+=*)$/i.exec(said.length === 1 ? (said[0] ?? '') : '') ?? [];
  return bearer === undefined ? {} : { bearer };
}

function evidence(certificate: string, principal: string): Question['peer'] {
  const exact = exactPrincipal(principal);
  if (certificate === '') return exact === undefined ? {} : { principal: exact };
  try {
    return { certificatePem: decodeURIComponent(certificate) };
  } catch {
    return { certificatePem: certificate };
  }
}

/** Of several reasons each reader may name another one first. */
const plain = ({ ambiguous, ...question }: Question): unknown => ({
  ...JSON.parse(JSON.stringify(question)),
  ambiguous: ambiguous !== undefined,
});

const gateway = 'spiffe://plant.example/device/gateway-1';
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom('GET', '/status', 'custom:badge custom:door', ''),
);
const extension = fc.tuple(
  fc.oneof(
    fc.constantFrom(
      'edgeward-interface',
      'edgeward-attribute-line',
      'edgeward-attribute-__proto__',
      'edgeward-fulfils',
      'other',
    ),
    fc.string().map((name) => `edgeward-attribute-${name}`),
  ),
  text,
);
const configured = fc.array(extension, { maxLength: 6 }).map((entries) => Object.fromEntries(entries));
const headerName = fc.oneof(
  fc.constantFrom(
    'accept',
    'x-request-id',
    'authorization',
    'content-length',
    'x-forwarded-host',
    'x-edgeward-rule',
    ':path',
    'X_Real_IP',
  ),
  fc.string(),
);
const headerValue = fc.oneof(fc.constantFrom('', 'a', '/status', 'Bearer a', '1', '2'), text);
const peer = fc.record(
  {
    labels: configured,
    principal: fc.oneof(text, fc.constantFrom(gateway, `${gateway}\u0000`)),
    certificate: fc.oneof(text, text.map(encodeURIComponent)),
    service: text,
    address: fc.record({ address: text, port: fc.nat({ max: 65_535 }) }).map(({ address, port }) => ({
      address: {
        case: 'socketAddress' as const,
        value: { address, portSpecifier: { case: 'portValue' as const, value: port } },
      },
    })),
  },
  { requiredKeys: [] },
);
const check: fc.Arbitrary<Init> = fc
  .record(
    {
      source: peer,
      destination: peer,
      request: fc.record(
        {
          http: fc.record(
            {
              id: text,
              method: text,
              path: text,
              host: fc.oneof(fc.constantFrom('plant.example', 'plant.example:8443'), text),
              scheme: fc.oneof(fc.constantFrom('https', ''), text),
              size: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
              headers: fc.dictionary(headerName, headerValue),
              headerMap: fc
                .array(fc.record({ key: headerName, rawValue: headerValue.map((value) => Buffer.from(value)) }))
                .map((headers) => ({ headers })),
              rawBody: fc.uint8Array(),
            },
            { requiredKeys: [] },
          ),
        },
        { requiredKeys: [] },
      ),
      contextExtensions: configured,
    },
    { requiredKeys: [] },
  )
  .map((attributes) => ({ attributes }));

test('every message is read as protobuf-es reads it', () => {
  fc.assert(
    fc.property(check, (init) => {
      const bytes = bytesOf(init);
      assert.deepEqual(plain(readCheckRequest(bytes)), plain(oracle(fromBinary(CheckRequestSchema, bytes))));
    }),
    { numRuns: 3_000 },
  );
});

test('bytes changed anywhere are refused or read as protobuf-es reads them', () => {
  let refused = 0;
  let read = 0;
  const change = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    to: fc.nat({ max: 255 }),
    insert: fc.boolean(),
  });
  fc.assert(
    fc.property(check, fc.array(change, { minLength: 1, maxLength: 3 }), (init, changes) => {
      let bytes = bytesOf(init);
      for (const { at, to, insert } of changes) {
        const index = Math.floor(at * bytes.length);
        bytes = Buffer.concat([bytes.subarray(0, index), Buffer.of(to), bytes.subarray(insert ? index : index + 1)]);
      }
      let question: Question;
      try {
        question = readCheckRequest(bytes);
      } catch (error) {
        assert.ok(error instanceof WireFault, String(error));
        refused++;
        return;
      }
      const whole = decoded(bytes);
      if (whole === undefined) return;
      read++;
      const expected = oracle(whole);
      // A decoder keeps the last of two entries with one key; here both count.
      if (expected.ambiguous !== undefined) assert.ok(question.ambiguous !== undefined);
      assert.deepEqual(plain({ ...question, ambiguous: '' }), plain({ ...expected, ambiguous: '' }));
    }),
    { numRuns: 5_000 },
  );
  assert.ok(refused > 200 && read > 200, `${refused} refused, ${read} read`);
});

/** Undefined where a field is broken; of those that do not decide we do not look inside. */
function decoded(bytes: Buffer): CheckRequest | undefined {
  try {
    return fromBinary(CheckRequestSchema, bytes);
  } catch {
    return undefined;
  }
}

const http = { method: 'GET', path: '/status' };

test('what has two readings is refused', () => {
  const whole = bytesOf({ attributes: { request: { http }, contextExtensions: { 'edgeward-interface': 'web' } } });
  const twice = (bytes: Buffer): Buffer => Buffer.concat([bytes, bytes]);
  const cases: Record<string, Buffer> = {
    'attributes twice, which a decoder merges': twice(whole),
    'text that is not UTF-8': bytesOf({ attributes: { request: { http: { ...http, path: '/\u00ff' } } } }),
    'a group': Buffer.from([0x0b, 0x0c]),
    'field number 0': Buffer.from([0x02, 0x00]),
    'a length beyond the message': Buffer.from([0x0a, 0x7f, 0x00]),
    'a length beyond 32 bits': Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    'a varint of eleven bytes': Buffer.from([0x08, ...Array.from({ length: 10 }, () => 0xff), 0x01]),
  };
  const notUtf8 = cases['text that is not UTF-8'] as Buffer;
  notUtf8[notUtf8.indexOf(0xc3)] = 0xff;
  for (const [name, bytes] of Object.entries(cases)) {
    assert.throws(() => readCheckRequest(bytes), WireFault, name);
  }
});

test('a body that is not as long as the request says is ambiguous, in either form', () => {
  const sent = (length: string, body: { readonly body?: string; readonly rawBody?: Uint8Array }) => {
    const headerMap = { headers: [{ key: 'content-length', rawValue: Buffer.from(length) }] };
    return asked({ request: { http: { ...http, host: 'plant.example', headerMap, ...body } } }).ambiguous;
  };
  assert.equal(sent('3', { rawBody: Buffer.from('abc') }), undefined);
  assert.equal(sent('3', { body: 'abc' }), undefined);
  assert.equal(sent('3', {}), undefined, 'the filter sends no body');
  assert.match(sent('4', { rawBody: Buffer.from('abc') }) ?? '', /only a part/);
  assert.match(sent('4', { body: 'abc' }) ?? '', /only a part/);
});

const asked = (attributes: NonNullable<Init['attributes']>): Question => readCheckRequest(bytesOf({ attributes }));

test('context attributes come from the filter; a client has no say', () => {
  const headers = { 'edgeward-attribute-line': 'press-9', 'edgeward-interface': 'other' };
  const contextExtensions = {
    'edgeward-interface': 'web',
    'edgeward-attribute-line': 'press-3',
    'something-else': 'x',
  };
  const question = asked({ request: { http: { ...http, headers } }, contextExtensions });
  assert.equal(question.interface, 'web');
  assert.deepEqual({ ...question.attributes }, { line: 'press-3' });
});

test('more context attributes than a filter has reason to say are none', () => {
  const contextExtensions = Object.fromEntries(
    Array.from({ length: 65 }, (_, index) => [`edgeward-attribute-n${index}`, 'x']),
  );
  assert.equal(asked({ request: { http }, contextExtensions }).attributes, undefined);
  delete contextExtensions['edgeward-attribute-n0'];
  assert.equal(Object.keys(asked({ request: { http }, contextExtensions }).attributes ?? {}).length, 64);
});

test('a question of the network filter is about a port, and its interface comes from the labels of the destination', () => {
  const labels = { 'edgeward-interface': 'plc-ssh', 'edgeward-attribute-line': 'press-3' };
  const question = asked({ destination: { labels } });
  assert.deepEqual(question.operation, { protocol: 'port' });
  assert.equal(question.interface, 'plc-ssh');
  assert.deepEqual({ ...question.attributes }, { line: 'press-3' });
});

test('neither filter can ask the question of the other one', () => {
  const labels = { 'edgeward-interface': 'plc-ssh' };
  const contextExtensions = { 'edgeward-interface': 'web' };
  const emptyHttp = asked({ destination: { labels }, contextExtensions, request: { http: {} } });
  assert.deepEqual(emptyHttp.operation, { protocol: 'http', method: '', path: '' });
  assert.equal(emptyHttp.interface, 'web');
  const lostHttp = asked({ contextExtensions, request: {} });
  assert.deepEqual(lostHttp.operation, { protocol: 'port' });
  assert.equal(lostHttp.interface, '', 'an interface of the HTTP filter is none of the network filter');
  assert.equal(asked({ destination: { labels }, request: { http } }).interface, '');
});

test('a principal that is not UTF-8 is refused beside a certificate too', () => {
  const source = { principal: 'spiffe://plant.example/device/a', certificate: 'pem' };
  const bytes = bytesOf({ attributes: { source, request: { http } } });
  bytes[bytes.indexOf('/device/')] = 0xe5;
  assert.throws(() => readCheckRequest(bytes), WireFault);
});

test('a text whose slot another one took is still itself', () => {
  const path = (n: number): string => `method-${n}`;
  for (let n = 0; n < 5_000; n++) {
    const { operation } = readCheckRequest(bytesOf({ attributes: { request: { http: { method: path(n) } } } }));
    assert.deepEqual(operation, { protocol: 'http', method: path(n), path: '' });
  }
});

test('headers that no two servers read alike make the question ambiguous', () => {
  const whole = { ...http, host: 'plant.example', scheme: 'https' };
  const lines = (...pairs: readonly [string, string][]) => ({
    ...whole,
    headerMap: { headers: pairs.map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') })) },
  });
  const ambiguous = (request: NonNullable<NonNullable<Init['attributes']>['request']>['http']) =>
    asked(request === undefined ? {} : { request: { http: request } }).ambiguous;
  assert.equal(ambiguous(whole), undefined);
  assert.equal(ambiguous({ ...whole, headers: { authorization: 'Bearer a', accept: 'a,b' } }), undefined);
  assert.equal(
    ambiguous(lines(['authorization', 'Bearer a'], ['x-name', 'j\u00f6rg'], [':path', '/status'])),
    undefined,
  );
  assert.equal(ambiguous(lines(['authorization', 'Digest a="b", c="d"'])), undefined);
  const two: Readonly<Record<string, ReturnType<typeof lines> | typeof whole>> = {
    'no host': http as typeof whole,
    'a host in capitals': { ...whole, host: 'Plant.example' },
    'a method in lower case': { ...whole, method: 'get' },
    'another scheme': { ...whole, scheme: 'ftp' },
    'values that the proxy joined': { ...whole, headers: { authorization: 'Bearer a,Bearer b' } } as typeof whole,
    'parameters that may be two credentials': {
      ...whole,
      headers: { authorization: 'Digest a="b", c="d"' },
    } as typeof whole,
    'two lines': lines(['x-edgeward-subject', 'a'], ['x-edgeward-subject', 'b']),
    'an alias': lines(['Remote_User', 'admin']),
    'another path': lines([':path', '/status\u00ff']),
    'a control character': lines(['x-name', 'a\u0000b']),
    'no name': lines(['', 'a']),
    '201 headers': lines(...Array.from({ length: 201 }, (_, at): [string, string] => [`x-${at}`, ''])),
    '10,000 headers': lines(...Array.from({ length: 10_000 }, (_, at): [string, string] => ['accept', `${at}`])),
    '64 KiB of headers': lines(['x-name', 'a'.repeat(65_536)]),
  };
  for (const [name, request] of Object.entries(two)) assert.equal(typeof ambiguous(request), 'string', name);
});

test('a principal that is not exactly a SPIFFE ID is none', () => {
  assert.deepEqual(asked({ source: { principal: gateway } }).peer, { principal: gateway });
  for (const principal of [`${gateway}\u0000`, 'SPIFFE://plant.example/device/gateway-1', 'CN=a', `${gateway}%31`]) {
    assert.deepEqual(asked({ source: { principal } }).peer, {}, JSON.stringify(principal));
  }
});

test('the bearer token is that of the one Authorization line', () => {
  const line = (value: string, key = 'authorization') => ({ key, rawValue: Buffer.from(value) });
  const peerOf = (...headers: ReturnType<typeof line>[]) =>
    asked({ source: { certificate: 'x' }, request: { http: { method: 'GET', path: '/', headerMap: { headers } } } })
      .peer;
  assert.deepEqual(peerOf(line('Bearer a.b.c')), { certificatePem: 'x', bearer: 'a.b.c' });
  assert.deepEqual(peerOf(line('authorization', 'x-real-ip'), line('bearer a')), { certificatePem: 'x', bearer: 'a' });
  for (const headers of [
    [line('Bearer a'), line('Bearer b')],
    [line('Bearer a'), line('')],
    [line('Bearer a, Bearer b')],
    [line('Basic a')],
    [line('Bearer a', 'x-authorization')],
    [line('Bearer a\u0000')],
  ]) {
    assert.deepEqual(peerOf(...headers), { certificatePem: 'x' }, JSON.stringify(headers));
  }
});
