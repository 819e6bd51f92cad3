// ipMatch: an address, or a network in CIDR form. Bad networks are refused when compiled (the reference takes
// 10.0.0.0/33 and matches foreign addresses, fault 13).
import { type Address, inNetwork, longestPrefix, networkOf, readAddress } from './address.ts';
import type { Fail, Pattern } from './pattern.ts';

export interface Network {
  readonly network: Address;
  readonly bits: number;
}

export function ipPattern(pattern: string, fail: Fail): Pattern {
  const network = readNetwork(pattern, fail);
  const matches = (value: string): boolean => {
    const candidate = readAddress(value);
    return candidate !== undefined && inNetwork(candidate, network.network, network.bits);
  };
  return { exact: matches, wide: matches, network };
}

function readNetwork(pattern: string, fail: Fail): Network {
  const slash = pattern.indexOf('/');
  const text = slash === -1 ? pattern : pattern.slice(0, slash);
  const address = readAddress(text);
  if (address === undefined) throw fail(`"${pattern}" is not an IP address or network`);
  if (address.family === 4 && text.includes(':')) throw fail(`"${pattern}": write an IPv4-mapped address as IPv4`);
  const longest = longestPrefix(address.family);
  const bits = slash === -1 ? longest : prefixLength(pattern.slice(slash + 1));
  if (bits === undefined || bits > longest) throw fail(`"${pattern}": the prefix length is at most ${longest}`);
  return { network: networkOf(address, bits), bits };
}

function prefixLength(text: string): number | undefined {
  return /^(0|[1-9][0-9]{0,2})$/.test(text) ? Number(text) : undefined;
}
