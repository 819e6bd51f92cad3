// The reader against protobuf-es: the same question out of the same bytes, or a refusal; never another question.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { type CheckRequest, CheckRequestSchema } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { parseFulfils } from '../obligations.ts';
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
  return {
    interface: said['edgeward-interface'] ?? '',
    operation: http === undefined ? { protocol: 'port' } : { protocol: 'http', method: http.method, path: http.path },
    peer: evidence(source?.certificate ?? '', source?.principal ?? ''),
    connection: host === '' ? '' : host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    source: 'ext-authz',
    ...(attributes.length === 0 || attributes.length > 64 ? {} : { attributes: Object.fromEntries(attributes) }),
    ...(fulfils === undefined ? {} : { fulfils }),
  };
}

function evidence(certificate: string, principal: string): Question['peer'] {
  if (certificate === '') return principal === '' ? {} : { principal };
  try {
    return { certificatePem: decodeURIComponent(certificate) };
  } catch {
    return { certificatePem: certificate };
  }
}

const plain = (question: Question): unknown => JSON.parse(JSON.stringify(question));

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
const peer = fc.record(
  {
    labels: configured,
    principal: text,
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
              host: text,
              scheme: text,
              size: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
              headers: fc.dictionary(fc.string(), text),
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
      assert.deepEqual(plain(question), plain(oracle(whole)));
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

test('a text whose slot another one took is still itself', () => {
  const path = (n: number): string => `method-${n}`;
  for (let n = 0; n < 5_000; n++) {
    const { operation } = readCheckRequest(bytesOf({ attributes: { request: { http: { method: path(n) } } } }));
    assert.deepEqual(operation, { protocol: 'http', method: path(n), path: '' });
  }
});
