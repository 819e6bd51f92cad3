// Hosts, headers and bodies of HTTP operations: by hand, and against tables of what each pattern surely and possibly covers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isHostPattern } from '../bundle/http-bounds.ts';
import type { SliceInterface, SliceOperation } from '../bundle/slice.ts';
import { compileHttp } from './http-operation.ts';
import { contains, mayOverlap } from './operation-contains.ts';
import type { Operation } from './request.ts';

type Rule = Extract<SliceOperation, { protocol: 'http' }>;
type Request = Extract<Operation, { protocol: 'http' }>;

const rule = (more: Partial<Rule> = {}): Rule => ({
  name: 'x',
  protocol: 'http',
  methods: ['POST'],
  paths: ['/a'],
  class: 'normal',
  island: false,
  ...more,
});
const entry = { place: 'i.yaml:1' } as SliceInterface;
const post = (more: Partial<Request> = {}): Request => ({ protocol: 'http', method: 'POST', path: '/a', ...more });

function judged(request: Request, more: Partial<Rule>): string {
  const matched = compileHttp(entry, [rule(more)])(request, '');
  if (matched.kind === 'ambiguous') return 'ambiguous';
  if (matched.sure.length > 0) return 'sure';
  return matched.possible().length > 0 ? 'possible' : 'no';
}

test('http: a host is exact or a wildcard for one label, and a port counts only where it is written', () => {
  const host = (text: string | undefined, ...hosts: string[]) =>
    judged(post(text === undefined ? {} : { host: text }), { hosts });
  assert.equal(host('a.example', 'a.example'), 'sure');
  assert.equal(host('A.Example:8443', 'a.example'), 'sure');
  assert.equal(host('a.example:8443', 'a.example:8443'), 'sure');
  assert.equal(host('a.example:1', 'a.example:8443'), 'possible', 'many servers look at no port');
  assert.equal(host('a.example', 'a.example:8443'), 'possible');
  assert.equal(host('x.cell.example', '*.cell.example'), 'sure');
  assert.equal(host('x.y.cell.example', '*.cell.example'), 'no');
  assert.equal(host('cell.example', '*.cell.example'), 'no');
  assert.equal(host('xcell.example', '*.cell.example'), 'no');
  assert.equal(host('*.cell.example', '*.cell.example'), 'possible', 'no host');
  assert.equal(host('[2001:db8::1]:80', '[2001:db8::1]'), 'sure');
  assert.equal(host(undefined, 'a.example'), 'possible', 'nobody knows it');
  assert.equal(host('a.example.', 'a.example'), 'possible');
  assert.equal(host('a.example.:80', 'a.example'), 'possible');
  for (const odd of [
    '',
    'b@a.example',
    'a.example:0',
    'a.example,b',
    '127.1',
    '[2001:DB8:0::1]',
    'ａ.example',
    'a b',
  ]) {
    assert.equal(host(odd, 'a.example'), 'possible', odd);
  }
  assert.equal(host('b.example', 'a.example'), 'no');
});

test('http: patterns of hosts have one spelling', () => {
  for (const text of [
    'a.example',
    'localhost',
    '*.b.example:80',
    '192.0.2.1:80',
    '[::1]:443',
    'xn--bcher-kva.example',
  ]) {
    assert.ok(isHostPattern(text), text);
  }
  for (const text of [
    '',
    'A.example',
    'a..b',
    '*',
    '*.example',
    'a.*.example',
    'a.example:0',
    'a.example:65536',
    '127.1',
    '0x7f.1',
    '::1',
    '[::0:1]',
    '[::ffff:1.2.3.4]',
    'a.example.',
    'a/b',
    'a:b',
    '*.192.0.2.1',
  ]) {
    assert.ok(!isHostPattern(text), text);
  }
});

test('http: a header stands once and has one of the values', () => {
  const line = (lines: readonly string[] | undefined) =>
    judged(post(lines === undefined ? {} : { headers: { 'x-line': lines } }), { headers: { 'x-line': ['a', 'b'] } });
  assert.equal(line(['a']), 'sure');
  assert.equal(line(['b']), 'sure');
  assert.equal(line(['c']), 'no');
  for (const doubt of [undefined, [], ['a', 'a'], ['c', 'd'], ['A'], ['c, a'], [' a'], ['ａ']]) {
    assert.equal(line(doubt), 'possible', JSON.stringify(doubt));
  }
  const inherited = { headers: { constructor: ['a'] } };
  assert.equal(judged(post({ headers: {} }), inherited), 'possible', 'not of the object itself');
});

test('http: a body is at most so long, as far as somebody knows', () => {
  const body = (bytes: number | undefined) =>
    judged(post(bytes === undefined ? {} : { bodyBytes: bytes }), { maxBodyBytes: 10 });
  assert.equal(body(10), 'sure');
  assert.equal(body(11), 'no');
  for (const doubt of [undefined, -1, 0.5, Number.NaN, Infinity]) assert.equal(body(doubt), 'possible', String(doubt));
});

/** What each pattern stands for, of the hosts asked below: surely, and beside these possibly. */
const hosts: Readonly<Record<string, readonly [sure: readonly string[], possible: readonly string[]]>> = {
  'a.example': [['a.example', 'A.example', 'a.example:80', 'a.example:81'], ['a.example.']],
  'a.example:80': [['a.example:80'], ['a.example', 'A.example', 'a.example:81', 'a.example.']],
  'b.example': [['b.example'], []],
  'x.c.example': [['x.c.example'], []],
  '*.c.example': [['x.c.example', 'y.c.example'], []],
};
const doubtfulHosts = ['?', 'user@a.example', 'a.example:0'];
const askedHosts = [...new Set(Object.values(hosts).flat(2)), 'z.y.c.example', 'c.example', ...doubtfulHosts];
const values: Readonly<Record<string, readonly [readonly string[], readonly string[]]>> = {
  one: [['one'], ['ONE', 'two,one', 'one|one', '?']],
  two: [['two'], ['two,one', 'one|one', '?']],
  'one two': [['one two'], ['one|one', '?']],
};
const askedValues = ['one', 'two', 'one two', 'ONE', 'two,one', 'one|one', 'three', '?'];

const present = <T extends object>(all: T): T =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as T;
const seldom = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });
const names = ['x-a', 'x-b'];
const rules: fc.Arbitrary<Rule> = fc
  .record({
    methods: fc.subarray(['POST', 'PUT'], { minLength: 1 }),
    hosts: seldom(fc.subarray(Object.keys(hosts), { minLength: 1, maxLength: 2 })),
    one: seldom(fc.subarray(Object.keys(values), { minLength: 1 })),
    other: seldom(fc.subarray(Object.keys(values), { minLength: 1 })),
    maxBodyBytes: seldom(fc.integer({ min: 0, max: 3 })),
  })
  .map(({ one, other, ...rest }) => {
    const headers = present({ 'x-a': one, 'x-b': other }) as Record<string, string[]>;
    return rule(present({ ...rest, headers: Object.keys(headers).length === 0 ? undefined : headers }));
  });

const requests: fc.Arbitrary<Request> = fc
  .record({
    method: fc.constantFrom('POST', 'PUT'),
    host: fc.constantFrom(...askedHosts),
    one: fc.constantFrom(...askedValues),
    other: fc.constantFrom(...askedValues),
    bodyBytes: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
  })
  .map(({ host, one, other, ...rest }) => {
    const headers = {
      'x-a': one === '?' ? undefined : one.split('|'),
      'x-b': other === '?' ? undefined : other.split('|'),
    };
    const known = { ...rest, ...(host === '?' ? {} : { host }), headers: present(headers) as Record<string, string[]> };
    return post(present(known) as Partial<Request>);
  });

function expected(one: Rule, { method, host = '?', headers = {}, bodyBytes }: Request): 'sure' | 'possible' | 'no' {
  const doubts = new Set([
    one.methods.includes(method) ? 'sure' : 'no',
    ...(one.hosts === undefined ? [] : [covers(one.hosts, hosts, host, doubtfulHosts.includes(host))]),
    ...names.flatMap((name) => {
      const wanted = one.headers?.[name];
      return wanted === undefined ? [] : [covers(wanted, values, headers[name]?.join('|') ?? '?', false)];
    }),
    ...(one.maxBodyBytes === undefined
      ? []
      : [bodyBytes === undefined ? 'possible' : bodyBytes <= one.maxBodyBytes ? 'sure' : 'no']),
  ]);
  return doubts.has('no') ? 'no' : doubts.has('possible') ? 'possible' : 'sure';
}

function covers(wanted: readonly string[], table: typeof hosts, said: string, doubtful: boolean) {
  if (wanted.some((text) => table[text]?.[0].includes(said))) return 'sure';
  return doubtful || wanted.some((text) => table[text]?.[1].includes(said)) ? 'possible' : 'no';
}

test('http: what is sure and what is possible is what the tables say', () => {
  const seen = { sure: 0, possible: 0, no: 0 };
  fc.assert(
    fc.property(rules, requests, (one, request) => {
      const wanted = expected(one, request);
      assert.equal(judged(request, one), wanted);
      seen[wanted]++;
    }),
    { numRuns: 20_000 },
  );
  assert.ok(
    Object.values(seen).every((count) => count > 500),
    JSON.stringify(seen),
  );
});

test('http: an operation that contains another holds all its requests, and one that cannot overlap shares none', () => {
  let [inside, apart] = [0, 0];
  fc.assert(
    fc.property(rules, rules, fc.array(requests, { minLength: 30, maxLength: 30 }), (outer, inner, asked) => {
      const [wide, overlap] = [contains(outer, inner, ''), mayOverlap(inner, outer, '')];
      for (const request of asked.filter((each) => expected(inner, each) === 'sure')) {
        if (wide) assert.equal(expected(outer, request), 'sure', 'contained');
        if (!overlap) assert.equal(expected(outer, request), 'no', 'apart');
        inside += Number(wide);
        apart += Number(!overlap);
      }
    }),
    { numRuns: 6_000 },
  );
  assert.ok(inside > 100 && apart > 100, `${inside} inside, ${apart} apart`);
});
