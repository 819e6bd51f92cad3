// Addresses as the inventory writes them, made comparable: one spelling per address, ranges for prefixes.
import ipaddr from 'ipaddr.js';
import type { Slice, SliceDevice } from '../../policy/bundle/index.ts';
import { firewallErrors } from './errors.ts';
import type { Family } from './plan.ts';

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

export function addressNumber(text: string): bigint {
  return ipaddr
    .parse(text)
    .toByteArray()
    .reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

function addressText(family: Family, number: bigint): string {
  const bytes = Array.from({ length: family === 4 ? 4 : 16 }, (_, index, all = family === 4 ? 4 : 16) =>
    Number((number >> BigInt(8 * (all - 1 - index))) & 0xffn),
  );
  const address = ipaddr.fromByteArray(bytes);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

export function cidrFamily(cidr: string): Family {
  return cidr.includes(':') ? 6 : 4;
}

/** Addresses as numbers, both ends included. */
export interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
}

export function rangeText(family: Family, { first, last }: AddressRange): string {
  return `${addressText(family, first)}-${addressText(family, last)}`;
}

/** The prefixes as disjoint ranges `a-b` in order, neighbours joined: what an nftables interval set takes without auto-merge. */
export function mergedRanges(cidrs: readonly string[], family: Family): string[] {
  return addressRanges(cidrs, family).map((range) => rangeText(family, range));
}

/** The same as numbers. All prefixes have to be of the family. */
export function addressRanges(cidrs: readonly string[], family: Family): AddressRange[] {
  const bits = family === 4 ? 32n : 128n;
  const ranges = cidrs
    .map((cidr) => {
      const [base, length] = ipaddr.parseCIDR(cidr);
      const host = (1n << (bits - BigInt(length))) - 1n;
      const first = addressNumber(base.toString()) & ~host;
      return { first, last: first | host };
    })
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const merged: { first: bigint; last: bigint }[] = [];
  for (const range of ranges) {
    const previous = merged.at(-1);
    if (previous !== undefined && range.first <= previous.last + 1n) {
      if (range.last > previous.last) previous.last = range.last;
    } else merged.push({ ...range });
  }
  return merged;
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
