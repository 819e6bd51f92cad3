// Keys of set elements in one spelling: the plan, the kernel's listing and a packet name the same value differently.
import type { SetDefinition, SetElement } from './plan.ts';

const protocolNumbers: Readonly<Record<string, string>> = {
  icmp: '1',
  tcp: '6',
  udp: '17',
  icmpv6: '58',
  'ipv6-icmp': '58',
  sctp: '132',
  udplite: '136',
};

/** Protocols as numbers, and a range of one value as that value. */
export function canonicalField(value: string, type: string | undefined): string {
  const numbered = type === 'inet_proto' ? (protocolNumbers[value] ?? value) : value;
  if (type === 'ifname' || type === 'cgroupsv2' || !numbered.includes('-')) return numbered;
  const [first, last] = numbered.split('-');
  return first === last ? (first ?? '') : numbered;
}

export function canonicalKey(type: SetDefinition['type'], key: readonly string[]): string {
  return key.map((value, at) => canonicalField(value, type[at])).join(' . ');
}

/** Key and answer of an element. */
export function elementIdentity(set: Pick<SetDefinition, 'type'>, element: SetElement): string {
  return identityOf(
    canonicalKey(set.type, element.key),
    element.verdict && `${element.verdict.kind} ${element.verdict.chain}`,
    element.mark,
  );
}

export function identityOf(key: string, verdict?: string, mark?: number): string {
  const answer = verdict ?? mark?.toString();
  return answer === undefined ? key : `${key} : ${answer}`;
}
