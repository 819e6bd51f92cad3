// What a running control plane answers to bad input, and what it remembers of it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { parseJoinLine } from '../../ca/index.ts';
import { createCsr, generateKey } from '../../identity/index.ts';
import { create, toBinary, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { EnrollRequestSchema } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { DeliverRequestSchema } from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { ConnectRequestSchema } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { createSite, type Event, type Site } from '../scenario/site.ts';
import { until } from '../support/until.ts';
import { hello } from '../scenario/device-stream.ts';
import { rawCall, type Where } from './raw-grpc.ts';

const invalidArgument = 3;
const resourceExhausted = 8;
const failedPrecondition = 9;

let site: Site;
let where: Readonly<Record<'enrolment' | 'device' | 'operator', Where>>;
before(async () => {
  site = await createSite();
  await site.enroll('hmi-1');
  const { admin, key, chain } = site.paths;
  const ca = readFileSync(join(admin, 'roots.pem'));
  const edges = (keyFile: string, chainFile: string): Where => ({
    address: site.addresses.edges,
    tls: { ca, key: readFileSync(keyFile), cert: readFileSync(chainFile) },
  });
  where = {
    enrolment: { address: site.addresses.enrolment, tls: { ca } },
    device: edges(key('hmi-1'), chain('hmi-1')),
    operator: edges(join(admin, 'key.pem'), join(admin, 'chain.pem')),
  };
});
after(async () => {
  await site.close();
});

const listeners = {
  'enrolment.v1.EnrolmentService/Enroll': 'enrolment',
  'stream.v1.EdgeStreamService/Connect': 'device',
  'audit.v1.AuditIngestService/Deliver': 'device',
  'admin.v1.AdminService/ListDevices': 'operator',
} as const;
const calls = Object.entries(listeners).map(([method, who]) => ({ path: `/edgeward.${method}`, who }));

const bytesOf = <S extends DescMessage>(schema: S, message: MessageInitShape<S>): Uint8Array =>
  toBinary(schema, create(schema, message));

/** The refusals of enrolments, newest last. */
const refusals = async (): Promise<Event[]> =>
  (await site.events({ kind: 'device' })).filter(({ activity }) => activity === 'enroll_refuse');

test('bytes that are no message are refused by every listener with code and remedy', async () => {
  for (const { path, who } of calls) {
    const ending = await rawCall(where[who], path, [Buffer.from([0xff, 0xff])]);
    assert.deepEqual([path, ending.status, ending.code], [path, invalidArgument, 'WIRE_MALFORMED']);
    assert.match(ending.remedy, /^[A-Z]/);
  }
});

test('a field that the contract does not have is refused by every listener, not skipped', async () => {
  // Field 15 of type bytes; no request has it.
  const foreign = Buffer.from([0x7a, 0x01, 0x00]);
  for (const { path, who } of calls) {
    const ending = await rawCall(where[who], path, [foreign]);
    assert.deepEqual([path, ending.status, ending.code], [path, invalidArgument, 'WIRE_UNKNOWN_FIELD']);
  }
});

test('a message above the limit is refused by every listener before it is read', async () => {
  for (const { path, who } of calls) {
    const bytes = who === 'enrolment' ? 65 * 1024 : 4 * 1024 * 1024 + 1;
    const ending = await rawCall(where[who], path, [Buffer.alloc(bytes)]);
    assert.deepEqual([path, ending.status], [path, resourceExhausted]);
  }
});

test('another version of a contract is refused with FAILED_PRECONDITION', async () => {
  const enroll = bytesOf(EnrollRequestSchema, { protocolVersion: 2 });
  const open = bytesOf(DeliverRequestSchema, {
    message: { case: 'open', value: { protocolVersion: 2, epoch: new Uint8Array(16), firstSequence: 1n } },
  });
  const versions = [
    ['enrolment', '/edgeward.enrolment.v1.EnrolmentService/Enroll', enroll, 'CA_PROTOCOL_VERSION'],
    [
      'device',
      '/edgeward.stream.v1.EdgeStreamService/Connect',
      bytesOf(ConnectRequestSchema, hello(2)),
      'STREAM_PROTOCOL_VERSION',
    ],
    ['device', '/edgeward.audit.v1.AuditIngestService/Deliver', open, 'AUDIT_VERSION_UNSUPPORTED'],
  ] as const;
  for (const [who, path, message, code] of versions) {
    const ending = await rawCall(where[who], path, [message]);
    assert.deepEqual([ending.status, ending.code], [failedPrecondition, code]);
    assert.match(ending.remedy, /^(Update|Run)/);
  }
});

test('a device that breaks the contract of the stream is in the log', async () => {
  const path = '/edgeward.stream.v1.EdgeStreamService/Connect';
  const ending = await rawCall(where.device, path, [bytesOf(ConnectRequestSchema, {})]);
  assert.equal(ending.code, 'STREAM_HELLO_MISSING');
  await until('the breach is in the log', async () =>
    (await site.events({ kind: 'device' })).some(
      ({ activity, data }) =>
        activity === 'stream_refuse' && data['device'] === 'hmi-1' && data['code'] === 'STREAM_HELLO_MISSING',
    ),
  );
});

test('a join token works once: the second machine is refused, and that is a finding', async () => {
  const line = await site.enroll('plc-1');
  const other = await site.tryCommand<{ error: { code: string; remedy: string } }>(
    ['enroll', '--state', join(site.paths.scratch, 'thief')],
    line,
  );
  assert.deepEqual([other.code, other.document.error.code], [1, 'CA_TOKEN_USED']);
  assert.match(other.document.error.remedy, /revoke the device/);
  const refusal = (await refusals()).at(-1);
  assert.deepEqual(
    [refusal?.severity, refusal?.data['device'], refusal?.data['code']],
    ['high', 'plc-1', 'CA_TOKEN_USED'],
  );
  await until('the finding', async () => {
    const { findings } = await site.operators.listFindings({});
    return findings.some(
      ({ deviceId, title }) => deviceId === 'plc-1' && title === 'A join token was presented with a second key',
    );
  });
});

test('a join token that comes late is refused, and so is one that was revoked', async () => {
  const codeWith = async (line: string): Promise<string> => {
    const { code, document } = await site.tryCommand<{ error: { code: string } }>(
      ['enroll', '--state', join(site.paths.scratch, 'late')],
      line,
    );
    assert.equal(code, 1);
    return document.error.code;
  };
  const { joinLine, expiresAtMs } = await site.operators.createToken({ deviceId: 'gateway-1', ttlSeconds: 1 });
  await delay(Math.max(0, Number(expiresAtMs) - Date.now()) + 50);
  assert.equal(await codeWith(joinLine), 'CA_TOKEN_EXPIRED');
  const revoked = await site.operators.createToken({ deviceId: 'gateway-1' });
  await site.operators.revokeToken({ tokenId: revoked.tokenId });
  assert.equal(await codeWith(revoked.joinLine), 'CA_TOKEN_REVOKED');
  const codes = (await refusals()).slice(-2).map(({ severity, data }) => [severity, data['device'], data['code']]);
  assert.deepEqual(codes, [
    ['medium', 'gateway-1', 'CA_TOKEN_EXPIRED'],
    ['medium', 'gateway-1', 'CA_TOKEN_REVOKED'],
  ]);
});

test('a certificate request for another name gets nothing and is audited as grave; the token stays good', async () => {
  const { joinLine } = await site.operators.createToken({ deviceId: 'gateway-1' });
  const { tokenId, secret } = parseJoinLine(joinLine);
  const csrDer = createCsr(generateKey(), 'spiffe://plant.example/device/hmi-1');
  const request = bytesOf(EnrollRequestSchema, {
    protocolVersion: 1,
    tokenId,
    tokenSecret: secret,
    csrDer,
    agentVersion: 'test',
  });
  const ending = await rawCall(where.enrolment, '/edgeward.enrolment.v1.EnrolmentService/Enroll', [request]);
  assert.deepEqual([ending.status, ending.code], [7, 'CA_NAME_MISMATCH']);
  const refusal = (await refusals()).at(-1);
  assert.deepEqual(
    [refusal?.severity, refusal?.data['device'], refusal?.data['code']],
    ['high', 'gateway-1', 'CA_NAME_MISMATCH'],
  );
  await site.command(['enroll', '--state', site.paths.state('gateway-1')], joinLine);
});

test('a join line that lost its end is refused on the device, and its secret is not repeated', async () => {
  const { joinLine } = await site.operators
    .createToken({ deviceId: 'plc-1' })
    .catch(() => site.operators.createToken({ deviceId: 'plc-1', reimage: true }));
  const cut = joinLine.slice(0, -9);
  const answer = await site.tryCommand<{ error: { code: string; message: string } }>(
    ['enroll', '--state', join(site.paths.scratch, 'cut')],
    cut,
  );
  assert.deepEqual([answer.code, answer.document.error.code], [1, 'CA_JOIN_LINE_INVALID']);
  assert.ok(!JSON.stringify(answer).includes(cut.slice(40, 60)));
});

test('a publication is refused from a dirty tree, with a typo, by an unknown publisher, and under an older version', async () => {
  const publish = async (key: string) =>
    await site.tryCommand<{ error: { code: string; message: string } }>([
      'policy',
      'publish',
      site.paths.policy,
      '--key',
      key,
      '--identity',
      site.paths.admin,
    ]);
  const refused = async (code: string, message: RegExp, key = site.paths.publisher): Promise<void> => {
    const answer = await publish(key);
    assert.deepEqual([answer.code, answer.document.error.code], [1, code]);
    assert.match(answer.document.error.message, message);
  };
  const grants = readFileSync(join(site.paths.policy, 'grants/cell.yaml'), 'utf8');
  site.editFile('grants/cell.yaml', () => grants.replace('interface: plc-modbus', 'interfce: plc-modbus'));
  await refused('POLICY_TREE_DIRTY', /grants\/cell\.yaml/);
  await site.commit('a typo');
  const line = grants.split('\n').findIndex((text) => text.includes('interface: plc-modbus')) + 1;
  await refused('CLI_CHECK_FAILED', new RegExp(`grants/cell\\.yaml:${line}:5: .*interfce.*interface`));
  site.editFile('grants/cell.yaml', () => grants);
  await site.commit('the typo is gone');
  const stranger = join(site.paths.scratch, 'stranger.pem');
  await site.command(['publisher', 'create', stranger]);
  await refused('POLICY_PUBLISHER_UNKNOWN', /./, stranger);
  const stale = site.operators.completePublication({ version: 1n, release: '', manifests: [] });
  await assert.rejects(stale, { code: 'POLICY_VERSION_CONFLICT', status: 'ABORTED' });
  assert.equal((await site.operators.getPolicyStatus({})).version, 1n, 'the first publication is in force');
});

test('a credential whose key is damaged says so before anything is asked', async () => {
  const directory = await site.issueOperator('damaged', ['viewer']);
  writeFileSync(join(directory, 'key.pem'), 'no key\n');
  const answer = await site.tryCommand<{ error: { code: string } }>(['device', 'list', '--identity', directory]);
  assert.deepEqual([answer.code, answer.document.error.code], [1, 'CLI_CREDENTIAL_INVALID']);
});
