import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { sampleSlice } from '../../../policy/engine/testing/sample-slice.ts';
import { decisionPoint, servePoint, type ServedPoint } from '../../../test/support/authzen.ts';
import { maxBodyBytes } from './limits.ts';
import { isDecisionPointUrl } from './metadata.ts';

const path = '/access/v1/evaluation';
const message = {
  subject: { type: 'device', id: 'gateway-1' },
  action: { name: 'status' },
  resource: { type: 'interface', id: 'web' },
};
const json = { 'content-type': 'application/json' };

test('an answer is 200 and JSON, whatever was decided', async (t) => {
  const { post } = await servePoint(t, decisionPoint(sampleSlice()));
  for (const [name, expected] of [
    ['status', true],
    ['files', false],
    ['nothing', false],
  ] as const) {
    const reply = await post(path, { ...message, action: { name }, unknown: { field: 1 } });
    assert.deepEqual(
      [reply.status, reply.json.decision, reply.headers['content-type']],
      [200, expected, 'application/json'],
    );
  }
});

test('a request identifier comes back, with errors too', async (t) => {
  const { post, send } = await servePoint(t, decisionPoint(sampleSlice()));
  const id = 'bfe9eb29-ab87-4ca3-be83-a1d5d8305716 \u00e9';
  const headers = { 'x-request-id': id };
  assert.equal((await post(path, message, headers)).headers['x-request-id'], id);
  assert.equal((await post(path, {}, headers)).headers['x-request-id'], id);
  assert.equal((await send('GET', '/nowhere', undefined, headers)).headers['x-request-id'], id);
  assert.equal((await post(path, message)).headers['x-request-id'], undefined);
  const twice = await post(path, message, { 'x-request-id': ['a', 'b'] });
  assert.deepEqual([twice.status, twice.headers['x-request-id']], [400, undefined]);
});

test('errors are statuses with a text', async (t) => {
  const { post, send } = await servePoint(t, decisionPoint(sampleSlice()));
  const body = JSON.stringify(message);
  const replies: Record<string, [Promise<{ status: number; text: string }>, number, RegExp]> = {
    'missing member': [post(path, { ...message, subject: { type: 'device' } }), 400, /^subject\.id: /],
    'no object': [post(path, [message]), 400, /^body: expected an object/],
    'no JSON': [send('POST', path, '{', json), 400, /not JSON/],
    'no body': [send('POST', path, '', json), 400, /not JSON/],
    'a member twice': [send('POST', path, `{"subject":1,${body.slice(1)}`, json), 400, /twice/],
    'no content type': [send('POST', path, body), 400, /^Content-Type/],
    'another content type': [send('POST', path, body, { 'content-type': 'text/json' }), 400, /^Content-Type/],
    'another charset': [send('POST', path, body, { 'content-type': 'application/json;charset=utf-16' }), 400, /UTF-8/],
    compressed: [send('POST', path, body, { ...json, 'content-encoding': 'gzip' }), 400, /compressed/],
    'another path': [post('/access/v1/evaluation/', message), 404, /endpoint/],
    'no metadata without a URL': [send('GET', '/.well-known/authzen-configuration'), 404, /endpoint/],
    'another method': [send('GET', path), 405, /POST/],
    'from a browser': [post(path, message, { origin: 'https://evil.example' }), 403, /browser/],
    'too large': [send('POST', path, Buffer.alloc(maxBodyBytes + 1, 0x20), json), 413, /bytes/],
    'too large, in chunks': [
      send('POST', path, Buffer.alloc(maxBodyBytes + 1, 0x20), { ...json, 'transfer-encoding': 'chunked' }),
      413,
      /bytes/,
    ],
  };
  for (const [name, [reply, status, text]] of Object.entries(replies)) {
    const given = await reply;
    assert.equal(given.status, status, name);
    assert.match(given.text, text, name);
  }
  assert.equal((await send('DELETE', path)).headers['allow'], 'POST');
  const charset = await send('POST', path, body, { 'content-type': 'application/json; charset=UTF-8' });
  assert.equal(charset.status, 200);
});

test('metadata names the decision point by the URL that is used, and what exists', async (t) => {
  const point = decisionPoint(sampleSlice());
  const url = 'https://pdp.plant.example/tenant1';
  const { send, post } = await servePoint(t, point, { url, custom: ['badge'] });
  const wellKnown = '/.well-known/authzen-configuration/tenant1';
  const { status, json: found, headers } = await send('GET', wellKnown);
  assert.deepEqual(
    [status, headers['content-type'], headers['cache-control']],
    [200, 'application/json', 'max-age=300'],
  );
  assert.equal(found.policy_decision_point, url);
  assert.deepEqual(found.supported_obligations, ['step-up', 'session_termination', 'custom']);
  const endpoints = Object.entries(found).filter(([name]) => name.endsWith('_endpoint')) as [string, string][];
  assert.equal(endpoints.length, 5);
  for (const [name, endpoint] of endpoints) {
    assert.ok(endpoint.startsWith(`${url}/access/v1/`), name);
    assert.equal((await post(new URL(endpoint).pathname, {})).status, 400, `${name} is there`);
  }
  assert.equal((await send('GET', '/.well-known/authzen-configuration')).status, 404);
  assert.equal((await send('POST', wellKnown)).status, 405);
  assert.equal((await send('HEAD', wellKnown)).status, 200);
});

test('the URL of a decision point is https without query, or of this host', () => {
  for (const url of [
    'https://pdp.example',
    'https://pdp.example/',
    'https://pdp.example:8443/a',
    'http://127.0.0.1:9193',
    'http://localhost',
  ])
    assert.ok(isDecisionPointUrl(url), url);
  for (const url of [
    'http://pdp.example',
    'https://pdp.example?x',
    'https://pdp.example#',
    'https://u@pdp.example',
    'https://PDP.example',
    'pdp.example',
    'https://a"b',
    '',
  ])
    assert.ok(!isDecisionPointUrl(url), url);
});

test('searches are limited', async (t) => {
  const { post } = await servePoint(t, decisionPoint(sampleSlice()));
  const asked = { subject: message.subject, resource: message.resource };
  const replies = await Promise.all(Array.from({ length: 250 }, () => post('/access/v1/search/action', asked)));
  const statuses = new Set(replies.map(({ status }) => status));
  assert.deepEqual(
    [...statuses].toSorted((a, b) => a - b),
    [200, 429],
  );
  assert.ok(replies.find(({ status }) => status === 429)?.headers['retry-after']);
});

test('a fault is 500, without a word of it', async (t) => {
  const point = decisionPoint(sampleSlice(), {
    inForce: () => {
      throw new Error('secret');
    },
  });
  const { post } = await servePoint(t, point);
  const { status, text } = await post(path, message);
  assert.deepEqual([status, text.includes('secret')], [500, false]);
});

test('who is slow, half open or no HTTP is turned away', async (t) => {
  const { socket } = await servePoint(t, decisionPoint(sampleSlice()));
  const talk = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const connection = createConnection(socket);
      let heard = '';
      connection.on('data', (chunk) => (heard += chunk.toString()));
      connection.on('error', reject);
      connection.on('close', () => resolve(heard));
      connection.write(text);
    });
  assert.match(await talk('nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await talk(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  const smuggled = `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`;
  assert.match(await talk(smuggled), /^HTTP\/1\.1 400 /);
  assert.match(await talk(`POST ${path} HTTP/1.1\r\nhost: a\r\n`), /^HTTP\/1\.1 408 /, 'headers that never end');
  const endless = `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`;
  assert.match(await talk(endless), /^HTTP\/1\.1 408 /, 'a body that never comes');
});

/** Messages that are nearly right. */
const nearly = (): fc.Arbitrary<unknown> => {
  const odd = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom<unknown>('device', 'interface', 'web', 'status', 'gateway-1', 'GET', '/status', '', null),
  );
  const mostly = (usual: object, rare: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
    fc.oneof(
      { weight: 6, arbitrary: fc.constant(usual) },
      { weight: 1, arbitrary: rare },
      { weight: 1, arbitrary: odd },
    );
  const entity = (type: string, id: string) =>
    fc.oneof(
      { weight: 8, arbitrary: fc.constant<object>({ type, id }) },
      {
        weight: 2,
        arbitrary: fc.record(
          { type: fc.oneof(fc.constant(type), odd), id: fc.oneof(fc.constant(id), odd), properties: odd },
          { requiredKeys: [] },
        ),
      },
    );
  const oddAction = fc.record(
    {
      name: fc.oneof(fc.constantFrom('status', 'files', 'GET', 'POST'), odd),
      properties: fc.oneof(
        odd,
        fc.record(
          { method: fc.constantFrom('GET', 'POST'), path: fc.constantFrom('/status', '/files/secret', '/a/../status') },
          { requiredKeys: [] },
        ),
      ),
    },
    { requiredKeys: ['name'] },
  );
  const action = fc.oneof(
    oddAction,
    fc.constantFrom<object>({ name: 'status' }, { name: 'files' }, { name: 'GET', properties: { path: '/status' } }),
  );
  const one = fc.record(
    {
      subject: entity('device', 'gateway-1'),
      action,
      resource: entity('interface', 'web'),
      context: mostly({ supported_obligations: ['step-up'] }, odd),
      page: mostly({ limit: 1 }, fc.record({ limit: odd, token: odd }, { requiredKeys: [] })),
      options: mostly({ evaluations_semantic: 'execute_all' }, fc.record({ evaluations_semantic: odd })),
    },
    { requiredKeys: ['subject', 'action', 'resource'] },
  );
  return fc.oneof(
    one,
    fc
      .tuple(one, fc.array(fc.oneof(one, odd), { maxLength: 4 }))
      .map(([message, evaluations]) => ({ ...message, evaluations })),
    odd,
  );
};

test('whatever is sent is answered below 500, and nothing is allowed that the engine did not allow', async (t) => {
  const point = decisionPoint(sampleSlice());
  let engineAllows = 0;
  const { decide } = point.ports;
  const ports = {
    ...point.ports,
    decide: (...question: Parameters<typeof decide>) => {
      const decision = decide(...question);
      if (decision.allow) engineAllows++;
      return decision;
    },
  };
  const served: ServedPoint = await servePoint(t, { ports });
  const allowed = (value: unknown): number => [...(JSON.stringify(value) ?? '').matchAll(/"decision":true/g)].length;
  let allows = 0;
  const statuses = new Map<number, number>();
  const text = fc.oneof(
    { weight: 6, arbitrary: nearly().map((value) => JSON.stringify(value)) },
    {
      weight: 1,
      arbitrary: fc.tuple(nearly(), fc.nat(), fc.string({ maxLength: 3 })).map(([value, at, more]) => {
        const whole = JSON.stringify(value) ?? '';
        return whole.slice(0, at % (whole.length + 1)) + more + whole.slice(at % (whole.length + 1));
      }),
    },
  );
  await fc.assert(
    fc.asyncProperty(
      text,
      fc.constantFrom('evaluation', 'evaluations', 'evaluations', 'search/subject', 'search/resource', 'search/action'),
      async (body, endpoint) => {
        engineAllows = 0;
        const reply = await served.send('POST', `/access/v1/${endpoint}`, body, json);
        statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1);
        assert.ok(reply.status < 500, `${reply.status} for ${body}`);
        const found = reply.status === 200 && !endpoint.startsWith('search') ? allowed(reply.json) : 0;
        allows += found;
        assert.ok(found <= engineAllows, `${body}: ${reply.text}`);
      },
    ),
    { numRuns: 1_200 },
  );
  assert.ok(allows > 20, `${allows} allowed`);
  assert.ok((statuses.get(200) ?? 0) > 100 && (statuses.get(400) ?? 0) > 100, JSON.stringify([...statuses]));
});
