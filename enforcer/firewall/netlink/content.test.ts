// What a rule is compared by: nothing that changes its meaning is left out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { NetlinkWriter } from '../../../runtime/linux-netlink-wire.ts';
import { randomTable } from '../../../test/firewall/random-table.ts';
import type { Rule } from '../plan.ts';
import { ruleText } from '../render.ts';
import { ContentCache, contentOf } from './content.ts';
import { writeRule } from './rules.ts';

const rules = randomTable.map(({ chains }) => chains.flatMap((chain) => chain.rules));

test('two rules have the same content exactly when nft would write them alike', () => {
  fc.assert(
    fc.property(rules, rules, (some, others) => {
      for (const rule of some) {
        for (const other of others) {
          const same = ruleText(rule) === ruleText(other) && familyCounts(rule) === familyCounts(other);
          if (same) assert.equal(contentOf(rule), contentOf(other));
          else if (ruleText(rule) !== ruleText(other))
            assert.notEqual(contentOf(rule), contentOf(other), ruleText(rule));
        }
      }
    }),
    { numRuns: 100 },
  );
});

/** The text says the family where it matters; elsewhere it does not count. */
const familyCounts = (rule: Rule): string => (/\bip6?\b|icmp/.test(ruleText(rule)) ? String(rule.family) : '');

test('every single change of a rule is a change of its content', () => {
  const rule: Rule = {
    family: 4,
    match: [
      { kind: 'lookup', fields: ['source', 'protocol', 'dport'], set: 'served4', not: false },
      { kind: 'state', states: ['new'] },
    ],
    log: 'default-in',
    verdict: { kind: 'drop' },
  };
  const [lookup, state] = rule.match;
  assert.ok(lookup?.kind === 'lookup' && state !== undefined);
  const changed: Rule[] = [
    { ...rule, verdict: { kind: 'accept' } },
    { ...rule, verdict: { kind: 'return' } },
    { ...rule, verdict: { kind: 'continue' } },
    { ...rule, verdict: { kind: 'goto', chain: 'c' } },
    { ...rule, verdict: { kind: 'jump', chain: 'c' } },
    { ...rule, log: 'default-out' },
    { family: 4, match: rule.match, verdict: rule.verdict },
    { ...rule, family: 6 },
    { ...rule, match: [lookup] },
    { ...rule, match: [state, lookup] },
    { ...rule, match: [{ ...lookup, not: true }, state] },
    { ...rule, match: [{ ...lookup, set: 'served6' }, state] },
    { ...rule, match: [{ ...lookup, fields: ['destination', 'protocol', 'dport'] }, state] },
    { ...rule, match: [{ ...lookup, fields: ['source', 'protocol', 'sport'] }, state] },
    { ...rule, match: [lookup, { kind: 'state', states: ['established'] }] },
  ];
  const contents = [rule, ...changed].map(contentOf);
  assert.equal(new Set(contents).size, contents.length);
});

test('counters are read and are no part of the content; a listing remembers what the one before held', () => {
  const rule: Rule = { match: [], log: 'x', verdict: { kind: 'drop' } };
  const dumped = (packets: number): Buffer => {
    const out = new NetlinkWriter().begin(0, 0);
    writeRule(out, rule);
    const bytes = out.finish().bytes.subarray(16);
    // counter: element, name (8 bytes), data, then bytes and packets.
    bytes.writeBigUInt64BE(BigInt(packets * 100), 4 + 12 + 4 + 4);
    bytes.writeBigUInt64BE(BigInt(packets), 4 + 12 + 4 + 12 + 4);
    return bytes;
  };
  const cache = new ContentCache();
  for (const packets of [0, 7, 9]) {
    cache.begin();
    const bytes = dumped(packets);
    const read = cache.read(bytes, 0, bytes.length, () => '');
    assert.deepEqual(read, { text: contentOf(rule), log: 'ew:x', packets, bytes: packets * 100 });
  }
});

test('a verdict cut short is malformed, also at the very end', () => {
  const out = new NetlinkWriter().begin(0, 0);
  writeRule(out, { match: [], verdict: { kind: 'drop' } });
  const bytes = out.finish().bytes.subarray(16, -1);
  // Lengths of the list element, data, verdict and code around the last byte, which is gone.
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const length = bytes.readUInt16LE(at);
    if (at + length === bytes.length + 1) bytes.writeUInt16LE(length - 1, at);
  }
  assert.throws(() => new ContentCache().read(bytes, 0, bytes.length, () => ''), { code: 'LINUX_NETLINK_MALFORMED' });
});

test('expressions with bytes changed, missing or added are read or refused with the code, nothing else', () => {
  const change = fc.record({
    at: fc.nat({ max: 400 }),
    skip: fc.nat({ max: 8 }),
    put: fc.uint8Array({ maxLength: 8 }),
  });
  fc.assert(
    fc.property(rules, change, (some, { at, skip, put }) => {
      for (const rule of some) {
        const out = new NetlinkWriter().begin(0, 0);
        writeRule(out, rule);
        const whole = out.finish().bytes.subarray(16);
        const bytes = Buffer.concat([whole.subarray(0, at), put, whole.subarray(at + skip)]);
        try {
          new ContentCache().read(bytes, 0, bytes.length, () => '');
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'LINUX_NETLINK_MALFORMED', String(error));
        }
      }
    }),
    { numRuns: 1_000 },
  );
});
