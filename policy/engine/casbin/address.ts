// IP addresses as four 32-bit words. An IPv4-mapped IPv6 address is the IPv4 address it carries.
import ipaddr from 'ipaddr.js';

export interface Address {
  readonly family: 4 | 6;
  /** Most significant word first; an IPv4 address is one word. */
  readonly words: readonly number[];
}

/** ::1.2.3.4, deprecated by RFC 4291 section 2.5.5.1: the library reads it as 1.2.3.4, others as ::102:304. */
const compatible = /^[0:]+:[0-9]+\./;

let lastText = '';
let lastAddress: Address | undefined;

/**
 * Dotted decimal or IPv6 without a zone; no octal, no short forms, which other programs read differently. One request asks
 * about the same text for many lines, so the last answer is kept.
 */
export function readAddress(text: string): Address | undefined {
  if (text !== lastText) {
    lastAddress = parseAddress(text);
    lastText = text;
  }
  return lastAddress;
}

function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) return readDotted(text);
  if (text.includes('%') || compatible.test(text) || !ipaddr.IPv6.isValid(text)) return undefined;
  const bytes = ipaddr.process(text).toByteArray();
  const words: number[] = [];
  for (let at = 0; at < bytes.length; at += 4) words.push(word(bytes, at));
  return { family: words.length === 1 ? 4 : 6, words };
}

/** The first `bits` bits; the others are zero. */
export function networkOf({ family, words }: Address, bits: number): Address {
  return { family, words: words.map((value, index) => (value & maskOf(bits - index * 32)) >>> 0) };
}

export function inNetwork(address: Address, network: Address, bits: number): boolean {
  if (address.family !== network.family) return false;
  for (let index = 0; index < network.words.length; index++) {
    const different = (address.words[index] ?? 0) ^ (network.words[index] ?? 0);
    if ((different & maskOf(bits - index * 32)) !== 0) return false;
  }
  return true;
}

export const longestPrefix = (family: Address['family']): number => (family === 4 ? 32 : 128);

function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

function word(bytes: readonly number[], at: number): number {
  let value = 0;
  for (let index = at; index < at + 4; index++) value = (value * 256 + (bytes[index] ?? 0)) >>> 0;
  return value;
}

function readDotted(text: string): Address | undefined {
  let value = 0;
  let parts = 0;
  let at = 0;
  while (at < text.length || parts === 0) {
    let part = 0;
    const start = at;
    for (; at < text.length; at++) {
      const digit = text.charCodeAt(at) - 48;
      if (digit < 0 || digit > 9) break;
      part = part * 10 + digit;
      if (part > 255 || at - start > 2) return undefined;
    }
    // A leading zero is octal to some programs.
    if (at === start || (at - start > 1 && text[start] === '0')) return undefined;
    value = (value * 256 + part) >>> 0;
    parts++;
    if (at === text.length) break;
    if (text[at] !== '.' || parts === 4 || ++at === text.length) return undefined;
  }
  return parts === 4 ? { family: 4, words: [value] } : undefined;
}
