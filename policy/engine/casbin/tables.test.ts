// The tables under the engine against the plainest thing that can do the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Buckets } from './buckets.ts';
import { NO_ENTRY, NumberTable } from './number-table.ts';
import { type PathPattern, startOf, Starts } from './path-pattern.ts';
import { Paged } from './paged.ts';
import { PatternTrie } from './pattern-trie.ts';

const ascending = (numbers: readonly number[]): number[] => numbers.toSorted((a, b) => a - b);
const uint32 = fc.integer({ min: 0, max: 0xffffffff });

test('property: a number table is a map, and a copy does not follow it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 4 }),
      fc.array(
        fc.tuple(
          fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), uint32), { minLength: 4, maxLength: 4 }),
          fc.integer({ min: 1, max: 0xffffffff }),
        ),
        { maxLength: 120 },
      ),
      (width, entries) => {
        const table = new NumberTable(width);
        const map = new Map<string, number>();
        const keyOf = (numbers: readonly number[]): Uint32Array => Uint32Array.from(numbers.slice(0, width));
        const half = Math.floor(entries.length / 2);
        let copy = table.copy();
        let copied = new Map(map);
        for (const [at, [numbers, value]] of entries.entries()) {
          if (at === half) [copy, copied] = [table.copy(), new Map(map)];
          table.set(keyOf(numbers), value);
          map.set(keyOf(numbers).join(), value);
        }
        for (const [numbers] of entries) {
          assert.equal(table.get(keyOf(numbers)), map.get(keyOf(numbers).join()));
          assert.equal(copy.get(keyOf(numbers)), copied.get(keyOf(numbers).join()) ?? NO_ENTRY);
        }
      },
    ),
  );
});

test('property: pages are an array, and copies go their own ways', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(2), fc.nat(300), uint32), { maxLength: 120 }),
      fc.array(fc.nat(119), { maxLength: 2 }),
      (writes, copyAt) => {
        const numbers = [new Paged(7)];
        const arrays: number[][] = [[]];
        for (const [at, [which, index, value]] of writes.entries()) {
          if (copyAt.includes(at)) {
            numbers.push((numbers.at(-1) as Paged<number>).copy());
            arrays.push([...(arrays.at(-1) ?? [])]);
          }
          const one = which % numbers.length;
          numbers[one]?.set(index, value);
          (arrays[one] ?? [])[index] = value;
        }
        for (const [one, array] of arrays.entries()) {
          for (let index = 0; index <= 301; index++) assert.equal(numbers[one]?.get(index), array[index] ?? 7);
        }
      },
    ),
  );
});

test('property: buckets hold what was added and not removed', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(30), fc.boolean()), { maxLength: 200 }), (steps) => {
      const buckets = new Buckets();
      const places = Array.from({ length: 5 }, () => buckets.make());
      const lists: number[][] = places.map(() => []);
      for (const [which, line, add] of steps) {
        const list = lists[which] ?? [];
        if (add) {
          places[which] = buckets.add(places[which] ?? 0, line, line);
          list.push(line);
        } else {
          const at = list.indexOf(line);
          if (at !== -1) list.splice(at, 1);
          assert.equal(buckets.remove(places[which] ?? 0, line), at !== -1);
        }
      }
      for (const [which, list] of lists.entries()) {
        assert.deepEqual(ascending(buckets.lines(places[which] ?? 0)), ascending(list));
      }
    }),
  );
});

const segment = fc.constantFrom('a', 'b', 'cc', 'd');
const pattern: fc.Arbitrary<PathPattern> = fc.record({
  segments: fc.oneof(
    fc.array(fc.option(segment, { nil: undefined, freq: 2 }), { maxLength: 3 }),
    fc.array(fc.option(segment, { nil: undefined, freq: 2 }), { maxLength: 9 }),
  ),
  tail: fc.constantFrom(undefined, undefined, '', 'a', 'cc/d', 'c'),
  complete: fc.boolean(),
});
const value = fc
  .array(fc.oneof(segment, fc.constantFrom('', 'x', 'c')), { minLength: 1, maxLength: 10 })
  .map((parts) => parts.join('/'));

/** As path-pattern.ts says it, with nothing clever. */
function fits({ segments, tail }: PathPattern, text: string): boolean {
  const parts = text.split('/');
  if (
    !segments.every(
      (wanted, at) => parts[at] !== undefined && (wanted === undefined ? parts[at] !== '' : parts[at] === wanted),
    )
  )
    return false;
  const rest = parts.slice(segments.length);
  if (tail === undefined) return rest.length === 0;
  return rest.length > 0 && rest.join('/').startsWith(tail);
}

test('property: a trie finds exactly the patterns that fit, and an older one does not change', () => {
  let found = 0;
  fc.assert(
    fc.property(
      fc.array(pattern, { minLength: 1, maxLength: 25 }),
      fc.array(fc.nat(24), { maxLength: 10 }),
      fc.array(value, { minLength: 10, maxLength: 10 }),
      (patterns, removed, values) => {
        const linesOf = (trie: PatternTrie, text: string): string[] => {
          const lines: string[] = [];
          trie.search(text, { visit: (line, complete) => (lines.push(`${line} ${complete}`), false), count: () => {} });
          return lines.sort();
        };
        const fitting = (text: string, without: ReadonlySet<number>): string[] =>
          patterns
            .flatMap((one, line) => (!without.has(line) && fits(one, text) ? [`${line} ${one.complete}`] : []))
            .sort();
        const first = {};
        const whole = patterns.reduce((trie, one, line) => trie.with(one, line, first), PatternTrie.empty(first));
        const gone = new Set(removed.filter((line) => line < patterns.length));
        const second = {};
        const smaller = [...gone].reduce(
          (trie, line) => trie.without(patterns[line] as PathPattern, line, second),
          whole,
        );
        for (const text of values) {
          found += fitting(text, gone).length;
          assert.deepEqual(linesOf(whole, text), fitting(text, new Set()), text);
          assert.deepEqual(linesOf(smaller, text), fitting(text, gone), text);
        }
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(found > 500, `only ${found} fitted`);
});

test('property: what fits a pattern is never left out by how it starts', () => {
  let left = 0;
  let asked = 0;
  const starts = new Starts();
  fc.assert(
    fc.property(pattern, value, (one, text) => {
      starts.read(text);
      const may = starts.mayFit(startOf(one));
      asked++;
      if (!may) left++;
      if (fits(one, text)) assert.equal(may, true);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(left > asked / 4, 'nothing is ever left out');
});
