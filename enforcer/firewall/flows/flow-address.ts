// An address as the kernel's tables hold it.
import ipaddr from 'ipaddr.js';
import { plainAddress } from '../addresses.ts';
import type { Family } from '../plan.ts';

export interface FlowAddress {
  readonly family: Family;
  /** As nftables and iproute2 write it. */
  readonly text: string;
  /** 4 or 16 bytes, network order. */
  readonly bytes: Buffer;
}

/** Throws FIREWALL_ADDRESS for anything but a plain IPv4 or IPv6 address. */
export function flowAddress(text: string): FlowAddress {
  const plain = plainAddress(text);
  return { ...plain, bytes: Buffer.from(ipaddr.parse(plain.text).toByteArray()) };
}

const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/** Whether an address from the kernel is this one, also in its IPv4-mapped form. */
export function isSameAddress(address: FlowAddress, bytes: Buffer): boolean {
  if (address.family === 4 && bytes.length === 16) {
    return bytes.subarray(0, 12).equals(MAPPED_PREFIX) && bytes.subarray(12).equals(address.bytes);
  }
  return bytes.equals(address.bytes);
}
