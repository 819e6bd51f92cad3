// Addresses as the inventory writes them, made comparable: one spelling per address, ranges for prefixes.
import ipaddr from 'ipaddr.js';
import { cidrRange, mergeRanges, rangeText } from '../../runtime/address-ranges.ts';
import type { Slice, SliceDevice } from '../../policy/bundle/index.ts';
import { firewallErrors } from './errors.ts';
import type { Family } from './plan.ts';

export { addressNumber, cidrFamily } from '../../runtime/address-ranges.ts';

export interface PlainAddress {
  readonly family: Family;
  /** The spelling nftables uses: dotted decimal, or RFC 5952. */
  readonly text: string;
}

/** Throws FIREWALL_ADDRESS for an IPv4-mapped IPv6 address: it would stand for another address than it is compared with. */
export function plainAddress(text: string): PlainAddress {
  if (!ipaddr.isValid(text) || text.includes('%')) {
    throw firewallErrors.error('FIREWALL_ADDRESS', `"${text}" is not an IP address`);
  }
  const parsed = ipaddr.parse(text);
  if (parsed instanceof ipaddr.IPv4) return { family: 4, text: parsed.toString() };
  if (parsed.isIPv4MappedAddress()) {
    throw firewallErrors.error('FIREWALL_ADDRESS', `"${text}" is an IPv4-mapped IPv6 address`);
  }
  return { family: 6, text: parsed.toRFC5952String() };
}

/** Whether it is an address that plainAddress takes, and in its spelling. */
export function isPlainAddress(text: string): boolean {
  try {
    return plainAddress(text).text === text;
  } catch {
    return false;
  }
}

/** The prefixes as disjoint ranges `a-b` in order, neighbours joined: what an nftables interval set takes without auto-merge. */
export function mergedRanges(cidrs: readonly string[], family: Family): string[] {
  return mergeRanges(cidrs.map(cidrRange)).map((range) => rangeText(family, range));
}

/** Where a device may be met: an address on a network that this device is attached to, or one behind a router. */
export interface PeerAddress extends PlainAddress {
  /** Link-layer address the inventory expects; absent when it names none. */
  readonly mac?: string;
  /** Own interfaces on the same network; empty when the peer is behind a router. */
  readonly interfaces: readonly string[];
}

export interface Neighbourhood {
  /** Own addresses by inventory. */
  readonly own: readonly PlainAddress[];
  readonly peers: ReadonlyMap<string, readonly PeerAddress[]>;
}

/** Reads the slice's inventory from the point of view of its device. */
export function neighbourhoodOf(slice: Slice): Neighbourhood {
  for (const { name } of slice.devices.flatMap((device) => device.interfaces)) {
    if (/^[A-Za-z0-9._-]{1,15}$/.test(name)) continue;
    throw firewallErrors.error(
      'FIREWALL_ADDRESS',
      `interface name ${JSON.stringify(name)} has characters that no rule can hold`,
    );
  }
  const self = slice.devices.find((device) => device.id === slice.device);
  const ownInterfaces = self?.interfaces ?? [];
  const peersOf = (device: SliceDevice): PeerAddress[] =>
    device.interfaces.map((entry) => ({
      ...plainAddress(entry.address),
      ...(entry.mac === undefined ? {} : { mac: entry.mac }),
      interfaces: [...new Set(ownInterfaces.filter((own) => own.network === entry.network).map((own) => own.name))],
    }));
  return {
    own: ownInterfaces.map((entry) => plainAddress(entry.address)),
    peers: new Map(
      slice.devices.filter((device) => device.id !== slice.device).map((device) => [device.id, peersOf(device)]),
    ),
  };
}
