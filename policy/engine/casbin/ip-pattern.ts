// ipMatch: an address, or a network in CIDR form. Bad networks are refused when compiled (the reference takes
// 10.0.0.0/33 and matches foreign addresses, fault 13), and an IPv4-mapped IPv6 address is the IPv4 address it carries.
import ipaddr from 'ipaddr.js';
import type { Fail, Pattern } from './pattern.ts';

type Address = ReturnType<typeof ipaddr.process>;

/** ::1.2.3.4, deprecated by RFC 4291 section 2.5.5.1: the library reads it as 1.2.3.4, others as ::102:304. */
const compatible = /^[0:]+:[0-9]+\./;

/** Dotted decimal or IPv6 without a zone; no octal, no short forms, which other programs read differently. */
export function readAddress(text: string): Address | undefined {
  const strict = text.includes(':')
    ? ipaddr.IPv6.isValid(text) && !text.includes('%') && !compatible.test(text)
    : ipaddr.IPv4.isValidFourPartDecimal(text);
  return strict ? ipaddr.process(text) : undefined;
}

export function ipPattern(pattern: string, fail: Fail): Pattern {
  const slash = pattern.indexOf('/');
  const text = slash === -1 ? pattern : pattern.slice(0, slash);
  const address = readAddress(text);
  if (address === undefined) throw fail(`"${pattern}" is not an IP address or network`);
  if (address.kind() === 'ipv4' && text.includes(':')) {
    throw fail(`"${pattern}": write an IPv4-mapped address as IPv4`);
  }
  const longest = address.kind() === 'ipv4' ? 32 : 128;
  const bits = slash === -1 ? longest : prefixLength(pattern.slice(slash + 1));
  if (bits === undefined || bits > longest) throw fail(`"${pattern}": the prefix length is at most ${longest}`);
  const matches = (value: string): boolean => {
    const candidate = readAddress(value);
    return candidate !== undefined && candidate.kind() === address.kind() && candidate.match(address, bits);
  };
  return { exact: matches, wide: matches };
}

function prefixLength(text: string): number | undefined {
  return /^(0|[1-9][0-9]{0,2})$/.test(text) ? Number(text) : undefined;
}
