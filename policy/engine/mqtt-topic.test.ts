// Topic filters against a brute-force oracle: every filter over a small alphabet, every topic that could tell two of them
// apart, matching by regular expressions, which the engine has none of.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containsFilter, overlapsFilters } from './mqtt-contains.ts';
import {
  intersectTopicFilters,
  isTopicLevel,
  readPolicyFilter,
  readTopicFilter,
  readTopicName,
  topicFilterFault,
} from './mqtt-topic.ts';
import { createTopicTrie } from './topic-trie.ts';

const subject = 'dev';
const joined = (parts: readonly string[], depth: number): string[] =>
  depth === 1
    ? [...parts]
    : [...parts, ...joined(parts, depth - 1).flatMap((rest) => parts.map((part) => `${part}/${rest}`))];

/**
 * One level more than any filter has, and a text that no filter has. The empty text, which is no topic, is one here:
 * only without it `/#` would lie in `+/+/#`.
 */
const topics = [...new Set(joined(['', 'a', '$S', 'dev', 'xdev', 'z'], 4))];
const filters = [...new Set(joined(['', 'a', '$S', '+', '{device}', 'x{device}'], 3))]
  .flatMap((filter) => [filter, `${filter}/#`])
  .concat('#')
  .filter((filter) => filter !== '' && filter.split('/').length <= 3);

/** MQTT 5.0, 4.7: as a regular expression. */
function oracle(filter: string): RegExp {
  const text = filter
    .replaceAll('{device}', subject)
    .replaceAll('$', String.raw`\$`)
    .replaceAll('+', '[^/]*');
  const hidden = /^[+#]/.test(filter) ? String.raw`(?!\$)` : '';
  return new RegExp(`^${hidden}${text === '#' ? '.*' : text.replace(/\/#$/, '(/.*)?')}$`);
}

/** Which topics each filter matches, as a bit of each. */
const matchedBy = new Map(
  filters.map((filter): [string, bigint] => {
    const pattern = oracle(filter);
    return [filter, BigInt(`0b${topics.map((topic) => (pattern.test(topic) ? '1' : '0')).join('')}`)];
  }),
);
const bits = (filter: string): bigint => matchedBy.get(filter) ?? assert.fail(filter);
const read = (filter: string) => readPolicyFilter(filter) ?? assert.fail(filter);
const sent = (filter: string): string => filter.replaceAll('{device}', subject);

function trieOfAll() {
  const trie = createTopicTrie();
  for (const [index, filter] of filters.entries()) trie.add(read(filter), index);
  return trie;
}
const sorted = (indexes: Iterable<number>): number[] => [...new Set(indexes)].sort((a, b) => a - b);
const indexesWhere = (test: (filter: string) => boolean): number[] =>
  filters.flatMap((filter, index) => (test(filter) ? [index] : []));

test('mqtt: a topic is matched by the filters that the specification says', () => {
  const trie = trieOfAll();
  assert.ok(filters.length >= 300 && topics.length > 1_000);
  const patterns = filters.map(oracle);
  for (const topic of topics.filter((text) => text !== '')) {
    const wanted = patterns.flatMap((pattern, index) => (pattern.test(topic) ? [index] : []));
    assert.deepEqual(sorted(trie.containing(readTopicName(topic) ?? assert.fail(topic), subject)), wanted, topic);
  }
});

test('mqtt: a filter is contained in exactly those that match every topic it matches', () => {
  const trie = trieOfAll();
  for (const filter of filters) {
    const inner = bits(filter);
    const wanted = indexesWhere((outer) => (inner & ~bits(outer)) === 0n);
    const levels = readTopicFilter(sent(filter)) ?? assert.fail(filter);
    assert.deepEqual(sorted(trie.containing(levels, subject)), wanted, filter);
  }
});

test('mqtt: a filter touches those that share a topic with it, and at most those that only the server may publish under', () => {
  const trie = trieOfAll();
  for (const filter of filters) {
    const levels = readTopicFilter(sent(filter)) ?? assert.fail(filter);
    const found = new Set(trie.touching(levels, subject));
    for (const [index, other] of filters.entries()) {
      const shares = (bits(filter) & bits(other)) !== 0n;
      if (shares) assert.ok(found.has(index), `${filter} and ${other} share a topic`);
      else if (found.has(index)) assert.ok(hides(filter, other) || hides(other, filter), `${filter} touches ${other}`);
    }
  }
});

/** Only the rule about $ keeps them apart. */
const hides = (one: string, other: string): boolean => /^[+#]/.test(one) && other.startsWith('$');

test('mqtt: what two filters share is what their intersection matches', () => {
  const patterns = new Map<string, bigint>();
  const empty = BigInt(`0b${topics.map((topic) => (topic === '' ? '1' : '0')).join('')}`);
  for (const one of filters.map(sent)) {
    for (const other of ['a/+', '#', '+/#', 'a/#', '+/a/#', '$S/#', '/+', 'dev/+/z', 'a']) {
      const shared = intersectTopicFilters(one, other);
      const [a, b, both] = [one, other, shared].map((filter) => {
        if (filter === undefined) return 0n;
        const known = patterns.get(filter);
        if (known !== undefined) return known;
        const pattern = oracle(filter);
        const found = BigInt(`0b${topics.map((topic) => (pattern.test(topic) ? '1' : '0')).join('')}`);
        patterns.set(filter, found);
        return found;
      }) as [bigint, bigint, bigint];
      assert.equal(both & ~empty, a & b & ~empty, `${one} and ${other}: ${shared}`);
      assert.equal(shared, intersectTopicFilters(other, one));
    }
  }
  assert.equal(intersectTopicFilters('a#', 'a'), undefined);
});

test('mqtt: filters of a policy are compared for every subject at once', () => {
  // One more subject, whose id is a literal of no filter.
  const other = 'q';
  const matchedByOther = new Map(
    filters.map((filter): [string, bigint] => {
      const pattern = oracle(filter.replaceAll('{device}', other));
      const asked = topics.map((topic) => topic.replaceAll('dev', other));
      return [filter, BigInt(`0b${asked.map((topic) => (pattern.test(topic) ? '1' : '0')).join('')}`)];
    }),
  );
  for (const one of filters) {
    for (const two of filters) {
      const [a, b] = [matchedByOther.get(one) ?? 0n, matchedByOther.get(two) ?? 0n];
      assert.equal(containsFilter(read(one), read(two)), (b & ~a) === 0n, `${one} contains ${two}`);
      if ((a & b) !== 0n) assert.ok(overlapsFilters(read(one), read(two)), `${one} overlaps ${two}`);
    }
  }
  assert.ok(overlapsFilters(read('a/{device}'), read('a/xyz')));
  assert.ok(!overlapsFilters(read('a/x{device}'), read('a/yz')));
  assert.ok(!overlapsFilters(read('a/{device}'), read('b/+')));
});

test('mqtt: an id that is a wildcard or several levels stands for nothing, and spares nothing from a deny', () => {
  const trie = createTopicTrie();
  trie.add(read('a/{device}'), 0);
  for (const id of ['', '+', '#', 'b/c', '$S', 'x\0', '\ud800', 'a#']) {
    assert.ok(!isTopicLevel(id), id);
    assert.deepEqual(trie.containing(['a', id], id), [], id);
    assert.deepEqual(trie.touching(['a', 'b'], id), [0], id);
  }
  assert.deepEqual(trie.containing(['a', 'dev'], 'dev'), [0]);
  assert.deepEqual(trie.touching(['a', 'b'], 'dev'), []);
});

test('mqtt: what is no topic, no filter, or a shared subscription is refused', () => {
  for (const text of ['', 'a\0', '\ud800', '$share/x/t', '$share', 'a'.repeat(65_536), '/'.repeat(200), 7, undefined]) {
    assert.equal(readTopicName(text), undefined);
    assert.equal(readTopicFilter(text), undefined);
  }
  for (const text of ['a+', 'a/#/b', '##', 'a#', '+a/b']) {
    assert.equal(readTopicName(text), undefined);
    assert.equal(readTopicFilter(text), undefined);
  }
  assert.equal(readTopicName('a/+'), undefined);
  assert.deepEqual(readTopicFilter('a/+'), ['a', '+']);
  assert.deepEqual(readTopicName('$SYS/x'), ['$SYS', 'x']);
  assert.deepEqual(readTopicName('/'), ['', '']);
});

test('mqtt: a filter of a policy says what is wrong with it', () => {
  const faults: Record<string, RegExp> = {
    '$share/x/t': /named by shares/,
    'a/{devices}/b': /no braces/,
    'a/#/b': /whole last one/,
    'a/{device}+': /whole level/,
    [`${'a/'.repeat(200)}b`]: /levels/,
    'a\0': /U\+0000/,
  };
  for (const [filter, wanted] of Object.entries(faults)) assert.match(topicFilterFault(filter) ?? '', wanted);
  assert.equal(topicFilterFault('a/{device}/+/x-{device}/#'), undefined);
});
