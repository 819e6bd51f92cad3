import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { generateKey, keyId } from '../../identity/index.ts';
import { digestOf, knownFeatures, openBundle, RELEASE_TYPE, releaseSchema, verifyDocument } from '../bundle/index.ts';
import { joinPublication } from '../bundle/publication-parts.ts';
import { publish } from './publish.ts';
import type { PublicationClient, PublishOptions, PublishStep } from './publish.ts';
import { sampleGit } from './sample-git.ts';
import type { SampleGit } from './sample-git.ts';
import { preparedCompiler, regoFiles } from './rego/sample-rego.ts';
import { sampleFiles, sampleNow } from './sample-tree.ts';

const { privateKey } = generateKey();
const publisherKey = { key: privateKey, keyId: keyId(privateKey) };
const publisherKeys = [createPublicKey(privateKey)];

/** Takes everything, as a control plane that has version 4 in force. */
class FakeControlPlane implements PublicationClient {
  readonly chunks = new Map<string, Uint8Array>();
  readonly completed: Parameters<PublicationClient['complete']>[0][] = [];
  trustDomain = 'plant.example';
  failUploads = false;

  begin(): Promise<{ version: number; trustDomain: string }> {
    return Promise.resolve({ version: 5, trustDomain: this.trustDomain });
  }

  missing(digests: readonly string[]): Promise<string[]> {
    return Promise.resolve(digests.filter((digest) => !this.chunks.has(digest)));
  }

  upload({ digest, content }: { digest: string; content: Uint8Array }): Promise<void> {
    if (this.failUploads) return Promise.reject(new Error('the link is gone'));
    this.chunks.set(digest, content);
    return Promise.resolve();
  }

  complete(publication: Parameters<PublicationClient['complete']>[0]): Promise<void> {
    this.completed.push(publication);
    return Promise.resolve();
  }
}

function optionsFor(repository: SampleGit, client: PublicationClient): PublishOptions {
  const clock = new FakeClock(sampleNow);
  const { directory: source, temporary: temporaryDirectory } = repository;
  return { source, publisherKey, client, clock, temporaryDirectory, findRegoCompiler: () => preparedCompiler };
}

test('a clean commit becomes a signed release and a bundle that every device can open', async () => {
  using repository = sampleGit();
  const control = new FakeControlPlane();
  const steps: PublishStep[] = [];
  const result = await publish({ ...optionsFor(repository, control), onStep: (step) => steps.push(step) });
  assert.equal(result.outcome, 'published');
  assert.deepEqual(steps, ['read', 'lint', 'test', 'build', 'upload', 'complete']);
  const [completed] = control.completed;
  assert.ok(completed && result.outcome === 'published');
  const refuse = (_: string, message: string): never => assert.fail(message);
  const release = await verifyDocument(completed.release, RELEASE_TYPE, publisherKeys, releaseSchema, refuse);
  assert.equal(release.value.commit, repository.git('rev-parse', 'HEAD'));
  assert.equal(release.value.author, 'Ada Example <ada@plant.example>');
  assert.equal(result.publication.digest, digestOf(completed.release));
  assert.equal(result.publication.tests, 2);
  const devices = ['desk-1', 'gateway-1', 'hmi-1', 'plc-1'];
  assert.deepEqual(Object.keys(release.value.manifests).sort(), devices);
  for (const [index, deviceId] of devices.entries()) {
    const manifestJws: string = completed.manifests[index] ?? '';
    assert.equal(release.value.manifests[deviceId], digestOf(manifestJws));
    const bundle = await openBundle({
      manifestJws,
      chunkByDigest: (digest) => Promise.resolve(control.chunks.get(digest)),
      publisherKeys,
      trustDomain: 'plant.example',
      deviceId,
      minimumVersion: 4,
      now: sampleNow,
      knownFeatures,
    });
    assert.equal(bundle.manifest.version, 5);
    assert.equal(bundle.manifest.softExpiry, sampleNow + 24 * 3_600_000);
    assert.equal(bundle.manifest.hardExpiry, sampleNow + 7 * 24 * 3_600_000);
  }
});

test('chunks that several devices share are sent once', async () => {
  using repository = sampleGit();
  const control = new FakeControlPlane();
  let uploads = 0;
  const missing = (digests: readonly string[]): Promise<string[]> => control.missing(digests);
  const upload = (chunk: { digest: string; content: Uint8Array }): Promise<void> => {
    uploads += 1;
    return FakeControlPlane.prototype.upload.call(control, chunk);
  };
  await publish(
    optionsFor(repository, { begin: () => control.begin(), complete: (all) => control.complete(all), missing, upload }),
  );
  assert.equal(uploads, control.chunks.size);
});

test('published again after a change of one device, only chunks of slices that changed are sent', async () => {
  using repository = sampleGit();
  const control = new FakeControlPlane();
  const first = await publish(optionsFor(repository, control));
  assert.ok(first.outcome === 'published');
  assert.equal(first.publication.uploaded, first.publication.chunks);
  const again = await publish(optionsFor(repository, control));
  assert.ok(again.outcome === 'published');
  assert.deepEqual([again.publication.uploaded, again.publication.chunks], [0, first.publication.chunks]);
  const before = new Set(control.chunks.keys());
  const inventory = sampleFiles['inventory/cell.yaml'] ?? '';
  // The panel's, which its only client knows, and nobody else.
  const moved = inventory.replace('address: 10.77.0.13', 'address: 10.77.0.99');
  assert.notEqual(moved, inventory);
  repository.write('inventory/cell.yaml', moved);
  repository.commit('Move the panel');
  const changed = await publish(optionsFor(repository, control));
  assert.ok(changed.outcome === 'published');
  const sent = [...control.chunks].filter(([digest]) => !before.has(digest));
  assert.equal(changed.publication.uploaded, sent.length);
  assert.equal(sent.length, 2, 'one list of devices in the slice of the panel, one in that of its client');
  for (const [, content] of sent) assert.match(Buffer.from(content).toString('utf8'), /10\.77\.0\.99/);
});

test('what is too large for one message is completed in parts', async () => {
  const devices = Array.from({ length: 1_400 }, (_, index) => `  - {id: camera-${index}, labels: {role: camera}}\n`);
  using repository = sampleGit({ ...sampleFiles, 'inventory/cameras.yaml': `devices:\n${devices.join('')}` });
  const control = new FakeControlPlane();
  const result = await publish(optionsFor(repository, control));
  assert.equal(result.outcome, 'published');
  const [completed] = control.completed;
  assert.ok(completed !== undefined && completed.parts.length > 1);
  assert.deepEqual([completed.release, completed.manifests], ['', []]);
  const { manifests } = await joinPublication(completed.parts, (digest) => Promise.resolve(control.chunks.get(digest)));
  assert.equal(manifests.length, 1_404);
});

/** Nothing may reach the control plane of a commit that is not in order. */
function untouched(): PublicationClient {
  const never = (): never => assert.fail('the control plane was called');
  return { begin: never, missing: never, upload: never, complete: never };
}

test('a commit with a lint error is not published', async () => {
  using repository = sampleGit({ ...sampleFiles, 'edgeward.yaml': 'format: 1\ntrustdomain: plant.example\n' });
  const result = await publish(optionsFor(repository, untouched()));
  assert.ok(result.outcome === 'invalid');
  assert.ok(result.problems.some(({ place }) => place.file === 'edgeward.yaml' && place.line === 2));
});

test('a commit with Rego packages is published with opa alone, and only when its Rego tests pass', async () => {
  using repository = sampleGit(regoFiles);
  const without = await publish({ ...optionsFor(repository, untouched()), findRegoCompiler: () => undefined });
  assert.ok(without.outcome === 'invalid');
  assert.deepEqual(
    without.problems.map(({ rule }) => rule),
    ['POLICY_REGO_UNAVAILABLE'],
  );
  const place = { file: 'rego/hours/hours_test.rego', line: 7 };
  const failing = { ...preparedCompiler, test: () => ({ passed: 0, problems: [{ place, message: 'not true' }] }) };
  const failed = await publish({ ...optionsFor(repository, untouched()), findRegoCompiler: () => failing });
  assert.ok(failed.outcome === 'invalid');
  assert.deepEqual(
    failed.problems.map(({ message }) => message),
    ['not true'],
  );
  const published = await publish(optionsFor(repository, new FakeControlPlane()));
  assert.equal(published.outcome, 'published');
});

test('a commit whose tests fail is not published', async () => {
  const tests = (sampleFiles['tests/cell.yaml'] ?? '').replace('then: allow', 'then: deny');
  using repository = sampleGit({ ...sampleFiles, 'tests/cell.yaml': tests });
  const result = await publish(optionsFor(repository, untouched()));
  assert.ok(result.outcome === 'tests-failed');
  assert.deepEqual(
    result.tests.results.map((entry) => entry.ok),
    [false, true],
  );
});

test('a dirty tree is not published', async () => {
  using repository = sampleGit();
  repository.write('grants/cell.yaml', 'grants: []\n');
  await assert.rejects(publish(optionsFor(repository, untouched())), { code: 'POLICY_TREE_DIRTY' });
});

test('the control plane of another trust domain gets nothing', async () => {
  using repository = sampleGit();
  const control = new FakeControlPlane();
  control.trustDomain = 'other.example';
  await assert.rejects(publish(optionsFor(repository, control)), { code: 'POLICY_TRUST_DOMAIN_MISMATCH' });
  assert.equal(control.chunks.size, 0);
});

test('an upload that fails completes nothing', async () => {
  using repository = sampleGit();
  const control = new FakeControlPlane();
  control.failUploads = true;
  await assert.rejects(publish(optionsFor(repository, control)), /the link is gone/);
  assert.deepEqual(control.completed, []);
});
