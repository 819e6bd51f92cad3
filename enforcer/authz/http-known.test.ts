// Bounds of HTTP operations from the proxy's question to the engine's answer: what a request point does not surely know
// opens nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { httpReadsOf, sliceSchema } from '../../policy/bundle/index.ts';
import { compileSlice } from '../../policy/engine/index.ts';
import { CheckRequestSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { noRequestUsage } from '../request-usage.ts';
import type { AuthzPorts } from './authorize.ts';
import { readCheckRequest } from './envoy/check-request.ts';
import { check } from './envoy/ext-authz.ts';
import { readVerdict } from './envoy/read-verdict.ts';
import { readQuestion } from './forward-auth/convention.ts';
import { knownOf } from './http-known.ts';

const reads = { headers: new Set(['x-line']) };
const place = 'i.yaml:1';
const slice = sliceSchema.parse({
  format: 1,
  trustDomain: 'plant.example',
  device: 'plc-1',
  devices: [],
  interfaces: [
    {
      name: 'api',
      device: 'plc-1',
      protocol: 'http',
      transport: 'tcp',
      port: 80,
      operations: [
        {
          name: 'order',
          protocol: 'http',
          methods: ['POST'],
          paths: ['/orders'],
          hosts: ['api.plant.example'],
          headers: { 'x-line': ['a', 'b'] },
          maxBodyBytes: 10,
          class: 'normal',
          island: false,
        },
      ],
      onEnforcerDeath: 'closed',
      auditDurable: false,
      place,
    },
  ],
  grants: [
    {
      id: 'g',
      subjects: ['gateway-1'],
      interface: 'api',
      device: 'plc-1',
      operations: ['order'],
      binding: 'svid',
      conditions: {},
      place,
    },
  ],
  denies: [],
  firewall: [],
  casbin: [],
  selfTest: [],
});
const engine = compileSlice(slice, { digest: 'ab', softExpiry: 2e12, hardExpiry: 3e12 });
const byInterface = httpReadsOf(slice.interfaces);
const ports: AuthzPorts = {
  decide: (request, { usage }) => engine.decide(request, 'fresh', usage),
  usage: () => noRequestUsage,
  identify: () => ({ id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} }),
  log: { note: () => undefined, keep: () => Promise.resolve() },
  auditDurable: () => false,
  httpReads: (name) => byInterface.get(name),
  now: () => 1e12,
};

type Line = readonly [string, string];
const usual: readonly Line[] = [
  ['content-type', 'text/plain'],
  ['x-line', 'a'],
  ['content-length', '10'],
];

function message(lines: readonly Line[], host = 'api.plant.example:8080', joined = false): Buffer {
  const headers = lines.map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') }));
  const form = joined ? { headers: Object.fromEntries(lines) } : { headerMap: { headers } };
  const request = { http: { method: 'POST', path: '/orders', host, ...form } };
  const source = { certificate: 'gateway-1' };
  const attributes = { source, request, contextExtensions: { 'edgeward-interface': 'api' } };
  return Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes })));
}

const answered = async (bytes: Buffer): Promise<boolean> => readVerdict(await check(ports, bytes)) === 'allow';

test('Envoy: host, headers and length that the operation asks for open it, and nothing else does', async () => {
  const without = (name: string): Line[] => usual.filter(([key]) => key !== name);
  assert.equal(await answered(message(usual)), true);
  assert.equal(await answered(message(usual, undefined, true)), true, 'joined headers');
  const denied: Record<string, Buffer> = {
    'another host': message(usual, 'b.plant.example'),
    'no host': message(usual, ''),
    'no header': message(without('x-line')),
    'another value': message([...without('x-line'), ['x-line', 'c']]),
    'the header twice': message([...usual, ['x-line', 'a']]),
    'the header by another spelling too': message([...usual, ['x_line', 'b']]),
    'the header joined': message([...without('x-line'), ['x-line', 'a,a']], undefined, true),
    'no length': message(without('content-length')),
    'too long': message([...without('content-length'), ['content-length', '11']]),
    chunked: message([...without('content-length'), ['transfer-encoding', 'chunked']]),
    'both framings': message([...usual, ['transfer-encoding', 'chunked']]),
  };
  for (const [name, bytes] of Object.entries(denied)) assert.equal(await answered(bytes), false, name);
  const { httpReads: _, ...blind } = ports;
  assert.equal(readVerdict(await check(blind, message(usual))), 'deny', 'a point that does not look');
});

test('Envoy: a question holds only what its policy asks for', () => {
  const plain = readCheckRequest(message(usual)).operation;
  assert.deepEqual(plain, { protocol: 'http', method: 'POST', path: '/orders' });
  const known = readCheckRequest(message(usual), reads).operation;
  assert.deepEqual(JSON.parse(JSON.stringify(known)), {
    ...plain,
    host: 'api.plant.example:8080',
    headers: { 'x-line': ['a'] },
    bodyBytes: 10,
  });
});

test('a length is known only of one content-length without transfer-encoding, from who keeps to it', () => {
  const length = (...lines: Line[]) => knownOf('', lines.flat(), true, { headers: new Set() }).bodyBytes;
  assert.equal(length(['Content-Length', '0']), 0);
  assert.equal(length(), undefined);
  assert.equal(length(['content-length', '1'], ['content-length', '1']), undefined);
  assert.equal(length(['content-length', '1'], ['Transfer-Encoding', 'chunked']), undefined);
  for (const odd of ['', '-1', '01', '1e3', '1.5', '99999999999999999999', '1, 1']) {
    assert.equal(length(['content-length', odd]), undefined, odd);
  }
  assert.equal(knownOf('', ['content-length', '1'], false, { headers: new Set() }).bodyBytes, undefined);
});

test('forward-auth: host and the headers that came along are known, the length of a body never', () => {
  const asked = (url: string, headers: Readonly<Record<string, string>>) =>
    readQuestion({ url, headers: Object.entries(headers).flat() }, () => reads)?.operation;
  const known = asked('/traefik/api', {
    'x-forwarded-method': 'POST',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'api.plant.example',
    'x-forwarded-uri': '/orders',
    'x-forwarded-for': '192.0.2.1',
    'x-line': 'a',
    'content-length': '0',
  });
  assert.deepEqual(JSON.parse(JSON.stringify(known)), {
    protocol: 'http',
    method: 'POST',
    path: '/orders',
    host: 'api.plant.example',
    headers: { 'x-line': ['a'] },
  });
});
