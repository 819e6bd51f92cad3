// Who may call what, on a running control plane: for every RPC of operators each role that lacks it, devices, nobody; and
// the rates.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { accessTable, rateTable, type Role, roles } from '../../bin/rpc-table.ts';
import { controlVerifier } from '../../identity/index.ts';
import { AdminService } from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { AuditIngestService } from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { EdgeStreamService } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { CodedError } from '../../runtime/errors.ts';
import { createGrpcClient, type ClientTls } from '../../runtime/grpc.ts';
import { collect } from '../support/grpc-loopback.ts';
import { createSite, type Site } from './site.ts';
import { until } from '../support/until.ts';

let site: Site;
const operators = new Map<Role, string>();

before(async () => {
  site = await createSite();
  await site.enroll('hmi-1');
  for (const role of roles) operators.set(role, await site.issueOperator(`only-${role}`, [role]));
});
after(async () => {
  await site.close();
});

type Call = (
  request: object,
  options: { signal: AbortSignal; timeoutMs: number },
) => Promise<unknown> | AsyncIterable<unknown>;

/** The one call that goes on and on when it is allowed. */
const endless = 'tailEvents';

/**
 * Calls an RPC of AdminService with an empty request; the code of its refusal, `OK` when it answers, `SILENT` when it does
 * not. Silence is an answer of `endless` alone.
 */
async function codeOf(client: object, rpc: string, giveMs = 10_000): Promise<string> {
  const give = AbortSignal.timeout(giveMs);
  try {
    const call = (client as Record<string, Call>)[rpc];
    assert.ok(call !== undefined, rpc);
    const answer = call({}, { signal: give, timeoutMs: 20_000 });
    if (Symbol.asyncIterator in answer) for await (const _ of answer) break;
    else await answer;
    return 'OK';
  } catch (error) {
    if (give.aborted) return rpc === endless ? 'OK' : 'SILENT';
    return error instanceof CodedError ? error.code : String(error);
  }
}

function credential(chain: string, key: string): ClientTls {
  const roots = readFileSync(join(site.paths.admin, 'roots.pem'), 'utf8');
  return {
    chain: readFileSync(chain, 'utf8'),
    key: readFileSync(key, 'utf8'),
    roots,
    verifyServer: controlVerifier('plant.example', roots),
  };
}

const adminRpcs = AdminService.methods.map((method) => ({
  rpc: method.localName,
  name: `${AdminService.typeName}/${method.name}`,
}));

/** What the log holds of refused calls, as `caller rpc code`. */
async function refusals(): Promise<string[]> {
  const events = await site.events({ kind: 'admin' });
  return events
    .filter(({ activity }) => activity === 'refuse')
    .map(({ data }) => `${String(data['subject'])} ${String(data['operation'])} ${String(data['code'])}`);
}

async function areAudited(expected: readonly string[]): Promise<void> {
  await until('every refusal is in the log', async () => {
    const found = new Set(await refusals());
    const missing = expected.filter((refusal) => !found.has(refusal));
    if (missing.length > 0) throw new Error(`not in the log: ${missing.join('; ')}`);
    return true;
  });
}

test('an operator without the role is refused by every RPC, and each refusal is audited', async () => {
  const expected: string[] = [];
  for (const [role, directory] of operators) {
    const client = site.client(directory);
    for (const { rpc, name } of adminRpcs) {
      const access = accessTable[name];
      assert.equal(access?.identity, 'operator', name);
      const mine = access.identity === 'operator' && access.anyOf.includes(role);
      const code = await codeOf(client, rpc, mine && rpc === endless ? 500 : undefined);
      if (mine) assert.doesNotMatch(code, /^(ACCESS_|SILENT)/, `${role} may call ${name}`);
      else assert.equal(code, 'ACCESS_ROLE_MISSING', `${role} may not call ${name}`);
      if (!mine) expected.push(`spiffe://plant.example/operator/only-${role} ${name} ACCESS_ROLE_MISSING`);
    }
  }
  assert.ok(expected.length > 50, 'the roles differ');
  await areAudited(expected);
});

test('a device calls nothing that is for operators, and each try is audited', async () => {
  const device = credential(site.paths.chain('hmi-1'), site.paths.key('hmi-1'));
  const client = createGrpcClient(AdminService, site.addresses.edges, device);
  try {
    for (const { rpc, name } of adminRpcs) assert.equal(await codeOf(client, rpc), 'ACCESS_WRONG_IDENTITY', name);
  } finally {
    client.close();
  }
  await areAudited(adminRpcs.map(({ name }) => `spiffe://plant.example/device/hmi-1 ${name} ACCESS_WRONG_IDENTITY`));
});

test('an operator opens neither the stream nor the delivery of a device', async () => {
  const operator = credential(join(site.paths.admin, 'chain.pem'), join(site.paths.admin, 'key.pem'));
  const stream = createGrpcClient(EdgeStreamService, site.addresses.edges, operator);
  const ingest = createGrpcClient(AuditIngestService, site.addresses.edges, operator);
  const nothing = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) };
  try {
    await assert.rejects(collect(stream.connect(nothing)), { code: 'ACCESS_WRONG_IDENTITY' });
    await assert.rejects(collect(ingest.deliver(nothing)), { code: 'ACCESS_WRONG_IDENTITY' });
  } finally {
    stream.close();
    ingest.close();
  }
  await areAudited([
    'spiffe://plant.example/operator/admin edgeward.stream.v1.EdgeStreamService/Connect ACCESS_WRONG_IDENTITY',
    'spiffe://plant.example/operator/admin edgeward.audit.v1.AuditIngestService/Deliver ACCESS_WRONG_IDENTITY',
  ]);
});

test('without a certificate nobody gets as far as a call', async () => {
  const { roots, verifyServer } = credential(site.paths.chain('hmi-1'), site.paths.key('hmi-1'));
  const client = createGrpcClient(AdminService, site.addresses.edges, { roots, verifyServer });
  try {
    assert.match(await codeOf(client, 'listDevices'), /^RPC_UNAVAILABLE$/);
  } finally {
    client.close();
  }
});

test('more calls than the rate allows are refused, for that caller and that RPC alone', async () => {
  const client = site.client(operators.get('auditor'));
  const rpc = 'edgeward.admin.v1.AdminService/ExportLog';
  const burst = rateTable[rpc]?.burst ?? 0;
  const codes: string[] = [];
  for (let call = 0; call < burst + 3; call += 1) codes.push(await codeOf(client, 'exportLog'));
  assert.ok(codes.includes('ACCESS_RATE_LIMITED'), codes.join(' '));
  assert.equal(await codeOf(client, 'listTokens'), 'OK');
  assert.equal(await codeOf(site.operators, 'exportLog'), 'OK', 'another caller is not concerned');
  await areAudited([`spiffe://plant.example/operator/only-auditor ${rpc} ACCESS_RATE_LIMITED`]);
});
