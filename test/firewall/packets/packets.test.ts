// Every kind of packet that cases.py knows, sent to a host behind the firewall and through it. docs/firewall-packets.md is
// what was counted (EDGEWARD_GOLDEN=write rewrites it).
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { requires } from '../../support/capabilities.ts';
import { documentOf, rowsOf } from './document.ts';
import { columns, measure } from './table.ts';
import type { Line } from './table.ts';

const path = join(import.meta.dirname, '../../../docs/firewall-packets.md');
const series = release().split('.').slice(0, 2).join('.');

/**
 * What a host takes from a peer that no grant names, and why it has to. Nothing else may appear here: a line is a hole, or
 * a decision.
 */
const taken: readonly [RegExp, string][] = [
  [
    /^ICMP errors\/(?!redirect|source quench).* about a flow that is open/,
    'any router on the path may send them (RFC 1812 section 4.3)',
  ],
  [/^ICMP messages\/neighbour .*(limit 255|options|fragments)/, 'neighbour discovery, without which there is no IPv6'],
  [/^ICMP messages\/multicast listener query, hop limit 1$/, 'a switch that snoops would cut the host off (RFC 4541)'],
  [/^Link layer\/ARP/, 'not filtered'],
];
const isTaken = (line: Line): boolean => taken.some(([pattern]) => pattern.test(`${line.section}/${line.name}`));

test('fragments, extension headers, ICMP errors, odd protocols and forged sources: what passes is what is written down', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'python3')) return;
  const lines = await measure();
  const at = (line: Line, title: string): number =>
    line.counts[columns.findIndex((column) => column.title === title)]?.accepted ?? Number.NaN;

  // Without rules most of it arrives, and is forwarded: the counts can tell.
  const arrive = lines.filter((line) => at(line, 'no rules') > 0);
  assert.ok(arrive.length > lines.length * 0.75, `${arrive.length} of ${lines.length} kinds arrive without rules`);
  assert.ok(lines.filter((line) => at(line, 'through, no rules') > 0).length > lines.length * 0.6);
  assert.ok(lines.some(({ counts }) => (counts[0]?.closed ?? 0) > 0));

  for (const line of lines) {
    const what = `${line.section}/${line.name}`;
    if (!isTaken(line)) assert.equal(at(line, 'peer without a grant'), 0, what);
    else assert.ok(at(line, 'peer without a grant') > 0, `${what} is not taken any more`);
    // A grant on one port opens no other, in whatever the packet is wrapped; peers that a grant links may ping.
    if (!isTaken(line) && !/^[^/]*\/echo request/.test(what))
      assert.equal(at(line, 'granted peer, closed port'), 0, what);
    assert.equal(at(line, 'through'), 0, what);
    // Nor does a packet to the open port turn into one to the closed port on its way.
    for (const [index, { closed }] of line.counts.entries()) {
      if (columns[index]?.rules === true) assert.equal(closed, 0, `${what}: the closed port was reached`);
    }
  }
  assert.ok(lines.filter((line) => at(line, 'granted peer, open port') > 0).length > 30);

  if (process.env['EDGEWARD_GOLDEN'] === 'write') writeFileSync(path, documentOf(lines, series));
  const golden = readFileSync(path, 'utf8');
  if (golden.includes(`Linux ${series}`)) {
    const written = documentOf(lines, series).split('\n');
    const found = written.filter((line) => !golden.includes(`${line}\n`));
    const expected = golden.split('\n').filter((line) => line !== '' && !written.includes(line));
    assert.deepEqual(found, expected);
  } else {
    // Another kernel throws other packets away before any rule; what is taken has to be the same.
    t.diagnostic(`written on another kernel than ${series}: only what passes the rules is compared`);
    assert.deepEqual(rowsOf(documentOf(lines, series)), rowsOf(golden));
  }
});
