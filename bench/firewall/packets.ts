// Fragments, extension headers, ICMP errors, odd protocols: what test/firewall/packets sends and counts, as one figure. Kind by
// kind: docs/firewall-packets.md.
import { columns, type Line, measure } from '../../test/firewall/packets/table.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';

const spec: FigureSpec = {
  id: 'oddPacketsPassed',
  unit: 'packets',
  goal: {
    relation: 'exactly',
    value: 0,
    text: 'fragments, extension headers, IPv6, ICMP errors, SCTP/UDP-lite: a table of what is tried and blocked',
  },
};

export async function measurePackets({ progress }: BenchOptions): Promise<readonly Figure[]> {
  progress('packets of every kind');
  return packetFigures(await measure());
}

/** Packets that reached the closed port, or were forwarded, behind the rules. */
export function packetFigures(lines: readonly Line[]): Figure[] {
  const sum = (title: string, of: 'accepted' | 'closed'): number =>
    lines.reduce((all, { counts }) => all + (counts[columns.findIndex((one) => one.title === title)]?.[of] ?? 0), 0);
  const arriving = lines.filter(({ counts }) => (counts[0]?.accepted ?? 0) > 0).length;
  const against = {
    kinds: lines.length,
    kindsThatArriveWithoutRules: arriving,
    forwardedWithoutRules: sum('through, no rules', 'accepted'),
    acceptedFromGrantedPeer: sum('granted peer, open port', 'accepted'),
  };
  const isBlind = arriving <= lines.length / 2 || against.forwardedWithoutRules === 0;
  if (isBlind || against.acceptedFromGrantedPeer === 0) {
    return [unmeasured(spec, 'packets do not arrive, with or without rules', against)];
  }
  const ruled = columns.filter(({ rules }) => rules).map(({ title }) => sum(title, 'closed'));
  return [figure(spec, ruled.reduce((all, one) => all + one, 0) + sum('through', 'accepted'), against)];
}
