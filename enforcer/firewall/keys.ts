// Keys of set elements in one spelling: the plan, the kernel's listing and a packet name the same value differently.
import { createHash } from 'node:crypto';
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

/** Names of chains and sets take no dots and are short; a digest of the id is neither. */
export const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

/** Of a control group: its path for the reader, and the inode that the kernel compares; another of the same name has another. */
export const groupKey = (path: string, inode: string): string => `${path}:${inode}`;

export function groupOfKey(key: string): { readonly path: string; readonly inode: string } {
  const at = key.lastIndexOf(':');
  return { path: key.slice(0, Math.max(at, 0)), inode: key.slice(at + 1) };
}

/** Protocols as numbers, control groups as inodes, and a range of one value as that value. */
export function canonicalField(value: string, type: string | undefined): string {
  const numbered = type === 'inet_proto' ? (protocolNumbers[value] ?? value) : value;
  if (type === 'cgroupsv2') return groupOfKey(value).inode;
  if (type === 'ifname' || !numbered.includes('-')) return numbered;
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
