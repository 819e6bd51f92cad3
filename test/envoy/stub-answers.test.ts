// Why our answers are built as they are (enforcer/authz/envoy/check-response.ts): what this Envoy makes of bytes that no
// enforcer of ours sends. The snippet is the shipped one, but for what each test says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import type { HeaderValueOptionSchema } from '../../proto/gen/envoy/config/core/v3/base_pb.ts';
import { CheckResponseSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { requires } from '../support/capabilities.ts';
import { placed } from './envoy-process.ts';
import { openPlant, valuesOf } from './plant.ts';
import { type StubAnswer, startStub } from './stub-enforcer.ts';

type HeaderOption = MessageInitShape<typeof HeaderValueOptionSchema>;

/** An allow that writes headers. */
const allowWith = (headers: HeaderOption[]): Uint8Array =>
  toBinary(
    CheckResponseSchema,
    create(CheckResponseSchema, { status: { code: 0 }, httpResponse: { case: 'okResponse', value: { headers } } }),
  );

const withoutEarlyRemoval = (config: string): string =>
  placed(config, { '- remove_on_match: { key_matcher: { prefix: x-edgeward- } }': '- remove: x-nothing' });

test('what Envoy makes of answers that we cannot send', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const { ask, reached } = plant;
  const stub = await startStub(plant.enforcerAddress);
  t.after(stub.close);
  const envoy = await plant.envoy('http.yaml', withoutEarlyRemoval, 'shipped');
  const stat = async (name: string) => await envoy.stat(`http.hmi-web.ext_authz.edgeward.${name}`);

  // The first four are the reason for everything: no status, or status 0, is an allow, whatever else the message says.
  const messages: readonly [what: string, hex: string, status: number][] = [
    ['nothing at all', '', 200],
    ['a denied response 403 without status', '12050a03089303', 200],
    ['status 0 with a denied response 401', '0a02080012050a03089103', 200],
    ['an error response without status', '2a00', 200],
    ['status 7 alone', '0a020807', 403],
    ['status 16 with a denied response 401', '0a02081012050a03089103', 401],
    ['two status fields: the later one, 7', '0a0208000a020807', 403],
    ['two status fields: the later one, 0', '0a0208070a020800', 200],
    ['a status cut short', '0a0208', 503],
    ['bytes that are no message', 'ffffffffff', 503],
  ];
  for (const [what, hex, status] of messages) {
    await t.test(`${what} (${hex}) is ${status}`, async () => {
      stub.answer = () => Buffer.from(hex, 'hex');
      reached.splice(0);
      assert.equal((await ask('/admin')).status, status);
      assert.equal(reached.length, status === 200 ? 1 : 0);
    });
  }

  const failures: readonly [what: string, answer: StubAnswer][] = [
    ['a gRPC status other than OK', { grpcStatus: 13 }],
    ['gRPC OK without a message', { grpcStatus: 0 }],
    ['a stream that is reset', 'reset'],
    ['no answer at all', 'silence'],
  ];
  for (const [what, answer] of failures) {
    await t.test(`${what} is an error: denied with 503`, async () => {
      stub.answer = () => answer;
      const before = (await stat('error')) ?? 0;
      reached.splice(0);
      assert.equal((await ask('/status')).status, 503);
      assert.equal(await stat('error'), before + 1);
      assert.equal(await stat('failure_mode_allowed'), 0);
      assert.deepEqual(reached, []);
    });
  }

  const header = { key: 'x-edgeward-subject', value: 'gateway-1' };
  const forged = ['-H', 'x-edgeward-subject: admin'];
  // This Envoy looks at `append` alone, absent as false; the API says that append_action counts. We send both, so that either
  // reading overwrites, and the snippet removes the client's headers before: three times the same.
  const forms: readonly [what: string, option: HeaderOption, values: string[]][] = [
    ['append: true', { header, append: true }, ['admin,gateway-1']],
    ['append: true and OVERWRITE_IF_EXISTS_OR_ADD', { header, append: true, appendAction: 2 }, ['admin,gateway-1']],
    ['ADD_IF_ABSENT', { header, appendAction: 1 }, ['gateway-1']],
    ['neither of the two', { header }, ['gateway-1']],
    ['append: false alone', { header, append: false }, ['gateway-1']],
    ['OVERWRITE_IF_EXISTS_OR_ADD alone', { header, appendAction: 2 }, ['gateway-1']],
    ['both, as we send it', { header, append: false, appendAction: 2 }, ['gateway-1']],
  ];
  for (const [what, option, values] of forms) {
    await t.test(`a client's own header against one written with ${what}`, async () => {
      stub.answer = () => allowWith([option]);
      reached.splice(0);
      assert.equal((await ask('/status', 'gateway-1', forged)).status, 200);
      assert.deepEqual(reached[0] && valuesOf(reached[0], 'x-edgeward-subject'), values);
    });
  }

  const refused: readonly [what: string, HeaderOption][] = [
    ['of another name', { header: { key: 'x-role', value: 'admin' } }],
    ['that chooses the route', { header: { key: 'host', value: 'elsewhere' }, append: false }],
    ['with a line break in its value', { header: { key: 'x-edgeward-subject', value: 'a\r\nx-role: admin' } }],
    ['with a space in its name', { header: { key: 'x-edgeward- subject', value: 'a' } }],
  ];
  for (const [what, option] of refused) {
    await t.test(`a header ${what} is not written: the request fails`, async () => {
      stub.answer = () => allowWith([option]);
      const before = (await stat('invalid')) ?? 0;
      reached.splice(0);
      assert.equal((await ask('/status')).status, 500);
      assert.deepEqual(reached, []);
      assert.equal(await stat('invalid'), before + 1);
    });
  }
});

test('more questions at once than the enforcer takes are denied, not queued and not let through', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const stub = await startStub(plant.enforcerAddress);
  t.after(stub.close);
  stub.answer = () => 'silence';
  const few = { 'max_requests: 1024': 'max_requests: 2' };
  const envoy = await plant.envoy('http.yaml', (config) => placed(config, few), 'shipped');
  const replies = await Promise.all(Array.from({ length: 8 }, async (_, index) => await plant.ask(`/status/${index}`)));
  assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set([503]));
  assert.ok(((await envoy.stat('cluster.edgeward.upstream_rq_active_overflow')) ?? 0) > 0, 'some were refused at once');
  assert.equal(await envoy.stat('http.hmi-web.ext_authz.edgeward.error'), 8);
  assert.equal(await envoy.stat('http.hmi-web.ext_authz.edgeward.failure_mode_allowed'), 0);
  assert.deepEqual(plant.reached, []);
});

test('the network filter reads answers the same way', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const stub = await startStub(plant.enforcerAddress);
  t.after(stub.close);
  const envoy = await plant.envoy('network.yaml', undefined, 'shipped');
  const answers: readonly [what: string, answer: StubAnswer, allows: boolean][] = [
    ['nothing at all', Buffer.alloc(0), true],
    ['a denied response without status', Buffer.from('12050a03089303', 'hex'), true],
    ['status 7', Buffer.from('0a020807', 'hex'), false],
    ['a gRPC status other than OK', { grpcStatus: 13 }, false],
    ['a stream that is reset', 'reset', false],
    ['no answer at all', 'silence', false],
  ];
  for (const [what, answer, allows] of answers) {
    stub.answer = () => answer;
    plant.reached.splice(0);
    // The service is a web server here, and the filter knows nothing of HTTP.
    const { status } = await plant.ask('/status', 'gateway-1', ['--http1.1']);
    assert.deepEqual(
      { what, status, reached: plant.reached.length },
      { what, status: allows ? 200 : 0, reached: allows ? 1 : 0 },
    );
  }
  assert.equal(await envoy.stat('ext_authz.plc-ssh.failure_mode_allowed'), 0);
  const [question] = stub.asked;
  assert.equal(question?.attributes?.request?.http, undefined);
  assert.deepEqual(question?.attributes?.contextExtensions, {});
  assert.deepEqual(question.attributes.destination?.labels, { 'edgeward-interface': 'plc-ssh' });
});

test('the question holds each header by itself, the certificate, and no cookie', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const stub = await startStub(plant.enforcerAddress);
  t.after(stub.close);
  stub.answer = () => allowWith([]);
  await plant.envoy('http.yaml');
  const lines = [
    'x-role: user',
    'x-role: admin',
    'x-role: a,b',
    'cookie: session=1',
    'x-name: \xff',
    'x-edgeward-role: admin',
  ];
  const { status } = await plant.ask(
    '/status',
    'gateway-1',
    lines.flatMap((line) => ['-H', line]),
  );
  assert.equal(status, 200);
  const [question] = stub.asked;
  const http = question?.attributes?.request?.http;
  const sent =
    http?.headerMap?.headers.map((entry) => [entry.key, Buffer.from(entry.rawValue).toString('latin1')]) ?? [];
  const of = (name: string) => sent.filter(([key]) => key === name).map(([, value]) => value);
  assert.deepEqual(of('x-role'), ['user', 'admin', 'a,b']);
  assert.deepEqual(of('cookie'), []);
  assert.deepEqual(of('x-edgeward-role'), []);
  assert.deepEqual(http?.headers, {}, 'nothing is joined');
  assert.match(decodeURIComponent(question?.attributes?.source?.certificate ?? ''), /^-----BEGIN CERTIFICATE-----/);
  assert.equal(question?.attributes?.source?.principal, 'spiffe://plant.example/device/gateway-1');
  assert.equal(question?.attributes?.contextExtensions['edgeward-interface'], 'hmi-web');
});
