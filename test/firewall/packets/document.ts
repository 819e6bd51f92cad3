// docs/firewall-packets.md from what was counted.
import { columns } from './table.ts';
import type { Count, Line } from './table.ts';

const intro = (series: string): string => `# Packets against the firewall

What a host takes, kind by kind: written by \`test/firewall/packets/packets.test.ts\` from packets that were sent over the wire
(\`EDGEWARD_GOLDEN=write\` rewrites it; Linux ${series}), and compared with every \`npm test\`. A Python program makes the frames by hand and
sends them below the sender's own stack; a table of another program, behind every filter of the host, counts what was
accepted. On another series of Linux only what passed the rules is compared.

- \`1\`: so many packets were accepted. \`default-in 1\`: dropped, and logged, counted and recorded as an event of that rule.
  \`0\`: gone before any rule; the kernel threw it away, or a fragment waits for the rest until it is forgotten.
- \`no rules\`: the same packets without Edgeward's table. A line whose packets do not arrive there says nothing about the rules.
- \`through\`: packets for a host on another network, forwarded by this one. Nothing is granted to pass.
- The connection tracker puts fragments together before the rules see them: with rules, fragments count as one packet.
- The grant opens UDP and TCP port 5000 to one peer (binding \`port+mac+ip\`); the closed port is 7000; the peer without a grant is in
  the inventory. Peers that a grant links may ping each other.

Taken from anybody, because it has to be: neighbour discovery that has not crossed a router (hop limit 255), multicast
listener queries (hop limit 1), and ICMP errors about a flow that is open, which any router on the path may send; who sends
one has to know addresses, protocol and both ports of a flow. ARP is not filtered.
Not accepted from anybody: redirects, router advertisements (a rule of \`firewall/\` can allow them), tunnels, SCTP, DCCP, UDP-Lite, IGMP.
A bridge on this host carries frames between its ports below these rules; only what the host itself takes or routes is judged.
`;

/** `1` accepted; `default-in 1` dropped by that rule; `0` gone before any rule. */
function cell({ accepted, dropped }: Count): string {
  const drops = Object.entries(dropped).map(([id, packets]) => `${id} ${packets}`);
  return [...(accepted === 0 && drops.length > 0 ? [] : [accepted]), ...drops].join(', ');
}

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;

export function documentOf(lines: readonly Line[], series: string): string {
  const parts = [...Map.groupBy(lines, (line) => line.section)].map(([section, entries]) =>
    [
      `\n## ${section}\n`,
      row(['packet', 'frames', ...columns.map(({ title }) => title)]),
      row(['---', '---:', ...columns.map(() => '---')]),
      ...entries.map((line) => row([line.name, line.frames, ...line.counts.map(cell)])),
      '',
    ].join('\n'),
  );
  return intro(series) + parts.join('');
}

/** Packet to what the rules let pass, by column: without what the kernel alone decides. */
export function rowsOf(document: string): Record<string, (number | undefined)[]> {
  const rows: Record<string, (number | undefined)[]> = {};
  for (const [, line = ''] of document.matchAll(/^\| (?!packet |---)(.*) \|$/gm)) {
    const [name = '', , ...cells] = line.split(' | ');
    rows[name] = cells
      .map((text) => Number(/^\d+/.exec(text)?.[0] ?? 0))
      .filter((_, index) => columns[index]?.rules === true);
  }
  return rows;
}
