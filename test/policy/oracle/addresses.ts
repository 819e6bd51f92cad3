// IP addresses, read strictly (RFC 4291 section 2.2, dotted decimal): the specification's own reader, so that the
// engine's library and node-casbin's copy of node-ip are both held against a third.

export interface Address {
  readonly width: 32 | 128;
  readonly bits: bigint;
  /** An IPv6 text with an IPv4 address in its last 32 bits: `mapped` is ::ffff:0:0/96, `compatible` is ::/96. */
  readonly carries?: 'mapped' | 'compatible';
}

export function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) {
    const bits = parseDotted(text);
    return bits === undefined ? undefined : { width: 32, bits };
  }
  const bits = parseWords(text);
  // ::1.2.3.4 is deprecated (RFC 4291 section 2.5.5.1), and readers differ on whether it is 1.2.3.4.
  if (bits === undefined || (text.includes('.') && bits >> 32n === 0n)) return undefined;
  const top = bits >> 32n;
  const last = bits & 0xffff_ffffn;
  if (top === 0xffffn) return { width: 32, bits: last, carries: 'mapped' };
  return top === 0n ? { width: 128, bits, carries: 'compatible' } : { width: 128, bits };
}

export interface Network extends Address {
  readonly prefix: number;
}

export function parseNetwork(text: string): Network | undefined {
  const [address = '', length, ...more] = text.split('/');
  const parsed = parseAddress(address);
  if (parsed === undefined || parsed.carries === 'mapped' || more.length > 0) return undefined;
  if (length === undefined) return { ...parsed, prefix: parsed.width };
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > parsed.width) return undefined;
  return { ...parsed, prefix: Number(length) };
}

export function contains(network: Network, address: Address): boolean {
  const host = BigInt(network.width - network.prefix);
  return network.width === address.width && network.bits >> host === address.bits >> host;
}

function parseDotted(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || parts.some((part) => !/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255))
    return undefined;
  return parts.reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function parseWords(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, rest] = halves.map((half, index) => words(half, index === halves.length - 1));
  if (head === undefined || (halves.length === 2 && rest === undefined)) return undefined;
  const missing = 8 - head.length - (rest?.length ?? 0);
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array.from({ length: halves.length === 2 ? missing : 0 }, () => 0), ...(rest ?? [])];
  return all.reduce((bits, word) => (bits << 16n) | BigInt(word), 0n);
}

function words(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const result: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (last && index === parts.length - 1 && part.includes('.')) {
      const dotted = parseDotted(part);
      if (dotted === undefined) return undefined;
      result.push(Number(dotted >> 16n), Number(dotted & 0xffffn));
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      result.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return result;
}
