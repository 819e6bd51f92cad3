// What an edge tells those that hold a copy of its identity: a renewal counts at once.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { storeEnrolled } from '../../ca/edge/identity-directory.ts';
import { trustAnchorsFromWire } from '../../identity/index.ts';
import { EnrollResponseSchema } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { openDatabase } from '../../store/database.ts';
import { nodeFiles } from '../../store/files.ts';
import { enrolDevice, openTestCa, verified } from '../../test/ca/support.ts';
import { openOwnIdentity } from './identity.ts';

test('who follows is told when a renewed SVID is in force, and not of one that was refused', async (t) => {
  const world = await openTestCa(await openDatabase('sqlite::memory:'));
  const { keys, chain } = await enrolDevice(world, 'plc-1');
  const path = mkdtempSync(join(tmpdir(), 'ew-identity-'));
  t.after(() => rmSync(path, { recursive: true }));
  const state = { fs: nodeFiles, path };
  await nodeFiles.mkdir(join(path, 'identity'));
  await storeEnrolled(state, keys, chain, trustAnchorsFromWire((await world.ca.trustAnchors()).anchors));
  const own = await openOwnIdentity(state);
  const seen: string[] = [];
  own.follow(() => seen.push(own.current().leaf.serialHex));
  await world.clock.advance(7 * 86_400_000);
  const renewal = own.renewal(world.clock);

  const csrDer = await renewal.createRequest();
  const foreign = create(EnrollResponseSchema, {
    certificateChainDer: chain.map((der) => new Uint8Array(der)),
    spiffeId: own.current().id.uri,
  });
  await assert.rejects(renewal.accept(foreign), 'a certificate for another key');
  assert.deepEqual(seen, []);

  const { chain: renewed, id } = await world.ca.renew({ svid: verified(world, chain), csrDer, peer: 'test' });
  const certificateChainDer = renewed.map((der) => new Uint8Array(der));
  await renewal.accept(create(EnrollResponseSchema, { certificateChainDer, spiffeId: id.uri }));
  assert.deepEqual(seen, [own.current().leaf.serialHex]);
  assert.ok(own.current().leaf.raw.equals(renewed[0] ?? Buffer.alloc(0)));
});
