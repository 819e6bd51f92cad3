// Rules of the plan as expressions: the same that libnftables makes of render.ts's text, including what a header field
// needs to be known first (its family, its protocol), so that `nft list` shows both ways of loading alike.
import { firewallErrors } from '../errors.ts';
import { LOG_GROUP, PROXIED_BIT, PROXY_MARK } from '../plan.ts';
import type { Family, Field, Match, Rule, Verdict } from '../plan.ts';
import { register } from './codes.ts';
import { COMPARE, CT, CT_STATE, ExpressionWriter, hostU32, META, PAYLOAD, portBytes } from './expressions.ts';
import { protocolNumber } from './key-bytes.ts';
import { userdata } from './userdata.ts';
import type { NetlinkWriter } from '../../../runtime/linux-netlink-wire.ts';

/** A set without a name that one rule looks into: `{ tcp, udp }`. */
export interface AnonymousSet {
  /** Key type as libnftables numbers it. */
  readonly type: number;
  readonly keyLength: number;
  readonly keys: readonly Buffer[];
  /** What libnftables notes about the key, where it could not print the set without. */
  readonly keyTypeOf?: Buffer;
}

const TYPE = { integer: 4, inetProto: 12, icmpType: 14, icmpv6Type: 29 } as const;
const NFPROTO = { 4: 2, 6: 10 } as const;
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;
const ICMP = { 4: 1, 6: 58 } as const;
const TCP = 6;
const TCP_RST = 4;
const ARPHRD_ETHER = 1;
const RTN_LOCAL = 2;
/** RFC 792 and RFC 4443; undefined where the family has no such type. */
const icmpTypes = {
  4: {
    'echo-request': 8,
    'echo-reply': 0,
    'destination-unreachable': 3,
    'packet-too-big': undefined,
    'time-exceeded': 11,
    'parameter-problem': 12,
  },
  6: {
    'echo-request': 128,
    'echo-reply': 129,
    'destination-unreachable': 1,
    'packet-too-big': 2,
    'time-exceeded': 3,
    'parameter-problem': 4,
  },
} as const;
/** RFC 4861 section 4, RFC 2710, RFC 3810: with the hop limit they have to arrive with. */
const neighboursIn = [
  [135, 255],
  [136, 255],
  [130, 1],
] as const;
const neighboursOut = [135, 136, 143] as const;

/** libnftables' numbers of expressions (7 a header field, 13 a concatenation), headers and their fields. */
const headerField = (header: number, field: number, bits?: number): Buffer => {
  const length = bits === undefined ? [] : [[4, hostU32(bits)] as const];
  return userdata([0, hostU32(7)], [1, userdata([0, hostU32(header)], [1, hostU32(field)], ...length)]);
};
/** `icmpv6 type . ip6 hoplimit` */
const icmpv6TypeAndHops = userdata(
  [0, hostU32(13)],
  [1, userdata([0, headerField(14, 1)], [1, headerField(13, 7, 8)])],
);

/** Where a header field lies: base, offset and length in bytes, by family. */
const addressFields = {
  source: { 4: [12, 4], 6: [8, 16] },
  destination: { 4: [16, 4], 6: [24, 16] },
} as const;

/** The sets that the rule needs before it, in the order in which its expressions use them. */
export function anonymousSets(rule: Rule): AnonymousSet[] {
  return rule.match.flatMap((match): AnonymousSet[] => {
    const values = oneByteSet(match, rule.family);
    if (values !== undefined) {
      return values.values.length < 2
        ? []
        : [{ type: values.type, keyLength: 1, keys: values.values.map((value) => Buffer.of(value)) }];
    }
    if (match.kind === 'neighbour' && match.direction === 'in') {
      const keys = neighboursIn.map(([type, hops]) => Buffer.of(type, 0, 0, 0, hops, 0, 0, 0));
      return [{ type: (TYPE.icmpv6Type << 6) | TYPE.integer, keyLength: 8, keys, keyTypeOf: icmpv6TypeAndHops }];
    }
    return [];
  });
}

function noType(type: string): never {
  throw firewallErrors.error('FIREWALL_KERNEL_REFUSED', `${type} is no ICMP type of IPv4`);
}

/** What a match on one byte asks for: one value is compared, several are looked up. */
function oneByteSet(match: Match, family: Family | undefined): { type: number; values: number[] } | undefined {
  if (match.kind === 'protocol') return { type: TYPE.inetProto, values: match.protocols.map(protocolNumber) };
  if (match.kind === 'icmp') {
    const values = match.types.map((type) => icmpTypes[family ?? 4][type] ?? noType(type));
    return { type: family === 6 ? TYPE.icmpv6Type : TYPE.icmpType, values };
  }
  const isNeighbourOut = match.kind === 'neighbour' && match.direction === 'out';
  return isNeighbourOut ? { type: TYPE.icmpv6Type, values: [...neighboursOut] } : undefined;
}

/**
 * Writes the rule's expressions into the list that is open in `out`. `ids` are those of its anonymous sets in the batch;
 * without them it writes what the kernel dumps.
 */
export function writeRule(out: NetlinkWriter, rule: Rule, ids: readonly number[] = []): void {
  new RuleWriter(new ExpressionWriter(out), rule, ids).write();
}

class RuleWriter {
  readonly #to: ExpressionWriter;
  readonly #rule: Rule;
  readonly #ids: number[];
  /** What an expression before has made sure of. */
  #network: Family | undefined;
  #transport: number | undefined;
  #ethernet = false;

  constructor(to: ExpressionWriter, rule: Rule, ids: readonly number[]) {
    this.#to = to;
    this.#rule = rule;
    this.#ids = [...ids];
  }

  write(): void {
    const { match, log, verdict } = this.#rule;
    for (const each of match) this.#match(each);
    if (verdict.kind === 'dispatch') {
      this.#load(verdict.fields);
      return this.#to.lookup(verdict.map, { to: 0 });
    }
    this.#before(verdict);
    this.#to.counter();
    if (log !== undefined) this.#to.log(LOG_GROUP, `ew:${log}`);
    this.#verdict(verdict);
  }

  #family(): Family {
    const { family } = this.#rule;
    if (family === undefined) {
      throw firewallErrors.error('FIREWALL_KERNEL_REFUSED', 'a rule looks at addresses and names no family');
    }
    return family;
  }

  #match(match: Match): void {
    const to = this.#to;
    switch (match.kind) {
      case 'interface':
        to.meta(match.direction === 'in' ? META.iifname : META.oifname, 1);
        return to.compare(COMPARE.equal, interfaceBytes(match.name));
      case 'lookup':
        this.#load(match.fields);
        return to.lookup(match.set, { not: match.not });
      case 'state':
        to.ct(CT.state, 1);
        to.mask(hostU32(match.states.reduce((bits, state) => bits | CT_STATE[state], 0)));
        return to.compare(COMPARE.notEqual, hostU32(0));
      case 'direction':
        to.ct(CT.direction, 1);
        return to.compare(COMPARE.equal, Buffer.of(match.direction === 'original' ? 0 : 1));
      case 'proxied-flow':
        to.ct(CT.mark, 1);
        to.mask(hostU32(PROXIED_BIT));
        return to.compare(COMPARE.equal, hostU32(PROXIED_BIT));
      case 'packet-mark':
        to.meta(META.mark, 1);
        return to.compare(COMPARE.equal, hostU32(match.value));
      case 'protocol':
        to.meta(META.l4proto, 1);
        if (match.protocols.length === 1 && !match.not) this.#transport = protocolNumber(match.protocols[0] ?? '');
        return this.#among(match, match.not);
      case 'port':
        to.payload(PAYLOAD.transport, match.field === 'sport' ? 0 : 2, 2, 1);
        return this.#between(match.range);
      case 'icmp':
        this.#needsIcmp(this.#rule.family ?? 4);
        to.payload(PAYLOAD.transport, 0, 1, 1);
        return this.#among(match, false);
      case 'neighbour':
        this.#needsIcmp(6);
        to.payload(PAYLOAD.transport, 0, 1, 1);
        if (match.direction === 'out') return this.#among(match, false);
        to.payload(PAYLOAD.network, 7, 1, register(4));
        return this.#lookupAnonymous(false);
      case 'tcp-reset':
        this.#needsTransport(TCP);
        to.payload(PAYLOAD.transport, 13, 1, 1);
        to.mask(Buffer.of(TCP_RST));
        return to.compare(COMPARE.equal, Buffer.of(TCP_RST));
      case 'transparent-socket':
        to.socket('transparent');
        return to.compare(COMPARE.equal, Buffer.of(1));
      case 'local-destination':
        to.destinationType();
        return to.compare(COMPARE.equal, hostU32(RTN_LOCAL));
      case 'rate-over':
        return to.limitOver(match);
      case 'meter-over':
        this.#load([match.field]);
        return to.dynset(match.set, 'add', { limitOver: match });
      case 'connections-over':
        this.#load([match.field]);
        return to.dynset(match.set, 'add', { connectionsOver: match.count });
      case 'uncounted':
        this.#load([match.field]);
        return to.lookup(match.set, { not: true });
      case 'cgroup':
        to.socket('cgroup', match.level);
        return to.lookup(match.set, { not: match.not });
    }
  }

  /** What happens before the rule is counted. */
  #before(verdict: Exclude<Verdict, { kind: 'dispatch' }>): void {
    const to = this.#to;
    if (verdict.kind === 'divert') {
      const family = this.#rule.family ?? 4;
      to.immediate(family === 4 ? Buffer.of(127, 0, 0, 1) : Buffer.concat([Buffer.alloc(15), Buffer.of(1)]), 1);
      to.immediate(portBytes(verdict.port), 2);
      to.tproxy(NFPROTO[family], 1, 2);
      this.#markPacket();
    } else if (verdict.kind === 'admit') {
      to.meta(META.nfproto, 1);
      to.lookup(verdict.map, { to: 1 });
      to.setCt(CT.mark, 1);
    } else if (verdict.kind === 'block') {
      this.#load([verdict.field]);
      to.dynset(verdict.set, 'add', { timeoutMs: verdict.timeoutMs });
    } else if (verdict.kind === 'remember') {
      this.#load([verdict.field]);
      to.dynset(verdict.set, 'update', {});
    }
  }

  #verdict(verdict: Exclude<Verdict, { kind: 'dispatch' }>): void {
    const to = this.#to;
    switch (verdict.kind) {
      case 'accept':
      case 'drop':
      case 'return':
        return to.verdict(verdict.kind);
      case 'continue':
      case 'remember':
        return;
      case 'to-proxy':
        this.#markPacket();
        return to.verdict('accept');
      case 'divert':
      case 'admit':
        return to.verdict('accept');
      case 'reset':
        return to.rejectWithReset();
      case 'goto':
      case 'jump':
        return to.verdict(verdict.kind, verdict.chain);
      case 'block':
        return to.verdict('drop');
    }
  }

  #markPacket(): void {
    this.#to.immediate(hostU32(PROXY_MARK), 1);
    this.#to.setMeta(META.mark, 1);
  }

  #between([first, last]: readonly [number, number]): void {
    if (first === last) return this.#to.compare(COMPARE.equal, portBytes(first));
    this.#to.compare(COMPARE.atLeast, portBytes(first));
    this.#to.compare(COMPARE.atMost, portBytes(last));
  }

  /** Register 1 is one of the values that the match names. */
  #among(match: Match, not: boolean): void {
    const [first, ...more] = oneByteSet(match, this.#rule.family)?.values ?? [];
    if (first === undefined || more.length > 0) return this.#lookupAnonymous(not);
    this.#to.compare(not ? COMPARE.notEqual : COMPARE.equal, Buffer.of(first));
  }

  #lookupAnonymous(not: boolean): void {
    const id = this.#ids.shift();
    this.#to.lookup(ANONYMOUS_NAME, { not, ...(id === undefined ? {} : { id }) });
  }

  /** The fields of a key, each on its boundary of 4 bytes from register 1 on; first what they need to be known. */
  #load(fields: readonly Field[]): void {
    for (const field of fields) this.#needs(field);
    let offset = 0;
    for (const field of fields) {
      const length = this.#loadField(field, register(offset));
      offset += (length + 3) & ~3;
    }
  }

  #needs(field: Field): void {
    if (field === 'source' || field === 'destination') this.#needsNetwork(this.#family());
    if (field !== 'ether' || this.#ethernet) return;
    this.#to.meta(META.iiftype, 1);
    this.#to.compare(COMPARE.equal, Buffer.of(ARPHRD_ETHER, 0));
    this.#ethernet = true;
  }

  #needsNetwork(family: Family): void {
    if (this.#network === family) return;
    if (this.#ethernet) {
      this.#to.payload(PAYLOAD.link, 12, 2, 1);
      this.#to.compare(COMPARE.equal, portBytes(ETHERTYPE[family]));
    } else {
      this.#to.meta(META.nfproto, 1);
      this.#to.compare(COMPARE.equal, Buffer.of(NFPROTO[family]));
    }
    this.#network = family;
  }

  #needsIcmp(family: Family): void {
    if (this.#transport === ICMP[family]) return;
    this.#needsNetwork(family);
    this.#needsTransport(ICMP[family]);
  }

  #needsTransport(protocol: number): void {
    if (this.#transport === protocol) return;
    this.#to.meta(META.l4proto, 1);
    this.#to.compare(COMPARE.equal, Buffer.of(protocol));
    this.#transport = protocol;
  }

  /** Loads one field and gives its length in bytes. */
  #loadField(field: Field, into: number): number {
    const to = this.#to;
    switch (field) {
      case 'source':
      case 'destination': {
        const [offset, length] = addressFields[field][this.#family()];
        to.payload(PAYLOAD.network, offset, length, into);
        return length;
      }
      case 'protocol':
        to.meta(META.l4proto, into);
        return 1;
      case 'sport':
      case 'dport':
        to.payload(PAYLOAD.transport, field === 'sport' ? 0 : 2, 2, into);
        return 2;
      case 'in':
      case 'out':
        to.meta(field === 'in' ? META.iifname : META.oifname, into);
        return 16;
      case 'ether':
        to.payload(PAYLOAD.link, 6, 6, into);
        return 6;
      case 'family':
        to.meta(META.nfproto, into);
        return 1;
      case 'connection-mark':
        to.ct(CT.mark, into);
        return 4;
      case 'uid':
        to.meta(META.skuid, into);
        return 4;
    }
  }
}

/** The kernel replaces `%d` by a number. */
export const ANONYMOUS_NAME = '__set%d';

function interfaceBytes(name: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.write(name, 0, 15);
  return bytes;
}
