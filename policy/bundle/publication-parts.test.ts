import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_CHUNK_BYTES, MAX_PUBLICATION_BYTES, MAX_PUBLICATION_PARTS } from '../limits.ts';
import { cutPublication, joinPublication } from './publication-parts.ts';
import { digestOf } from './signed-json.ts';

const store = new Map<string, Uint8Array>();
const read = (digest: string): Promise<Uint8Array | undefined> => Promise.resolve(store.get(digest));
const put = (text: string): string => {
  const content = Buffer.from(text);
  store.set(digestOf(content), content);
  return digestOf(content);
};

test('joined parts are the publication again, and none is larger than a chunk', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.array(fc.string()), fc.nat(700_000), async (release, manifests, length) => {
      const document = { release: release + 'ä'.repeat(length), manifests };
      const parts = cutPublication(document);
      for (const { digest, content } of parts) {
        assert.ok(content.length > 0 && content.length <= MAX_CHUNK_BYTES);
        assert.equal(digest, digestOf(content));
        store.set(digest, content);
      }
      const joined = await joinPublication(
        parts.map(({ digest }) => digest),
        read,
      );
      assert.deepEqual(joined, document);
    }),
    { numRuns: 30 },
  );
});

test('parts that are missing, in another order, too many or something else are refused', async () => {
  const parts = cutPublication({ release: 'r'.repeat(MAX_CHUNK_BYTES), manifests: [] });
  for (const { digest, content } of parts) store.set(digest, content);
  const digests = parts.map(({ digest }) => digest);
  assert.equal(digests.length, 2);
  const refused = (given: readonly string[], code: string): Promise<void> =>
    assert.rejects(joinPublication(given, read), { code });
  await refused(['0'.repeat(64)], 'POLICY_CHUNK_MISSING');
  await refused(digests.toReversed(), 'POLICY_RELEASE_INVALID');
  await refused(digests.slice(0, 1), 'POLICY_RELEASE_INVALID');
  await refused([], 'POLICY_RELEASE_INVALID');
  for (const text of [
    'null',
    '{"release":"r"}',
    '{"release":"r","manifests":[1]}',
    '{"release":"","manifests":[],"x":1}',
  ]) {
    await refused([put(text)], 'POLICY_RELEASE_INVALID');
  }
  await refused(
    Array.from({ length: MAX_PUBLICATION_PARTS + 1 }, () => digests[0] ?? ''),
    'POLICY_PUBLICATION_TOO_LARGE',
  );
  assert.throws(() => cutPublication({ release: 'r'.repeat(MAX_PUBLICATION_BYTES), manifests: [] }), {
    code: 'POLICY_PUBLICATION_TOO_LARGE',
  });
});
