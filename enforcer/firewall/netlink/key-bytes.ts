// Keys of sets as bytes and as text in the spelling of keys.ts. Fields of a concatenation stand on boundaries of 4 bytes; addresses and
// ports are as on the wire, numbers (marks, users, control groups) in host order, as libnftables writes and reads them.
import { ipv6Bytes } from '../../../runtime/linux.ts';
import { ipv6Text } from '../../../runtime/linux-packet.ts';
import { firewallErrors } from '../errors.ts';
import { canonicalField } from '../keys.ts';
import type { KeyType } from '../plan.ts';

interface KeyCodec {
  /** `enum datatypes` of libnftables: what `nft list` shows a set's type by. */
  readonly number: number;
  /** Bytes of the value. */
  readonly length: number;
  /** 1 host order, 2 big-endian, 0 neither. */
  readonly byteOrder: 0 | 1 | 2;
  write(text: string, into: Buffer, at: number): void;
  read(from: Buffer, at: number): string;
}

const wrong = (what: string, text: string): Error =>
  firewallErrors.error('FIREWALL_ADDRESS', `${JSON.stringify(text)} is no ${what}`);

/** Whole numbers in decimal, also `0x…`. */
function wholeNumber(text: string, max: number, what: string): number {
  const number = /^(\d{1,10}|0x[0-9a-f]{1,8})$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= max)) throw wrong(what, text);
  return number;
}

export const protocolNumber = (text: string): number =>
  wholeNumber(canonicalField(text, 'inet_proto'), 255, 'protocol of IP');

const NFPROTO = { ipv4: 2, ipv6: 10 } as const;

function writeIpv4(text: string, into: Buffer, at: number): void {
  let byte = -1;
  let place = 0;
  for (let index = 0; index <= text.length; index += 1) {
    const digit = text.charCodeAt(index) - 48;
    if (digit >= 0 && digit <= 9) {
      byte = (byte < 0 ? 0 : byte * 10) + digit;
    } else {
      if ((index < text.length && digit !== -2) || byte < 0 || byte > 255 || place > 3)
        throw wrong('IPv4 address', text);
      into[at + place] = byte;
      place += 1;
      byte = -1;
    }
  }
  if (place !== 4) throw wrong('IPv4 address', text);
}

const number = (length: 1 | 2 | 4, max: number, what: string): Pick<KeyCodec, 'write' | 'read'> => ({
  write: (text, into, at) => {
    into.writeUIntLE(wholeNumber(text, max, what), at, length);
  },
  read: (from, at) => String(from.readUIntLE(at, length)),
});

const codecs: Readonly<Record<KeyType, KeyCodec>> = {
  ipv4_addr: {
    number: 7,
    length: 4,
    byteOrder: 2,
    write: writeIpv4,
    read: (from, at) => `${from[at]}.${from[at + 1]}.${from[at + 2]}.${from[at + 3]}`,
  },
  ipv6_addr: {
    number: 8,
    length: 16,
    byteOrder: 2,
    write: (text, into, at) => {
      if (!text.includes(':')) throw wrong('IPv6 address', text);
      into.set(ipv6Bytes(text), at);
    },
    read: (from, at) => ipv6Text(from.subarray(at, at + 16)),
  },
  ether_addr: {
    number: 9,
    length: 6,
    byteOrder: 2,
    write: (text, into, at) => {
      if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text)) throw wrong('link-layer address', text);
      into.write(text.replaceAll(':', ''), at, 'hex');
    },
    read: (from, at) => [...from.subarray(at, at + 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
  },
  inet_proto: {
    number: 12,
    length: 1,
    byteOrder: 0,
    write: (text, into, at) => {
      into[at] = protocolNumber(text);
    },
    read: (from, at) => String(from[at]),
  },
  inet_service: {
    number: 13,
    length: 2,
    byteOrder: 2,
    write: (text, into, at) => {
      into.writeUInt16BE(wholeNumber(text, 65_535, 'port'), at);
    },
    read: (from, at) => String(from.readUInt16BE(at)),
  },
  ifname: {
    number: 41,
    length: 16,
    byteOrder: 1,
    write: (text, into, at) => {
      if (text === '' || Buffer.byteLength(text) > 15) throw wrong('interface name', text);
      into.fill(0, at, at + 16);
      into.write(text, at);
    },
    read: (from, at) => {
      const end = from.indexOf(0, at);
      return from.toString('utf8', at, end < 0 || end > at + 16 ? at + 16 : end);
    },
  },
  nf_proto: {
    number: 2,
    length: 1,
    byteOrder: 0,
    write: (text, into, at) => {
      if (text !== 'ipv4' && text !== 'ipv6') throw wrong('family', text);
      into[at] = NFPROTO[text];
    },
    read: (from, at) => (from[at] === NFPROTO.ipv4 ? 'ipv4' : from[at] === NFPROTO.ipv6 ? 'ipv6' : String(from[at])),
  },
  mark: { number: 19, length: 4, byteOrder: 1, ...number(4, 0xffffffff, 'mark') },
  uid: { number: 24, length: 4, byteOrder: 1, ...number(4, 0xffffffff, 'user number') },
  cgroupsv2: {
    number: 46,
    length: 8,
    byteOrder: 1,
    write: (text, into, at) => {
      const inode = canonicalField(text, 'cgroupsv2');
      if (!/^\d{1,19}$/.test(inode)) throw wrong('control group with its inode', text);
      into.writeBigUInt64LE(BigInt(inode), at);
    },
    read: (from, at) => String(from.readBigUInt64LE(at)),
  },
};

const TYPE_BITS = 6;
const padded = (length: number): number => (length + 3) & ~3;

/** How a set's keys lie in memory. */
export class KeyLayout {
  readonly types: readonly KeyType[];
  readonly #codecs: readonly KeyCodec[];
  readonly #offsets: readonly number[];
  /** Bytes of a key: of the value alone, or of the padded fields of a concatenation. */
  readonly length: number;
  /** Data type as libnftables numbers it, 6 bits a field. */
  readonly number: number;
  readonly byteOrder: number;
  /** Keys in the order of their bytes are in the order of their values. */
  readonly isOrdered: boolean;

  constructor(types: readonly KeyType[]) {
    this.types = types;
    this.#codecs = types.map((type) => codecs[type]);
    const offsets: number[] = [];
    let end = 0;
    for (const codec of this.#codecs) {
      offsets.push(end);
      end += padded(codec.length);
    }
    this.#offsets = offsets;
    const [only] = this.#codecs;
    this.length = types.length === 1 && only !== undefined ? only.length : end;
    this.number = this.#codecs.reduce((all, codec) => ((all << TYPE_BITS) | codec.number) >>> 0, 0);
    this.isOrdered = this.#codecs.every((codec) => codec.byteOrder !== 1);
    this.byteOrder = types.length === 1 && only !== undefined ? only.byteOrder : 0;
  }

  /** Bytes of each field, without padding: what the kernel's interval sets of several fields are told. */
  fieldLengths(): number[] {
    return this.#codecs.map((codec) => codec.length);
  }

  /** The key of an element without ranges. Throws FIREWALL_ADDRESS. */
  write(key: readonly string[]): Buffer {
    const bytes = Buffer.alloc(this.length);
    this.writeAt(key, bytes, 0);
    return bytes;
  }

  /** As `write`, into `length` bytes that are zero. */
  writeAt(key: readonly string[], into: Buffer, at: number): void {
    for (let index = 0; index < this.#codecs.length; index += 1) {
      this.#codecs[index]?.write(key[index] ?? '', into, at + (this.#offsets[index] ?? 0));
    }
  }

  /** First and last key of an element whose fields may be ranges `a-b`. */
  writeRange(key: readonly string[]): { readonly first: Buffer; readonly last: Buffer } {
    const ends = key.map((field, index) => rangeEnds(field, this.types[index]));
    return { first: this.write(ends.map(([first]) => first)), last: this.write(ends.map(([, last]) => last)) };
  }

  /** The key at `at` as text, fields joined as `canonicalKey` joins them. */
  textAt(bytes: Buffer, at: number): string {
    let text = this.#codecs[0]?.read(bytes, at) ?? '';
    for (let index = 1; index < this.#codecs.length; index += 1) {
      text += ` . ${this.#codecs[index]?.read(bytes, at + (this.#offsets[index] ?? 0)) ?? ''}`;
    }
    return text;
  }

  /** The range from one key to another; a field whose ends are equal as itself. */
  rangeText(first: Buffer, last: Buffer): string {
    return this.#codecs
      .map((codec, index) => {
        const at = this.#offsets[index] ?? 0;
        const [from, to] = [codec.read(first, at), codec.read(last, at)];
        return from === to ? from : `${from}-${to}`;
      })
      .join(' . ');
  }
}

/** Names of interfaces and paths may hold a hyphen, so only what is ordered has ranges. */
function rangeEnds(field: string, type: KeyType | undefined): [string, string] {
  const at = type === 'ifname' || type === 'cgroupsv2' ? -1 : field.indexOf('-');
  return at < 0 ? [field, field] : [field.slice(0, at), field.slice(at + 1)];
}

/** The types of a set by the number that libnftables gave it; undefined for one that no plan has. */
export function keyTypesOf(number: number): KeyType[] | undefined {
  const types: (KeyType | undefined)[] = [];
  for (let rest = number; rest > 0; rest >>>= TYPE_BITS) types.unshift(typesByNumber.get(rest & 0x3f));
  return types.every((type) => type !== undefined) && types.length > 0 ? types : undefined;
}

const typesByNumber = new Map(Object.entries(codecs).map(([type, codec]) => [codec.number, type as KeyType]));

const layouts = new Map<string, KeyLayout>();

export function keyLayout(types: readonly KeyType[]): KeyLayout {
  const name = types.join('.');
  const known = layouts.get(name) ?? new KeyLayout(types);
  layouts.set(name, known);
  return known;
}
