// AuthZEN asked by a foreign client, curl: the certification scenario of the OpenID AuthZEN working group (Authorization API
// 1.0, certification/authorization-api-1_0-scenario.md), recreated over a slice of ours, and the shipped example.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { buildSlices, loadRepository, readDirectory } from '../../policy/repository/index.ts';
import { type Slice, sliceSchema } from '../../policy/bundle/index.ts';
import { now } from '../../policy/engine/testing/sample-slice.ts';
import { decisionPoint, servePoint } from '../support/authzen.ts';
import { requires } from '../support/capabilities.ts';
import { freePort } from '../support/free-ports.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');

const operation = (name: string, method: string) => ({
  name,
  protocol: 'http',
  methods: [method],
  paths: ['/'],
  class: 'normal',
  island: false,
});
const record = (name: string) => ({
  name,
  device: 'store-1',
  protocol: 'http',
  transport: 'tcp',
  port: 443,
  operations: [operation('read', 'GET'), operation('write', 'PUT'), operation('delete', 'DELETE')],
  onEnforcerDeath: 'closed',
  auditDurable: false,
  place: 'interfaces/records.yaml:1',
});
const grant = (id: string, subject: string, on: string, operations: string[], attributes: object[] = []) => ({
  id,
  subjects: [subject],
  interface: on,
  device: 'store-1',
  operations,
  binding: 'svid',
  conditions: attributes.length === 0 ? {} : { attributes },
  place: 'grants/records.yaml:1',
});
const archived = { source: 'resource', name: 'status', equals: 'archived' };

/** C-1, with users as devices and records as interfaces. Properties of an action (rules 7 and 8) are no attributes here. */
const fixture: Slice = sliceSchema.parse({
  format: 1,
  trustDomain: 'plant.example',
  device: 'store-1',
  devices: [],
  interfaces: [record('record-1'), record('record-2')],
  attributes: [
    { source: 'subject', name: 'role', type: 'string' },
    { source: 'resource', name: 'status', type: 'string' },
  ],
  grants: [
    grant('alice', 'alice', 'record-1', ['read', 'write']),
    grant('alice-2', 'alice', 'record-2', ['read', 'write']),
    grant('bob', 'bob', 'record-1', ['read']),
    grant('admins', 'bob', 'record-2', ['write'], [archived, { source: 'subject', name: 'role', equals: 'admin' }]),
  ],
  denies: [
    {
      id: 'archived',
      subjects: ['alice'],
      interface: 'record-2',
      device: 'store-1',
      operations: ['write'],
      conditions: { attributes: [archived] },
      place: 'grants/records.yaml:9',
    },
  ],
  firewall: [],
  casbin: [],
  selfTest: [],
});

interface Curled {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

async function certified(t: TestContext) {
  const { socket } = await servePoint(t, decisionPoint(fixture), {
    asserts: ['subject.role', 'resource.status'],
    url: 'https://pdp.plant.example',
  });
  return async (path: string, message: unknown, ...options: string[]): Promise<Curled> => {
    const { stdout } = await run('curl', [
      '--silent',
      '--include',
      '--unix-socket',
      socket,
      ...(message === undefined
        ? []
        : [
            '--header',
            'Content-Type: application/json',
            '--data-binary',
            typeof message === 'string' ? message : JSON.stringify(message),
          ]),
      ...options,
      `http://localhost${path}`,
    ]);
    const [head = '', text = ''] = stdout.split('\r\n\r\n');
    const [first = '', ...lines] = head.split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const body = headers['content-type'] === 'application/json' ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: Number(first.split(' ')[1]), headers, body };
  };
}

const alice = { type: 'device', id: 'alice' };
const bob = { type: 'device', id: 'bob' };
const admin = { ...bob, properties: { role: 'admin' } };
const first = { type: 'interface', id: 'record-1' };
const second = { type: 'interface', id: 'record-2' };
const old = { ...second, properties: { status: 'archived' } };
const read = { name: 'read' };
const write = { name: 'write' };
const evaluation = '/access/v1/evaluation';
const batch = '/access/v1/evaluations';

test('certification, Basic: evaluation', async (t) => {
  if (!requires(t, 'curl')) return;
  const curl = await certified(t);
  const decisions: [string, object, boolean][] = [
    ['C-2.2.1', { subject: alice, action: read, resource: first }, true],
    ['C-2.2.2', { subject: bob, action: write, resource: first }, false],
    [
      'C-2.2.3',
      { subject: alice, action: read, resource: first, context: { time: '2025-06-27T18:03-07:00', ip: '192.168.1.1' } },
      true,
    ],
    ['C-2.2.4', { subject: alice, action: write, resource: old }, false],
    ['C-2.2.5', { subject: admin, action: write, resource: old }, true],
    [
      'C-2.2.8',
      {
        subject: { ...alice, properties: { department: 'Sales', role: 'manager' } },
        action: { ...read, properties: { method: 'GET' } },
        resource: { ...first, properties: { status: 'active', owner: 'bob' } },
      },
      true,
    ],
    ['C-2.2.9', { subject: alice, action: read, resource: first, foo: 'bar', futureField: { nested: true } }, true],
  ];
  for (const [name, message, decision] of decisions) {
    const reply = await curl(evaluation, message);
    assert.deepEqual(
      [reply.status, reply.headers['content-type'], reply.body['decision']],
      [200, 'application/json', decision],
      name,
    );
  }
  const bad: [string, unknown][] = [
    ['C-2.4.1 subject', { action: read, resource: first }],
    ['C-2.4.1 action', { subject: alice, resource: first }],
    ['C-2.4.1 resource', { subject: alice, action: read }],
    ['C-2.4.2 subject.type', { subject: { id: 'alice' }, action: read, resource: first }],
    ['C-2.4.2 subject.id', { subject: { type: 'device' }, action: read, resource: first }],
    ['C-2.4.2 action.name', { subject: alice, action: {}, resource: first }],
    ['C-2.4.2 resource.type', { subject: alice, action: read, resource: { id: 'record-1' } }],
    ['C-2.4.2 resource.id', { subject: alice, action: read, resource: { type: 'interface' } }],
    ['C-2.4.4', '{"subject":'],
    ['C-2.4.5', ''],
    ['C-2.4.6 subject', { subject: 'alice', action: read, resource: first }],
    ['C-2.4.6 action.name', { subject: alice, action: { name: 123 }, resource: first }],
  ];
  for (const [name, message] of bad) assert.equal((await curl(evaluation, message)).status, 400, name);
  const text = await curl(
    evaluation,
    { subject: alice, action: read, resource: first },
    '--header',
    'Content-Type: text/plain',
  );
  assert.equal(text.status, 400, 'C-2.4.3');
  const id = await curl(
    evaluation,
    decisions[0]?.[1],
    '--header',
    'X-Request-ID: bfe9eb29-ab87-4ca3-be83-a1d5d8305716',
  );
  assert.equal(id.headers['x-request-id'], 'bfe9eb29-ab87-4ca3-be83-a1d5d8305716', 'C-2.5.1');
});

test('certification, Batch: evaluations', async (t) => {
  if (!requires(t, 'curl')) return;
  const curl = await certified(t);
  const cases: [string, object, boolean[]][] = [
    [
      'C-3.2.1',
      { subject: alice, action: read, evaluations: [{ resource: first }, { resource: second }] },
      [true, true],
    ],
    ['C-3.2.2', { subject: bob, resource: first, evaluations: [{ action: read }, { action: write }] }, [true, false]],
    [
      'C-3.2.3',
      {
        subject: alice,
        action: write,
        evaluations: [{ resource: { ...first, properties: { status: 'active' } } }, { resource: old }],
      },
      [true, false],
    ],
    ['C-3.2.4', { action: write, resource: old, evaluations: [{ subject: alice }, { subject: admin }] }, [false, true]],
    [
      'C-3.2.5',
      {
        evaluations: [
          { subject: alice, action: read, resource: first },
          { subject: bob, action: write, resource: first },
        ],
      },
      [true, false],
    ],
    [
      'C-3.2.6',
      {
        subject: alice,
        action: read,
        context: { time: '2025-06-27T18:03-07:00' },
        evaluations: [{ resource: first }, { resource: second, context: { source: 'batch-override' } }],
      },
      [true, true],
    ],
    ['C-3.4.1', { subject: alice, action: read, evaluations: [{ resource: first }, {}] }, [true, false]],
  ];
  for (const [name, message, expected] of cases) {
    const { status, body } = await curl(batch, message);
    assert.equal(status, 200, name);
    const found = body['evaluations'] as { decision: boolean }[];
    assert.deepEqual(
      found.map(({ decision }) => decision),
      expected,
      name,
    );
    assert.ok(!('decision' in body), 'C-3.3.4');
  }
  for (const more of [{}, { evaluations: [] }]) {
    const { body } = await curl(batch, { subject: alice, action: read, resource: first, ...more });
    assert.equal(body['decision'], true, 'C-3.4.2, C-3.4.3');
  }
});

test('certification, Search', async (t) => {
  if (!requires(t, 'curl')) return;
  const curl = await certified(t);
  const search = async (kind: string, message: object) => {
    const { status, body } = await curl(`/access/v1/search/${kind}`, message);
    const results = (body['results'] ?? []) as { type?: string; id?: string; name?: string }[];
    return { status, found: results.map(({ id, name }) => id ?? name), page: body['page'] as { next_token: string } };
  };
  const devices = { subject: { type: 'device' }, action: read, resource: first };
  assert.deepEqual((await search('subject', devices)).found, ['alice', 'bob'], 'C-4.2.1');
  assert.equal((await search('subject', { ...devices, context: { time: 'now' } })).status, 200, 'C-4.2.2');
  assert.ok(
    (await search('subject', { subject: { type: 'device' }, action: write, resource: old })).found.length === 0,
    'who is no admin',
  );
  const admins = { subject: { type: 'device', properties: { role: 'admin' } }, action: write, resource: old };
  assert.deepEqual((await search('subject', admins)).found, ['bob'], 'C-4.2.4');
  const records = { subject: alice, action: read, resource: { type: 'interface' } };
  assert.deepEqual((await search('resource', records)).found, ['record-1', 'record-2'], 'C-4.3.1');
  const written = {
    subject: admin,
    action: write,
    resource: { type: 'interface', properties: { status: 'archived' } },
  };
  assert.deepEqual((await search('resource', written)).found, ['record-2'], 'C-4.3.3');
  assert.deepEqual((await search('action', { subject: alice, resource: first })).found, ['read', 'write'], 'C-4.4.1');
  assert.deepEqual((await search('action', { subject: admin, resource: old })).found, ['write'], 'C-4.4.3');
  const page = await search('subject', { ...devices, page: { limit: 1 } });
  assert.deepEqual(page.found, ['alice'], 'C-4.5.1');
  const next = await search('subject', { ...devices, page: { token: page.page.next_token } });
  assert.deepEqual([next.found, next.page.next_token], [['bob'], ''], 'C-4.5.2');
  assert.deepEqual(
    (await search('action', { subject: { type: 'device', id: 'nonexistent-user' }, resource: first })).found,
    [],
  );
  assert.deepEqual((await search('subject', { ...devices, subject: { type: 'spaceship' } })).found, [], 'C-4.6.2');
  for (const [kind, message] of [
    ['subject', { subject: { type: 'device' }, resource: first }],
    ['resource', { action: read, resource: { type: 'interface' } }],
    ['action', { subject: alice }],
    ['subject', { subject: { type: 'device' }, action: read, resource: { type: 'interface' } }],
    ['resource', { subject: { type: 'device' }, action: read, resource: { type: 'interface' } }],
  ] as const) {
    assert.equal((await search(kind, message)).status, 400, `C-4.7 ${kind}`);
  }
});

test('certification, Discovery: metadata', async (t) => {
  if (!requires(t, 'curl')) return;
  const curl = await certified(t);
  const { status, headers, body } = await curl('/.well-known/authzen-configuration', undefined);
  assert.deepEqual(
    [status, headers['content-type'], body['policy_decision_point']],
    [200, 'application/json', 'https://pdp.plant.example'],
  );
  const urls = Object.entries(body).filter(([name]) => name.endsWith('_endpoint'));
  assert.deepEqual(
    urls.map(([, url]) => new URL(String(url)).origin),
    Array.from({ length: 5 }, () => 'https://pdp.plant.example'),
  );
});

test('loopback TCP answers to who shows the token', async (t) => {
  if (!requires(t, 'curl')) return;
  const address = `127.0.0.1:${await freePort()}`;
  await servePoint(t, decisionPoint(fixture), { tcp: { address, token: 'correct-horse' } });
  const curl = async (...options: string[]): Promise<string> => {
    const message = JSON.stringify({ subject: alice, action: read, resource: first });
    const { stdout } = await run('curl', [
      '--silent',
      '--write-out',
      ' %{http_code} %header{www-authenticate}',
      '--header',
      'Content-Type: application/json',
      '--data-binary',
      message,
      ...options,
      `http://${address}${evaluation}`,
    ]);
    return stdout;
  };
  assert.match(await curl('--header', 'Authorization: Bearer correct-horse'), /^\{"decision":true,.* 200 $/);
  assert.match(await curl('--oauth2-bearer', 'wrong'), / 401 Bearer realm="edgeward"$/);
  assert.match(await curl(), / 401 /);
  assert.match(
    await curl('--header', 'Authorization: Bearer correct-horse', '--header', 'Authorization: Bearer x'),
    / 401 /,
  );
});

test('the shipped example asks an edge of the example policy', async (t) => {
  if (!requires(t, 'curl')) return;
  const { repository } = loadRepository(await readDirectory(join(root, 'examples/policy')), now);
  assert.ok(repository !== undefined);
  const slice = buildSlices(repository).get('hmi-1');
  assert.ok(slice !== undefined);
  const { socket } = await servePoint(t, decisionPoint(slice), { url: 'https://pdp.hmi-1.plant.example' });
  const { stdout } = await run('sh', [join(root, 'examples/authzen/ask.sh')], {
    env: { ...process.env, SOCKET: socket },
  });
  const answers = Object.fromEntries(
    stdout
      .split('== ')
      .slice(1)
      .map((part) => {
        const [name = '', text = ''] = part.split('\n');
        return [name, JSON.parse(text) as Record<string, unknown>];
      }),
  );
  assert.equal(answers['evaluation']?.['decision'], true, stdout);
  assert.deepEqual(
    ((answers['evaluations']?.['evaluations'] ?? []) as { decision: boolean }[]).map(({ decision }) => decision),
    [true, false],
  );
  assert.deepEqual(answers['search/subject']?.['results'], [{ type: 'device', id: 'gateway-1' }]);
  assert.deepEqual(answers['search/resource']?.['results'], [
    { type: 'interface', id: 'hmi-web', properties: { device: 'hmi-1' } },
  ]);
  assert.deepEqual(answers['search/action']?.['results'], [{ name: 'view' }]);
  assert.equal(answers['metadata']?.['policy_decision_point'], 'https://pdp.hmi-1.plant.example');
});
