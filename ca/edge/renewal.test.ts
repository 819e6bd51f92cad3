// Renewal on the device: when, with which key, and whole or not at all.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { issueCertificate, newSerial, parseCsr, trustAnchorsFromWire, validityFor } from '../../identity/index.ts';
import { type EnrollResponse, EnrollResponseSchema } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { openDatabase } from '../../store/database.ts';
import { PowerCutError, SimulatedFiles } from '../../store/simulated-files.ts';
import { coded, enrolDevice, openTestCa, type TestCa, verified } from '../../test/ca/support.ts';
import { abandonRenewal, loadIdentity, type StateDirectory, storeEnrolled } from './identity-directory.ts';
import { prepareRenewal, renewalDue, renewalTime, saveRenewed } from './renewal.ts';

interface Device {
  readonly world: TestCa;
  readonly state: StateDirectory & { fs: SimulatedFiles };
}

async function enrolledDevice(seed = 1): Promise<Device> {
  const world = await openTestCa(await openDatabase('sqlite::memory:'));
  const { keys, chain } = await enrolDevice(world, 'plc-1');
  const state = { fs: new SimulatedFiles({ seed }), path: '/state' };
  await state.fs.mkdir('/state/identity');
  await storeEnrolled(state, keys, chain, trustAnchorsFromWire((await world.ca.trustAnchors()).anchors));
  await loadIdentity(state);
  return { world, state };
}

/** What the control plane answers to the device as it is now. */
async function answer({ world, state }: Device): Promise<EnrollResponse> {
  const { chain: current } = await loadIdentity(state);
  const { csrDer } = await prepareRenewal(state);
  const { chain, id } = await world.ca.renew({ svid: verified(world, current), csrDer, peer: 'test' });
  const certificateChainDer = chain.map((der) => new Uint8Array(der));
  return create(EnrollResponseSchema, { certificateChainDer, spiffeId: id.uri });
}

test('the renewed pair replaces the old one', async () => {
  const device = await enrolledDevice();
  const { world, state } = device;
  const before = await loadIdentity(state);
  await world.clock.advance(7 * 86_400_000);
  const after = await saveRenewed(state, await answer(device), world.clock);
  assert.equal(after.id.uri, before.id.uri);
  assert.ok(!after.keys.publicKey.equals(before.keys.publicKey));
  assert.ok(after.leaf.notAfter > before.leaf.notAfter);
  const restarted = await loadIdentity({ ...state, fs: state.fs.restart() });
  assert.ok(restarted.leaf.raw.equals(after.leaf.raw));
  assert.deepEqual(restarted.chain, after.chain);
});

test('an interrupted renewal is asked for again with the same key, until it is given up', async () => {
  const { state } = await enrolledDevice();
  const keyOf = async () => parseCsr((await prepareRenewal(state)).csrDer).publicKeyDer.toString('hex');
  const first = await keyOf();
  assert.equal(await keyOf(), first);
  await abandonRenewal(state);
  assert.notEqual(await keyOf(), first);
});

test('a power cut anywhere leaves a whole pair: the old one or the new one, and renewal goes on', async () => {
  let cuts = 0;
  for (let seed = 1; seed <= 5; seed++) {
    for (let cut = 1; ; cut++) {
      const device = await enrolledDevice(seed);
      const { world, state } = device;
      const old = await loadIdentity(state);
      state.fs.cutAfter(cut);
      let renewed: EnrollResponse | undefined;
      const done = await (async () => {
        renewed = await answer(device);
        await saveRenewed(state, renewed, world.clock);
        return true;
      })().catch((error: unknown) => {
        if (error instanceof PowerCutError) return false;
        throw error;
      });
      const again = { world, state: { ...state, fs: state.fs.restart() } };
      const found = await loadIdentity(again.state);
      assert.ok(found.keys.publicKey.equals(found.leaf.publicKey));
      const isOld = found.leaf.raw.equals(old.leaf.raw);
      const isNew = renewed !== undefined && found.leaf.raw.equals(renewed.certificateChainDer[0] ?? new Uint8Array());
      assert.ok(isOld || isNew);
      if (done) assert.ok(isNew);
      if (isOld) {
        const retried = await saveRenewed(again.state, await answer(again), world.clock);
        if (renewed !== undefined)
          assert.ok(retried.leaf.raw.equals(renewed.certificateChainDer[0] ?? new Uint8Array()));
      }
      assert.deepEqual(await again.state.fs.list('/state/identity'), ['anchors.json', 'chain.pem', 'key.pem']);
      await world.ports.database.close();
      if (done) break;
      cuts++;
    }
  }
  assert.ok(cuts > 20, `${cuts} cuts`);
});

test('an answer for another key, another name, or from another authority is not stored', async () => {
  const device = await enrolledDevice();
  const { world, state } = device;
  const before = await loadIdentity(state);
  const good = await answer(device);
  const other = await enrolledDevice();
  const foreign = await answer(other);
  const second = await enrolDevice(world, 'plc-2');
  const { publicKey } = parseCsr((await prepareRenewal(state)).csrDer);
  const issuer = world.authority.intermediate;
  const renamed = issueCertificate(
    {
      profile: 'leaf',
      serialHex: newSerial(randomBytes),
      publicKey,
      issuer: issuer.certificate,
      spiffeId: second.svid.id.uri,
      ...validityFor(world.clock.now(), 86_400, issuer.certificate),
    },
    issuer.key,
  );
  const cases: Partial<EnrollResponse>[] = [
    { certificateChainDer: [] },
    {
      certificateChainDer: [renamed, issuer.certificate.raw].map((der) => new Uint8Array(der)),
      spiffeId: second.svid.id.uri,
    },
    { certificateChainDer: foreign.certificateChainDer },
    { certificateChainDer: before.chain.map((der) => new Uint8Array(der)) },
    { certificateChainDer: second.chain.map((der) => new Uint8Array(der)), spiffeId: second.svid.id.uri },
    { spiffeId: second.svid.id.uri },
  ];
  for (const change of cases) {
    const response = create(EnrollResponseSchema, { ...good, ...change });
    await assert.rejects(saveRenewed(state, response, world.clock), coded('CA_ANSWER_INVALID'));
    assert.ok((await loadIdentity(state)).leaf.raw.equals(before.leaf.raw));
  }
});

test('an identity whose files do not fit together is refused, and an absent one is absent', async () => {
  const { state } = await enrolledDevice();
  const other = await enrolledDevice();
  const take = async (from: Device['state'], name: string) => await from.fs.readFile(`/state/identity/${name}`, 65_536);
  const key = await take(state, 'key.pem');
  const put = async (name: string, bytes: Buffer) => {
    await state.fs.unlink(`/state/identity/${name}`);
    const file = await state.fs.open(`/state/identity/${name}`, 'create', 0o600);
    await file.append(bytes);
    await file.close();
  };
  await put('key.pem', await take(other.state, 'key.pem'));
  await assert.rejects(loadIdentity(state), coded('CA_IDENTITY_BROKEN'));
  await put('key.pem', key.subarray(0, 40));
  await assert.rejects(loadIdentity(state), coded('CA_IDENTITY_BROKEN'));
  await put('key.pem', key);
  await loadIdentity(state);
  await put('anchors.json', await take(other.state, 'anchors.json'));
  await assert.rejects(loadIdentity(state), coded('CA_IDENTITY_BROKEN'), 'the chain leads to other roots');
  await state.fs.unlink('/state/identity/chain.pem');
  await assert.rejects(loadIdentity(state), coded('CA_IDENTITY_BROKEN'));
  await state.fs.unlink('/state/identity/key.pem');
  await assert.rejects(loadIdentity(state), coded('CA_IDENTITY_ABSENT'));
});

test('an expired identity still loads: an edge starts without a network', async () => {
  const { world, state } = await enrolledDevice();
  await world.clock.advance(400 * 86_400_000);
  assert.equal((await loadIdentity(state)).id.name, 'plc-1');
});

test('renewal is due at half-life, a tenth of it to either side, the same for every caller', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), fc.integer({ min: 1000, max: 1e9 }), (bytes, life) => {
      const leaf = { notBefore: 1_000_000, notAfter: 1_000_000 + life, raw: Buffer.from(bytes) };
      const at = renewalTime(leaf);
      assert.ok(at >= leaf.notBefore + life * 0.45 - 1 && at <= leaf.notBefore + life * 0.55 + 1);
      assert.equal(renewalTime(leaf), at);
    }),
  );
});

test('a fleet that enrolled in one minute does not renew in one minute', async () => {
  const { state } = await enrolledDevice();
  const { leaf } = await loadIdentity(state);
  const times = Array.from({ length: 1000 }, (_, index) =>
    renewalTime({ ...leaf, raw: Buffer.from([index >> 8, index & 255]) }),
  );
  const spread = Math.max(...times) - Math.min(...times);
  assert.ok(spread > 0.09 * (leaf.notAfter - leaf.notBefore));
  assert.equal(renewalDue({ leaf }, renewalTime(leaf) - 1), false);
  assert.equal(renewalDue({ leaf }, renewalTime(leaf)), true);
});
