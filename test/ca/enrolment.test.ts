// Enrolment over real TLS and gRPC, on a real disk; what was issued is judged by openssl, which shares no code with us.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeAuthority } from '../../ca/cloud/authority.ts';
import { enroll, enrolmentNetwork, loadIdentity, prepareRenewal, saveRenewed } from '../../ca/edge/index.ts';
import { formatJoinLine, parseJoinLine } from '../../ca/index.ts';
import { certificatesToPem, controlId, createCsr, generateKey, verifyChain } from '../../identity/index.ts';
import { EnrolmentService } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { FakeClock } from '../../runtime/fake-clock.ts';
import { createGrpcClient, createGrpcServer, type GrpcServer } from '../../runtime/grpc.ts';
import { openDatabase } from '../../store/database.ts';
import { nodeFiles } from '../../store/files.ts';
import { requires } from '../support/capabilities.ts';
import { coded, openTestCa, operator, type TestCa, trustDomain, verified } from './support.ts';

let folder: string;
let world: TestCa;
let server: GrpcServer;
let address: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'edgeward-enrolment-'));
  const authority = makeAuthority(trustDomain, systemClock, randomBytes);
  const database = await openDatabase(`sqlite://${join(folder, 'ca.db')}`);
  server = createGrpcServer();
  world = await openTestCa(database, { authority, clock: systemClock as unknown as FakeClock });
  server.addService(EnrolmentService, world.ca.enrolment);
  const port = await server.listen('127.0.0.1:0', { key: authority.server.key, chain: authority.serverChain });
  address = `127.0.0.1:${port}`;
});

after(async () => {
  await server.close(0);
  await world.ports.database.close();
  rmSync(folder, { recursive: true, force: true });
});

async function joinLine(deviceId: string, at: string = address): Promise<string> {
  const { joinLine: line } = await world.ca.createToken({ deviceId, ttlSeconds: 0, reimage: false, by: operator });
  return formatJoinLine({ ...parseJoinLine(line), address: at });
}

const stateOf = (name: string) => ({ fs: nodeFiles, path: join(folder, name) });

const enrollAs = async (deviceId: string) =>
  await enroll({
    joinLine: await joinLine(deviceId),
    state: stateOf(deviceId),
    clock: systemClock,
    agentVersion: '0.1.0',
  });

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

test('a device enrols over the wire and renews', async () => {
  const identity = await enrollAs('plc-1');
  assert.equal(identity.id.uri, `spiffe://${trustDomain}/device/plc-1`);
  const state = stateOf('plc-1');
  const { csrDer } = await prepareRenewal(state);
  const { chain, id } = await world.ca.renew({ svid: verified(world, identity.chain), csrDer, peer: 'test' });
  const response = { certificateChainDer: chain.map((der) => new Uint8Array(der)), spiffeId: id.uri };
  const renewed = await saveRenewed(state, response as Parameters<typeof saveRenewed>[1], systemClock);
  assert.ok((await loadIdentity(state)).leaf.raw.equals(renewed.leaf.raw));
});

test('openssl verifies what was issued, for both sides of TLS, and finds the key on the disk fitting', async (t) => {
  if (!requires(t, 'openssl')) return;
  const { chain } = await enrollAs('plc-2');
  const [leaf, intermediate] = chain;
  assert.ok(leaf !== undefined && intermediate !== undefined);
  writeFileSync(join(folder, 'leaf.pem'), certificatesToPem([leaf]));
  writeFileSync(join(folder, 'intermediate.pem'), certificatesToPem([intermediate]));
  writeFileSync(join(folder, 'root.pem'), certificatesToPem([world.authority.root.certificate.raw]));
  for (const purpose of ['sslclient', 'sslserver']) {
    const said = openssl(
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-CAfile',
      'root.pem',
      '-untrusted',
      'intermediate.pem',
      'leaf.pem',
    );
    assert.equal(said.trim(), 'leaf.pem: OK');
  }
  const text = openssl('x509', '-in', 'leaf.pem', '-noout', '-text');
  assert.match(text, new RegExp(`URI:spiffe://${trustDomain}/device/plc-2`));
  assert.match(text, /Public Key Algorithm: id-ecPublicKey/);
  assert.match(text, /CA:FALSE/);
  const key = join(folder, 'plc-2', 'identity', 'key.pem');
  assert.equal(openssl('pkey', '-in', key, '-pubout'), openssl('x509', '-in', 'leaf.pem', '-noout', '-pubkey'));
});

test('refusals cross the wire with their code', async () => {
  const line = await joinLine('plc-3');
  const at = (name: string, change: object = {}) =>
    enroll({
      joinLine: formatJoinLine({ ...parseJoinLine(line), ...change }),
      state: stateOf(name),
      clock: systemClock,
      agentVersion: '0.1.0',
    });
  await assert.rejects(at('plc-3a', { secret: Buffer.alloc(32) }), coded('CA_TOKEN_UNKNOWN'));
  await at('plc-3b');
  await assert.rejects(at('plc-3c'), coded('CA_TOKEN_USED'));
  await assert.rejects(at('plc-3d', { rootFingerprint: `sha256:${'00'.repeat(32)}` }), coded('CA_SERVER_UNTRUSTED'));
  await assert.rejects(at('plc-3e', { address: '127.0.0.1:1' }), coded('CA_SERVER_UNREACHABLE'));
  await assert.rejects(at('plc-3f', { trustDomain: 'other.example' }), coded('CA_SERVER_UNTRUSTED'));
});

test('another version of the contract is refused', async () => {
  const { tokenId, secret } = parseJoinLine(await joinLine('plc-4'));
  const client = createGrpcClient(EnrolmentService, address, {
    roots: [world.authority.root.certificate.raw],
    verifyServer: () => undefined,
  });
  const request = { tokenId, tokenSecret: secret, csrDer: createCsr(generateKey()), agentVersion: 'old' };
  for (const protocolVersion of [0, 2]) {
    await assert.rejects(client.enroll({ ...request, protocolVersion }), coded('CA_PROTOCOL_VERSION'));
  }
  client.close();
});

test('a server with another identity of the same authority does not get the secret', async () => {
  const keys = generateKey();
  const csrDer = createCsr(keys);
  const { chain } = await world.ca.issueOperator({
    name: 'eve',
    roles: ['viewer'],
    csrDer,
    ttlSeconds: 60,
    by: operator,
  });
  let asked = 0;
  const impostor = createGrpcServer();
  impostor.addService(EnrolmentService, {
    enroll: () => {
      asked++;
      return Promise.reject(new Error('the secret arrived'));
    },
  });
  const port = await impostor.listen('127.0.0.1:0', {
    key: keys.privateKey,
    chain: [...chain, world.authority.root.certificate.raw],
  });
  const line = await joinLine('plc-5', `127.0.0.1:${port}`);
  const request = { joinLine: line, state: stateOf('plc-5'), clock: systemClock, agentVersion: '0.1.0' };
  await assert.rejects(enroll(request), coded('CA_SERVER_UNTRUSTED'));
  // Also when only the second connection, the one that would carry the secret, ends at the impostor.
  const network = { ...enrolmentNetwork, presentedChain: async () => [...world.authority.serverChain] };
  await assert.rejects(enroll({ ...request, network }), coded('CA_SERVER_UNTRUSTED'));
  assert.equal(asked, 0);
  await impostor.close(0);
});

test('the server presents the chain that its own name needs', () => {
  const [leaf, intermediate, root] = world.authority.serverChain;
  assert.ok(leaf !== undefined && intermediate !== undefined && root !== undefined);
  const { id } = verifyChain(leaf, [intermediate], [root], { now: Date.now(), trustDomain });
  assert.equal(id.uri, controlId(trustDomain, 'server').uri);
});
