// The rules of one tier as disjoint boxes: address range x protocols x port range, each with the rule that decides there.
// The kernel then answers with one lookup in a map of concatenated ranges (pipapo, which takes no overlaps), however
// many rules there are.
//
//     rule a  ├───── deny tcp 22 ─────┤                          boxes
//     rule b       ├───────── allow any ─────────┤      ─►       a: [1] x tcp x 22     a: [2] x tcp x 22
//     address [ 1  ][       2         ][    3    ]               b: [2] x rest ...     b: [3] x all
//
// A line sweeps over the ends of the address ranges. What can win there is the first rule of each service (transport and
// ports); a second sweep over the ports of these finds who does. Equal neighbours are joined in all three dimensions.
import { cidrFamily, cidrRange, mergeRanges, rangeText, type AddressRange } from '../../runtime/address-ranges.ts';
import { firewallErrors } from './errors.ts';
import { MAX_SET_ELEMENTS, MAX_TIER_STEPS } from './limits.ts';
import { LowestActive } from './lowest-active.ts';
import type { Family } from './plan.ts';

export type TierVerdict = 'deny' | 'pass' | 'allow';

export interface TierRule {
  readonly id: string;
  /** Lower is judged first; of equal ones deny beats pass, pass beats allow, and then the first in the list wins. */
  readonly priority: number;
  readonly verdict: TierVerdict;
  readonly transport: 'tcp' | 'udp' | 'sctp' | 'udplite' | 'icmp' | 'any';
  /** Prefixes of both families; those of the other one are left out. */
  readonly peers: readonly string[];
  /** Inclusive; absent for every port. With `any` those of every transport that has ports. */
  readonly ports?: readonly [number, number] | undefined;
}

export interface Box {
  /** Ranges as `a-b`: addresses and ports always, protocols also as one number. */
  readonly key: readonly string[];
  readonly rule: string;
  readonly verdict: TierVerdict;
}

export interface TierBoxes {
  /**
   * Address, protocol, port; disjoint. To be asked only about the protocols of `portProtocols`: a range of protocols
   * may span others.
   */
  readonly ported: readonly Box[];
  /** Address, protocol; disjoint. To be asked only about every other protocol. */
  readonly plain: readonly Box[];
}

/** IANA protocol numbers of the transports with ports, ascending: TCP, UDP, SCTP, UDP-Lite. */
export const portProtocols: readonly number[] = [6, 17, 132, 136];
const numberOf = { tcp: 6, udp: 17, sctp: 132, udplite: 136 } as const;
const icmp = { 4: 1, 6: 58 } as const;
const MAX_PROTOCOL = 255;
const MAX_PORT = 65_535;

/**
 * Rules in observe mode, of one workload, or with names are not for here: the caller has taken them out. Throws
 * FIREWALL_TOO_LARGE where a list would exceed MAX_SET_ELEMENTS, rather than leave anything out.
 */
export function tierBoxes(rules: readonly TierRule[], family: Family): TierBoxes {
  const ranked = rules
    .map((rule) => ({
      rule,
      ranges: mergeRanges(rule.peers.filter((cidr) => cidrFamily(cidr) === family).map(cidrRange)),
    }))
    .filter(({ ranges }) => ranges.length > 0)
    .sort((a, b) => inOrder(a.rule, b.rule));
  const services = new Services(
    ranked.map(({ rule }) => rule),
    family,
  );
  const output = new Output(
    ranked.map(({ rule }) => rule),
    family,
  );
  const events = eventsOf(ranked.map(({ ranges }) => ranges));
  for (let index = 0; index < events.length;) {
    const { at } = events[index]!;
    for (; index < events.length && events[index]!.at === at; index += 1) services.change(events[index]!);
    output.from(at, services.cells());
  }
  return output.done();
}

const verdictOrder = { deny: 0, pass: 1, allow: 2 } as const;
const inOrder = (a: TierRule, b: TierRule): number =>
  a.priority - b.priority || verdictOrder[a.verdict] - verdictOrder[b.verdict];

/** At address `at` the rule of this rank begins, or has ended. */
interface Event {
  readonly at: bigint;
  readonly rank: number;
  readonly begins: boolean;
}

function eventsOf(ranges: readonly (readonly AddressRange[])[]): Event[] {
  return ranges
    .flatMap((list, rank) =>
      list.flatMap(({ first, last }): Event[] => [
        { at: first, rank, begins: true },
        { at: last + 1n, rank, begins: false },
      ]),
    )
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/** Protocols from-to (with, of the ported ones, ports low-high) that the rule of this rank decides. */
interface Cell {
  readonly from: number;
  readonly to: number;
  readonly low: number;
  readonly high: number;
  readonly rank: number;
}

interface Cells {
  readonly ported: readonly Cell[];
  readonly plain: readonly Cell[];
}

/** Rules with the same transport and ports: only the first of them that covers an address can decide there. */
interface Service {
  readonly protocols: readonly number[];
  readonly plain: readonly [number, number] | undefined;
  readonly ports: readonly [number, number];
  readonly ranks: LowestActive;
  lowest: number | undefined;
}

class Services {
  readonly #byRank: readonly Service[];
  readonly #present = new Set<Service>();
  #cells: Cells | undefined;
  #steps = 0;

  constructor(rules: readonly TierRule[], family: Family) {
    const known = new Map<string, Service>();
    this.#byRank = rules.map(({ transport, ports }) => {
      const key = `${transport} ${ports?.join('-') ?? ''}`;
      const service = known.get(key) ?? serviceOf(transport, ports, family);
      known.set(key, service);
      return service;
    });
  }

  change({ rank, begins }: Event): void {
    const service = this.#byRank[rank]!;
    if (begins) service.ranks.begin(rank);
    else service.ranks.end(rank);
    const lowest = service.ranks.lowest();
    if (lowest === service.lowest) return;
    service.lowest = lowest;
    if (lowest === undefined) this.#present.delete(service);
    else this.#present.add(service);
    this.#cells = undefined;
  }

  /** Who decides at this address, by protocol and port; the same object while nothing has changed. */
  cells(): Cells {
    if (this.#cells !== undefined) return this.#cells;
    this.#steps += this.#present.size;
    if (this.#steps > MAX_TIER_STEPS) throw tooLarge('too many rules overlap each other');
    const present = [...this.#present];
    const ported = joined(
      portProtocols.map((protocol) =>
        decided(
          present.filter((service) => service.protocols.includes(protocol)),
          (service) => service.ports,
        ),
      ),
    );
    const plain = decided(
      present.filter((service) => service.plain !== undefined),
      (service) => service.plain ?? [0, 0],
    ).map(({ low, high, rank }) => ({ from: low, to: high, low: 0, high: 0, rank }));
    this.#cells = { ported, plain };
    return this.#cells;
  }
}

function serviceOf(transport: TierRule['transport'], ports: TierRule['ports'], family: Family): Service {
  const rest = { ports: ports ?? ([0, MAX_PORT] as const), ranks: new LowestActive(), lowest: undefined };
  if (transport === 'icmp') return { ...rest, protocols: [], plain: [icmp[family], icmp[family]] };
  if (transport !== 'any') return { ...rest, protocols: [numberOf[transport]], plain: undefined };
  return { ...rest, protocols: portProtocols, plain: ports === undefined ? [0, MAX_PROTOCOL] : undefined };
}

interface Decided {
  readonly low: number;
  readonly high: number;
  readonly rank: number;
}

/** The lowest rank at every number that some service covers, as disjoint ranges in order. */
function decided(services: readonly Service[], rangeOf: (service: Service) => readonly [number, number]): Decided[] {
  const ends = services
    .flatMap((service) => {
      const [low, high] = rangeOf(service);
      const rank = service.lowest ?? 0;
      return [
        { at: low, rank, begins: true },
        { at: high + 1, rank, begins: false },
      ];
    })
    .sort((a, b) => a.at - b.at);
  const active = new LowestActive();
  const found: Decided[] = [];
  let current: { readonly low: number; readonly rank: number } | undefined;
  for (let index = 0; index < ends.length;) {
    const { at } = ends[index]!;
    for (; index < ends.length && ends[index]!.at === at; index += 1) {
      const { rank, begins } = ends[index]!;
      if (begins) active.begin(rank);
      else active.end(rank);
    }
    const lowest = active.lowest();
    if (current !== undefined && current.rank === lowest) continue;
    if (current !== undefined) found.push({ ...current, high: at - 1 });
    current = lowest === undefined ? undefined : { low: at, rank: lowest };
  }
  return found;
}

/** Protocols next to each other in `portProtocols` with the same ports and rule become one range of protocols. */
function joined(byProtocol: readonly (readonly Decided[])[]): Cell[] {
  const cells: Cell[] = [];
  let open = new Map<string, Cell>();
  for (const [index, list] of byProtocol.entries()) {
    const protocol = portProtocols[index]!;
    const next = new Map<string, Cell>();
    for (const { low, high, rank } of list) {
      const key = `${low}-${high} ${rank}`;
      next.set(key, { from: open.get(key)?.from ?? protocol, to: protocol, low, high, rank });
    }
    for (const [key, cell] of open) if (!next.has(key)) cells.push(cell);
    open = next;
  }
  return [...cells, ...open.values()];
}

/** Boxes that are still growing along the addresses, and those that are finished. */
class Output {
  readonly #rules: readonly TierRule[];
  readonly #family: Family;
  readonly #done = { ported: [] as Box[], plain: [] as Box[] };
  readonly #open = { ported: new Map<string, Growing>(), plain: new Map<string, Growing>() };
  #cells: Cells | undefined;

  constructor(rules: readonly TierRule[], family: Family) {
    this.#rules = rules;
    this.#family = family;
  }

  /** From this address on, up to the next call, these cells hold. */
  from(at: bigint, cells: Cells): void {
    if (cells === this.#cells) return;
    this.#cells = cells;
    for (const list of ['ported', 'plain'] as const) {
      const open = this.#open[list];
      const next = new Map(
        cells[list].map((cell) => [`${cell.from}-${cell.to} ${cell.low}-${cell.high} ${cell.rank}`, cell]),
      );
      for (const [key, { first, cell }] of open) {
        if (next.has(key)) continue;
        this.#finish(list, { first, last: at - 1n }, cell);
        open.delete(key);
      }
      for (const [key, cell] of next) if (!open.has(key)) open.set(key, { first: at, cell });
    }
  }

  /** After the last event nothing covers anything, so nothing is open any more. */
  done(): TierBoxes {
    return this.#done;
  }

  #finish(list: 'ported' | 'plain', range: AddressRange, { from, to, low, high, rank }: Cell): void {
    const { id, verdict } = this.#rules[rank]!;
    const key = [
      rangeText(this.#family, range),
      protocolsText(list, from, to),
      ...(list === 'ported' ? [`${low}-${high}`] : []),
    ];
    this.#done[list].push({ key, rule: id, verdict });
    if (this.#done[list].length > MAX_SET_ELEMENTS) {
      throw tooLarge(`its rules become more than ${MAX_SET_ELEMENTS} ranges that do not overlap`);
    }
  }
}

interface Growing {
  readonly first: bigint;
  readonly cell: Cell;
}

function protocolsText(list: 'ported' | 'plain', from: number, to: number): string {
  if (from === to) return String(from);
  // All with ports: the widest range is the cheapest to look up.
  return list === 'ported' && from === portProtocols[0] && to === portProtocols.at(-1)
    ? `0-${MAX_PROTOCOL}`
    : `${from}-${to}`;
}

function tooLarge(what: string): Error {
  return firewallErrors.error('FIREWALL_TOO_LARGE', `one tier of firewall/: ${what}`);
}
