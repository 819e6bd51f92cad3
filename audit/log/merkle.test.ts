import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { emptyRoot, Frontier } from './merkle.ts';

const sha = (...parts: Uint8Array[]): Buffer => {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return digest.digest();
};

/** RFC 6962 section 2.1, word for word: split at the largest power of two smaller than n. */
function naiveRoot(leaves: Uint8Array[]): Buffer {
  if (leaves.length === 0) return sha();
  if (leaves.length === 1) return Buffer.from(leaves[0] as Uint8Array);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha(Uint8Array.of(1), naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
}

// The leaves and roots of the certificate-transparency reference implementation's tests.
const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const roots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

test('roots of the certificate-transparency reference leaves', () => {
  const frontier = Frontier.empty();
  assert.deepEqual(frontier.root(), emptyRoot);
  for (const [at, leaf] of leaves.entries()) {
    frontier.append(sha(Uint8Array.of(0), Buffer.from(leaf, 'hex')));
    assert.equal(frontier.root().toString('hex'), roots[at]);
  }
});

test('agrees with the definition at every size, also when stored and resumed in between', () => {
  const leaf = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(fc.array(leaf, { maxLength: 70 }), fc.nat(70), (list, resumeAt) => {
      let frontier = Frontier.empty();
      for (const [at, item] of list.entries()) {
        if (at === resumeAt) frontier = Frontier.fromBytes(frontier.size, frontier.toBytes());
        frontier.append(item);
      }
      assert.deepEqual(frontier.root(), naiveRoot(list));
      assert.equal(frontier.size, list.length);
    }),
  );
});

test('a frontier that does not fit its size is refused', () => {
  assert.throws(() => Frontier.fromBytes(3, new Uint8Array(32)), RangeError);
  assert.throws(() => Frontier.fromBytes(0, new Uint8Array(32)), RangeError);
  assert.throws(() => Frontier.empty().append(new Uint8Array(31)), RangeError);
});

test('sizes beyond 2^32 keep their digits', () => {
  const size = 2 ** 40 + 1;
  const frontier = Frontier.fromBytes(size, new Uint8Array(64));
  frontier.append(new Uint8Array(32));
  assert.equal(frontier.size, 2 ** 40 + 2);
  assert.equal(frontier.toBytes().length, 64);
});
