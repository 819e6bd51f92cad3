// The enrolling device against a control plane in the same process: what it trusts, what it keeps, what it survives.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { makeAuthority, type Authority } from '../cloud/authority.ts';
import { formatJoinLine, parseJoinLine } from '../index.ts';
import {
  type EnrollRequest,
  type EnrollResponse,
  EnrollResponseSchema,
} from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { fingerprint, generateKey, issueCertificate, newSerial, parseCsr, validityFor } from '../../identity/index.ts';
import type { CallContext } from '../../runtime/grpc.ts';
import { openDatabase } from '../../store/database.ts';
import { PowerCutError, SimulatedFiles } from '../../store/simulated-files.ts';
import { coded, openTestCa, operator, type TestCa, trustDomain } from '../../test/ca/support.ts';
import { enroll } from './enroll.ts';
import type { EnrolmentNetwork } from './enrolment-network.ts';
import { loadIdentity, type StateDirectory } from './identity-directory.ts';

class LostReply extends Error {}

async function newWorld(changes: Parameters<typeof openTestCa>[1] = {}): Promise<TestCa> {
  return await openTestCa(await openDatabase('sqlite::memory:'), changes);
}

const newDisk = (seed = 1): StateDirectory & { fs: SimulatedFiles } => ({
  fs: new SimulatedFiles({ seed }),
  path: '/state',
});

async function joinLineFor(world: TestCa, deviceId = 'plc-1', reimage = false): Promise<string> {
  return (await world.ca.createToken({ deviceId, ttlSeconds: 0, reimage, by: operator })).joinLine;
}

/** The network as it is when nobody interferes; `sent` collects what would have left the device. */
function networkTo(world: TestCa, sent: EnrollRequest[] = []): EnrolmentNetwork {
  return {
    presentedChain: async () => [...world.authority.serverChain],
    enroll: async (_address, root, verifyServer, request) => {
      assert.ok(root.equals(world.authority.root.certificate.raw));
      verifyServer(world.authority.serverChain);
      sent.push(request);
      return create(
        EnrollResponseSchema,
        await world.ca.enrolment.enroll(request, { peer: '192.0.2.7:40000' } as CallContext),
      );
    },
  };
}

const run = (world: TestCa, joinLine: string, state: StateDirectory, network = networkTo(world)) =>
  enroll({ joinLine, state, clock: world.clock, agentVersion: '0.1.0', network });

test('a device makes its key, enrols, and finds its identity again', async () => {
  const world = await newWorld();
  const state = newDisk();
  const sent: EnrollRequest[] = [];
  const identity = await run(world, await joinLineFor(world), state, networkTo(world, sent));
  assert.equal(identity.id.uri, `spiffe://${trustDomain}/device/plc-1`);
  assert.deepEqual(identity.anchors.roots, [world.authority.root.certificate.raw]);
  const request = parseCsr(sent[0]?.csrDer ?? new Uint8Array());
  assert.ok(request.publicKey.equals(identity.keys.publicKey));
  assert.deepEqual(request.uris, [], 'the device does not choose its name');
  const again = await loadIdentity({ ...state, fs: state.fs.restart() });
  assert.ok(again.leaf.raw.equals(identity.leaf.raw));
  assert.ok(again.keys.privateKey.equals(identity.keys.privateKey));
});

test('files are private and nothing but the identity is left', async () => {
  const world = await newWorld();
  const state = newDisk();
  await run(world, await joinLineFor(world), state);
  const names = await state.fs.list('/state/identity');
  assert.deepEqual(names, ['anchors.json', 'chain.pem', 'key.pem']);
  for (const name of names) assert.equal((await state.fs.stat(`/state/identity/${name}`))?.mode, 0o600);
});

test('an enrolled device does not enrol again', async () => {
  const world = await newWorld();
  const state = newDisk();
  const line = await joinLineFor(world);
  await run(world, line, state);
  await assert.rejects(run(world, line, state), coded('CA_IDENTITY_EXISTS'));
});

test('a lost reply: the same line again gets the same certificate for the same key', async () => {
  const world = await newWorld();
  const state = newDisk();
  const line = await joinLineFor(world);
  const sent: EnrollRequest[] = [];
  const real = networkTo(world, sent);
  const lossy: EnrolmentNetwork = {
    ...real,
    enroll: async (...args) => {
      await real.enroll(...args);
      throw new LostReply();
    },
  };
  await assert.rejects(run(world, line, state, lossy), LostReply);
  const identity = await run(world, line, { ...state, fs: state.fs.restart() }, real);
  assert.equal(world.enrolled.length, 1);
  assert.equal(identity.leaf.serialHex, world.enrolled[0]?.serial);
  const keys = sent.map((request) => parseCsr(request.csrDer).publicKeyDer.toString('hex'));
  assert.equal(new Set(keys).size, 1);
});

test('with another token the device takes another key', async () => {
  const world = await newWorld();
  const state = newDisk();
  const sent: EnrollRequest[] = [];
  const unreachable: EnrolmentNetwork = { ...networkTo(world), enroll: () => Promise.reject(new LostReply()) };
  await assert.rejects(run(world, await joinLineFor(world), state, unreachable), LostReply);
  const [kept] = await state.fs.list('/state/identity');
  await run(world, await joinLineFor(world), state, networkTo(world, sent));
  assert.match(kept ?? '', /^pending-[0-9a-f]{20}\.pem$/);
  assert.deepEqual(await state.fs.list('/state/identity'), ['anchors.json', 'chain.pem', 'key.pem']);
});

test('a power cut anywhere: the same line goes on, and one certificate is made', async () => {
  let cuts = 0;
  for (let seed = 1; seed <= 3; seed++) {
    for (let cut = 1; ; cut++) {
      const world = await newWorld();
      const line = await joinLineFor(world);
      const disk = newDisk(seed);
      disk.fs.cutAfter(cut);
      const done = await run(world, line, disk).then(
        () => true,
        (error: unknown) => {
          if (error instanceof PowerCutError) return false;
          throw error;
        },
      );
      const state = { ...disk, fs: disk.fs.restart() };
      const identity = await run(world, line, state).catch((error: unknown) => {
        assert.ok(coded('CA_IDENTITY_EXISTS')(error));
        return loadIdentity(state);
      });
      assert.equal(world.enrolled.length, 1);
      assert.equal(identity.leaf.serialHex, world.enrolled[0]?.serial);
      assert.deepEqual(await state.fs.list('/state/identity'), ['anchors.json', 'chain.pem', 'key.pem']);
      await world.ports.database.close();
      if (done) break;
      cuts++;
    }
  }
  assert.ok(cuts > 30, `${cuts} cuts`);
});

test('a full disk before the request: nothing is sent', async () => {
  const world = await newWorld();
  const state = newDisk();
  state.fs.setFreeBytes(10);
  const sent: EnrollRequest[] = [];
  await assert.rejects(run(world, await joinLineFor(world), state, networkTo(world, sent)), coded('FILE_SYSTEM_FULL'));
  assert.equal(sent.length, 0);
});

test('the secret is not sent to a server that the join line does not pin', async () => {
  const world = await newWorld();
  const line = await joinLineFor(world);
  const impostor = makeAuthority(trustDomain, world.clock, randomBytes);
  const [leaf, intermediate] = impostor.serverChain;
  const { raw: root } = world.authority.root.certificate;
  const { raw: ours } = world.authority.intermediate.certificate;
  assert.ok(leaf !== undefined && intermediate !== undefined);
  const chains: Buffer[][] = [
    [],
    [...impostor.serverChain],
    // The right root, which anybody can copy, under a chain that does not lead to it.
    [leaf, intermediate, root],
    [leaf, ours, root],
    [root],
    [named(world.authority, 'device', 'plc-9'), ours, root],
    [named(world.authority, 'control', 'other'), ours, root],
  ];
  for (const chain of chains) {
    const sent: EnrollRequest[] = [];
    const network = { ...networkTo(world, sent), presentedChain: async () => chain };
    await assert.rejects(run(world, line, newDisk(), network), coded('CA_SERVER_UNTRUSTED'));
    assert.equal(sent.length, 0);
  }
});

test('a server that changes between the two connections gets nothing', async () => {
  const world = await newWorld();
  const line = await joinLineFor(world);
  const impostor = makeAuthority(trustDomain, world.clock, randomBytes);
  let reached = false;
  const network: EnrolmentNetwork = {
    ...networkTo(world),
    enroll: async (_address, _root, verifyServer) => {
      verifyServer(impostor.serverChain);
      reached = true;
      throw new LostReply();
    },
  };
  await assert.rejects(run(world, line, newDisk(), network), coded('CA_SERVER_UNTRUSTED'));
  assert.equal(reached, false);
});

test('a clock that is wrong says so', async () => {
  const world = await newWorld();
  const line = await joinLineFor(world);
  world.clock.set(world.clock.now() - 365 * 86_400_000);
  await assert.rejects(run(world, line, newDisk()), coded('IDENTITY_NOT_YET_VALID'));
  world.clock.set(world.clock.now() + 3 * 365 * 86_400_000);
  await assert.rejects(run(world, line, newDisk()), coded('IDENTITY_EXPIRED'));
});

test('an answer that does not verify is not stored', async () => {
  const world = await newWorld();
  const other = makeAuthority('other.example', world.clock, randomBytes);
  const changes: ((answer: EnrollResponse) => void)[] = [
    (answer) => (answer.certificateChainDer = []),
    (answer) => answer.certificateChainDer.pop(),
    (answer) => (answer.spiffeId = `spiffe://${trustDomain}/device/plc-2`),
    (answer) => (answer.certificateChainDer[0] = new Uint8Array(named(world.authority, 'device', 'plc-1'))),
    (answer) => delete answer.anchors,
    (answer) => answer.anchors && (answer.anchors.trustDomain = 'other.example'),
    (answer) => answer.anchors && (answer.anchors.rootCertificatesDer = []),
    (answer) => answer.anchors && (answer.anchors.rootCertificatesDer = [new Uint8Array(other.root.certificate.raw)]),
    (answer) => answer.anchors && (answer.anchors.ordersKeysJwk = ['{}']),
    (answer) => answer.anchors && (answer.anchors.logVerifierKey = 'x'),
  ];
  for (const change of changes) {
    const line = await joinLineFor(world, 'plc-1', true);
    const real = networkTo(world);
    const network: EnrolmentNetwork = {
      ...real,
      enroll: async (...args) => {
        const answer = await real.enroll(...args);
        change(answer);
        return answer;
      },
    };
    const state = newDisk();
    await assert.rejects(run(world, line, state, network), coded('CA_ANSWER_INVALID'), String(change));
    await assert.rejects(loadIdentity(state), coded('CA_IDENTITY_ABSENT'));
    // The server was right in the end: the same line still works.
    await run(world, line, state);
  }
});

test('an answer cannot swap the pinned authority for another of the same name', async () => {
  const world = await newWorld();
  const impostor = makeAuthority(trustDomain, world.clock, randomBytes);
  const real = networkTo(world);
  const network: EnrolmentNetwork = {
    ...real,
    enroll: async (address, root, verify, request) => {
      const answer = await real.enroll(address, root, verify, request);
      assert.ok(answer.anchors);
      answer.anchors.rootCertificatesDer = [new Uint8Array(impostor.root.certificate.raw)];
      const leaf = named(impostor, 'device', 'plc-1', parseCsr(request.csrDer).publicKey);
      answer.certificateChainDer = [leaf, impostor.intermediate.certificate.raw].map((der) => new Uint8Array(der));
      return answer;
    },
  };
  await assert.rejects(run(world, await joinLineFor(world), newDisk(), network), coded('CA_ANSWER_INVALID'));
});

test('another trust domain’s root cannot stand in for the one in the line', async () => {
  const world = await newWorld();
  const other = await newWorld({
    authority: makeAuthority('other.example', world.clock, randomBytes),
    clock: world.clock,
  });
  const line = parseJoinLine(await joinLineFor(world));
  const mixed = formatJoinLine({ ...line, rootFingerprint: fingerprint(other.authority.root.certificate.raw) });
  await assert.rejects(run(world, mixed, newDisk(), networkTo(other)), coded('CA_SERVER_UNTRUSTED'));
});

/** A certificate that the authority never recorded; for another key if none is given. */
function named(authority: Authority, kind: string, name: string, publicKey = generateKey().publicKey): Buffer {
  const issuer = authority.intermediate.certificate;
  return issueCertificate(
    {
      profile: 'leaf',
      serialHex: newSerial(randomBytes),
      publicKey,
      issuer,
      spiffeId: `spiffe://${trustDomain}/${kind}/${name}`,
      ...validityFor(issuer.notBefore + 600_000, 86_400, issuer),
    },
    authority.intermediate.key,
  );
}
