import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { sampleNow } from '../repository/sample-tree.ts';
import type { EdgePolicyStatus, PolicyStatus } from './acknowledgements.ts';
import { openPublications, publishSample } from './sample-publication.ts';

const edge = (status: PolicyStatus, id: string): EdgePolicyStatus => {
  const found = status.edges.find((candidate) => candidate.deviceId === id);
  assert.ok(found, id);
  return found;
};

forEachDatabase((name, open) => {
  test(`${name}: the status shows what every edge says it enforces`, async () => {
    const db = await open();
    const { publications, clock } = await openPublications(db);
    assert.deepEqual(await publications.status(), {
      version: 0,
      commit: '',
      author: '',
      digest: '',
      publisherKeyId: '',
      publishedAt: 0,
      edges: [],
    });
    const sealed = await publishSample(publications, 1);
    const digest = sealed.release.manifests['plc-1'] ?? '';
    await clock.advance(1_000);
    const ack = { version: 1, digest, selfTest: { vectors: 7, passed: 7 } };
    assert.equal(await publications.recordAck('plc-1', ack), 'recorded');
    const status = await publications.status();
    assert.equal(status.version, 1);
    assert.equal(status.author, 'Ada <ada@plant.example>');
    assert.deepEqual(
      status.edges.map(({ deviceId, enforcedVersion }) => [deviceId, enforcedVersion]),
      [
        ['desk-1', 0],
        ['gateway-1', 0],
        ['hmi-1', 0],
        ['plc-1', 1],
      ],
    );
    assert.deepEqual(edge(status, 'plc-1'), {
      deviceId: 'plc-1',
      enforcedVersion: 1,
      enforcedDigest: digest,
      acknowledgedAt: sampleNow + 1_000,
      selfTestVectors: 7,
      selfTestPassed: 7,
      nackCode: '',
      nackMessage: '',
      nackVersion: 0,
    });
    await db.close();
  });

  test(`${name}: a refusal shows beside what stays in force, until the version or a newer one is activated`, async () => {
    const db = await open();
    const { publications } = await openPublications(db);
    const first = await publishSample(publications, 1);
    const second = await publishSample(publications, 2);
    const digests = [first, second].map((sealed) => sealed.release.manifests['plc-1'] ?? '');
    await publications.recordAck('plc-1', { version: 1, digest: digests[0] ?? '' });
    const nack = { version: 2, code: 'ENGINE_SLICE_INVALID', message: `grants/cell.yaml:7: ${'x'.repeat(5000)}` };
    await publications.recordNack('plc-1', nack);
    await publications.recordAck('plc-1', { version: 1, digest: digests[0] ?? '' });
    const refused = edge(await publications.status(), 'plc-1');
    assert.deepEqual([refused.enforcedVersion, refused.nackVersion, refused.nackCode], [1, 2, 'ENGINE_SLICE_INVALID']);
    assert.match(refused.nackMessage, /^grants\/cell\.yaml:7: x+$/);
    assert.ok(refused.nackMessage.length <= 1024);
    await publications.recordAck('plc-1', { version: 2, digest: digests[1] ?? '' });
    const activated = edge(await publications.status(), 'plc-1');
    assert.deepEqual([activated.enforcedVersion, activated.nackVersion, activated.nackCode], [2, 0, '']);
    await db.close();
  });

  test(`${name}: a bundle that was never published for the device does not count as enforced`, async () => {
    const db = await open();
    const { publications } = await openPublications(db);
    const sealed = await publishSample(publications, 1);
    const foreign = sealed.release.manifests['hmi-1'] ?? '';
    for (const ack of [
      { version: 1, digest: foreign },
      { version: 9, digest: 'f'.repeat(64) },
    ]) {
      assert.equal(await publications.recordAck('plc-1', ack), 'unknown');
      const shown = edge(await publications.status(), 'plc-1');
      assert.deepEqual([shown.enforcedVersion, shown.nackCode], [0, 'POLICY_ACK_UNKNOWN']);
      assert.match(shown.nackMessage, new RegExp(ack.digest));
    }
    await db.close();
  });

  test(`${name}: an edge that was reset enforces nothing, and a device that left the inventory still shows`, async () => {
    const db = await open();
    const { publications } = await openPublications(db);
    const sealed = await publishSample(publications, 1);
    await publications.recordAck('plc-1', { version: 1, digest: sealed.release.manifests['plc-1'] ?? '' });
    await publications.recordAck('plc-1', { version: 0, digest: '' });
    await publications.recordNack('gone-1', { version: 1, code: 'BUNDLE_EXPIRED', message: '' });
    const status = await publications.status();
    assert.equal(edge(status, 'plc-1').enforcedVersion, 0);
    assert.equal(edge(status, 'gone-1').nackCode, 'BUNDLE_EXPIRED');
    await db.close();
  });

  test(`${name}: an edge that comes back after its manifest was forgotten still enforces what it did`, async () => {
    const db = await open();
    const { publications } = await openPublications(db);
    const sealed = await publishSample(publications, 1);
    const ack = { version: 1, digest: sealed.release.manifests['plc-1'] ?? '' };
    await publications.recordAck('plc-1', ack);
    for (let version = 2; version <= 18; version += 1) await publishSample(publications, version);
    assert.equal(await publications.recordAck('plc-1', ack), 'recorded');
    assert.equal(
      await publications.recordAck('hmi-1', { ...ack, digest: sealed.release.manifests['hmi-1'] ?? '' }),
      'unknown',
    );
    await db.close();
  });
});
