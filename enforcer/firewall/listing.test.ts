// What the kernel lists is compared by content. The listing was recorded from nft 1.0.6 (test/firewall/record-listing.ts).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readGolden } from '../../test/firewall/golden.ts';
import { differenceTo, parseListing, ruleSignature } from './listing.ts';
import { tableOfPlan } from './table.ts';

const recorded = readFileSync(join(import.meta.dirname, 'testdata', 'plc-cell.listing'), 'utf8');
const { plan } = readGolden('plc-cell.txt');
const table = tableOfPlan(plan);
const now = plan.compiledAt;
const differenceIn = (json: string): string | undefined => differenceTo(table, parseListing(json), now);

/** The listing after one change of its text; fails when the text is not there exactly as the test thinks. */
function changed(from: string, to: string): string {
  assert.ok(recorded.includes(from), from);
  return recorded.replace(from, to);
}

test('the listing of a plan is the plan', () => {
  assert.equal(differenceIn(recorded), undefined);
});

const tampering: readonly [string, string, string, RegExp][] = [
  [
    'a drop that became an accept',
    '{"drop": null}',
    '{"accept": null}',
    /chain g1_no_\w+, rule 2: ".*accept" instead of ".*drop"/,
  ],
  [
    'a policy',
    '"hook": "input", "prio": 0, "policy": "drop"',
    '"hook": "input", "prio": 0, "policy": "accept"',
    /chain input/,
  ],
  ['a priority', '"hook": "output", "prio": 0', '"hook": "output", "prio": 400', /chain output/],
  [
    'a set that is looked up',
    '"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@revoked4"',
    '"op": "!=", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@revoked4"',
    /chain held_from4/,
  ],
  ['a log prefix', 'ew:default-in', 'ew:default-on', /default-on/],
  ['a port of the proxy', '"port": 15502', '"port": 502', /tproxy 502/],
  ['an epoch', '["ipv4", 2147483655]', '["ipv4", 7]', /epoch_mark_proxied has ipv4 : 7/],
  ['a removed element', '{"concat": ["10.20.0.1", 6, 8443]}', '', /control4 lacks 10\.20\.0\.1 \. tcp \. 8443/],
  [
    'an added element',
    '"elem": ["10.20.0.5"]',
    '"elem": ["10.20.0.5", "10.20.0.3"]',
    /has 10\.20\.0\.3, which is not ours/,
  ],
  [
    'a wider range',
    '{"prefix": {"addr": "10.0.0.0", "len": 8}}',
    '{"prefix": {"addr": "10.0.0.0", "len": 9}}',
    /10\.127\.255\.255/,
  ],
];
for (const [what, from, to, expected] of tampering) {
  test(`tampering is found: ${what}`, () => {
    assert.match(differenceIn(changed(from, to)) ?? 'nothing', expected);
  });
}

test('a rule or chain or set that is not ours is found', () => {
  const add = (object: string): string =>
    changed('"json_schema_version": 1}}', `"json_schema_version": 1}},\n${object}`);
  const rule =
    '{"rule": {"family": "inet", "table": "edgeward", "chain": "input", "handle": 9, "expr": [{"accept": null}]}}';
  assert.match(differenceIn(add(rule)) ?? '', /chain input, rule \d+: "accept"/);
  const chain = '{"chain": {"family": "inet", "table": "edgeward", "name": "mine", "handle": 9}}';
  assert.match(differenceIn(add(chain)) ?? '', /chain mine is not ours/);
  const set = '{"set": {"family": "inet", "name": "mine", "table": "edgeward", "type": "ipv4_addr", "handle": 9}}';
  assert.match(differenceIn(add(set)) ?? '', /set mine is not ours/);
});

test('what the terms of a rule do not show, the fingerprint does; counters, handles and time do not change it', () => {
  const { fingerprint } = parseListing(recorded);
  const looser = changed('"right": "established"', '"right": "new"');
  assert.equal(differenceIn(looser), undefined);
  assert.notEqual(parseListing(looser).fingerprint, fingerprint);
  const later = recorded
    .replaceAll(/"packets": 0, "bytes": 0/g, '"packets": 9, "bytes": 900')
    .replaceAll(/"handle": \d+/g, '"handle": 1')
    .replaceAll(/"expires": \d+/g, (text) => `"expires": ${Number(text.split(' ')[1]) - 600}`);
  assert.notEqual(later, recorded);
  assert.equal(parseListing(later).fingerprint, fingerprint);
  assert.equal(differenceTo(table, parseListing(later), now + 600_000), undefined);
});

test('an element that ends at another time than it should is found', () => {
  const sooner = recorded.replaceAll(/"expires": \d+/g, '"expires": 60');
  assert.match(differenceIn(sooner) ?? '', /ends in 60 s instead of in 3600 s/);
  const never = recorded.replaceAll(/, "expires": \d+/g, '');
  assert.match(differenceIn(never) ?? '', /ends never instead of in 3600 s/);
});

test('flags of the table, objects and whatever else is not ours is found; flags that are garbage in JSON do no harm', () => {
  const counter = '{"counter": {"family": "inet", "name": "c", "table": "edgeward", "handle": 9}}';
  const more = changed('"json_schema_version": 1}}', `"json_schema_version": 1}},\n${counter}`);
  assert.match(differenceIn(more) ?? '', /the table has counter c, which is not ours/);
  const dormant = parseListing(recorded, 'table inet edgeward {\n\tflags dormant\n');
  assert.match(differenceTo(table, dormant, now) ?? '', /the flag dormant/);
  const head =
    '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "inet", "name": "edgeward", "handle": 1';
  const broken = `${head}, "flags": "\u0001"x"}}, {"counter": {"name": "c"}}]}`;
  assert.deepEqual(parseListing(broken).strange, ['counter c']);
});

test('an element whose time has come may be gone, and one whose time has not may not', () => {
  // The kernel lists elements in the order of its hash table, so the text around one is not fixed.
  const gone = JSON.stringify(JSON.parse(recorded), (key, value: unknown) =>
    key === 'elem' && Array.isArray(value)
      ? value.filter((element) => !JSON.stringify(element).includes('"10.20.0.4",6,443'))
      : value,
  );
  assert.match(differenceIn(gone) ?? '', /lacks 10\.20\.0\.4 \. tcp \. 443/);
  const end = table.sets.flatMap((set) => set.elements).find((element) => element.until !== undefined)?.until ?? 0;
  const ended = JSON.stringify(JSON.parse(gone), (key, value: unknown) => (key === 'expires' ? 0 : value));
  assert.equal(differenceTo(table, parseListing(ended), end), undefined);
});

test('every rule of a plan has a signature of its own kind', () => {
  const rules = table.chains.flatMap((chain) => chain.rules.map(ruleSignature));
  assert.ok(
    rules.every((signature) => /(accept|drop|reject|return|goto \w+|jump \w+|vmap @\w+|update @\w+)$/.test(signature)),
  );
});

test('protocols listed by name are the same protocols', () => {
  const names: Record<string, string> = { 6: 'tcp', 17: 'udp', 1: 'icmp' };
  const byName = recorded.replaceAll(
    /(, )(6|17|1)(, )/g,
    (_, before: string, number: string, after: string) => `${before}"${names[number]}"${after}`,
  );
  assert.notEqual(byName, recorded);
  assert.equal(differenceIn(byName), undefined);
});
