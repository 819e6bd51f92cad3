// IP addresses as numbers, and prefixes as ranges of them: joined, compared, and written as prefixes again (RFC 4632,
// RFC 4291).
import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;

/** Both ends included. */
export interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
}

const bitsOf = { 4: 32, 6: 128 } as const;

export function cidrFamily(cidr: string): Family {
  return cidr.includes(':') ? 6 : 4;
}

/** Throws for text that is no address. */
export function addressNumber(text: string): bigint {
  return ipaddr
    .parse(text)
    .toByteArray()
    .reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

/** Dotted decimal, or RFC 5952. */
export function addressText(family: Family, number: bigint): string {
  const count = bitsOf[family] / 8;
  const bytes = Array.from({ length: count }, (_, index) =>
    Number((number >> BigInt(8 * (count - 1 - index))) & 0xffn),
  );
  const address = ipaddr.fromByteArray(bytes);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/** `10.0.0.0/8` or one address; host bits count as not set. Throws for text that is neither. */
export function cidrRange(cidr: string): AddressRange {
  const bits = bitsOf[cidrFamily(cidr)];
  const [base = '', length = String(bits)] = cidr.split('/');
  const host = (1n << BigInt(bits - Number(length))) - 1n;
  const first = addressNumber(base) & ~host;
  return { first, last: first | host };
}

/** Disjoint and in order, neighbours joined. Ranges of one family. */
export function mergeRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: { first: bigint; last: bigint }[] = [];
  for (const range of ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const previous = merged.at(-1);
    if (previous !== undefined && range.first <= previous.last + 1n) {
      if (range.last > previous.last) previous.last = range.last;
    } else merged.push({ ...range });
  }
  return merged;
}

/** The range of merged ones that shares an address with `wanted`, if any. */
export function overlapping(merged: readonly AddressRange[], wanted: AddressRange): AddressRange | undefined {
  let [low, high] = [0, merged.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (merged[middle]!.last < wanted.first) low = middle + 1;
    else high = middle;
  }
  const found = merged[low];
  return found !== undefined && found.first <= wanted.last ? found : undefined;
}

/** `10.0.0.0-10.255.255.255`. */
export function rangeText(family: Family, { first, last }: AddressRange): string {
  return `${addressText(family, first)}-${addressText(family, last)}`;
}

/** The fewest prefixes that are exactly this range, in order. */
export function rangeCidrs(family: Family, { first, last }: AddressRange): string[] {
  const cidrs: string[] = [];
  for (let from = first; from <= last;) {
    let host = 0;
    while (
      host < bitsOf[family] &&
      (from & (1n << BigInt(host))) === 0n &&
      from + (1n << BigInt(host + 1)) - 1n <= last
    ) {
      host += 1;
    }
    cidrs.push(`${addressText(family, from)}/${bitsOf[family] - host}`);
    from += 1n << BigInt(host);
  }
  return cidrs;
}
