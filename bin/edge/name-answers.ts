// Which answers of name service a rule may open: whoever answers for a name outside must not thereby open this host, its
// control plane or a device of the inventory (DNS rebinding).
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { plainAddress } from '../../enforcer/firewall/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';

/** What names may not stand for, by address, and what it is. */
export type Taken = ReadonlyMap<string, string>;

export interface TakenBy {
  readonly slice: Slice | undefined;
  readonly control: readonly string[];
  readonly resolvers: readonly string[];
  /** Addresses of this host; default: those of its interfaces. */
  readonly own?: readonly string[];
}

export function takenAddresses({ slice, control, resolvers, own = ownAddresses() }: TakenBy): Taken {
  const devices = (slice?.devices ?? []).flatMap(({ id, interfaces }) =>
    interfaces.map(({ address }): [string, string] => [
      plainAddress(address).text,
      id === slice?.device ? 'this host' : `the device ${id}`,
    ]),
  );
  return new Map([
    ...resolvers.map((address): [string, string] => [plainAddress(address).text, 'a resolver']),
    ...devices,
    ...own.map((address): [string, string] => [address, 'this host']),
    ...control.map((address): [string, string] => [plainAddress(address).text, 'the control plane']),
  ]);
}

/** Without zones; link-local ones are refused by their range. */
const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address));

/** Ranges of ipaddr.js that hold hosts. Those that wrap an IPv4 address (RFC 6052, 6to4, Teredo) are not among them. */
const hostRanges: ReadonlySet<string> = new Set(['unicast', 'private', 'uniqueLocal', 'carrierGradeNat']);

/** Why no rule may name this address; undefined when one may. */
export function refusedAnswer(address: string, taken: Taken): string | undefined {
  if (!ipaddr.isValid(address) || address.includes('%')) return 'it is not an address';
  const range = ipaddr.parse(address).range();
  if (!hostRanges.has(range)) return `it is a ${range} address`;
  const owner = taken.get(plainAddress(address).text);
  return owner === undefined ? undefined : `it is ${owner}`;
}
