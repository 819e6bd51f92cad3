// Text out of protobuf bytes. Short words that come again and again (methods, interface names, addresses) are found by
// their bytes instead of being built anew; a caller cannot make the table grow beyond its bound.
import { WireFault } from './wire-reader.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const isAscii = (bytes: Uint8Array, start: number, end: number): boolean => {
  for (let at = start; at < end; at++) if ((bytes[at] as number) >= 0x80) return false;
  return true;
};

/** Text of the bytes; throws WireFault where they are not UTF-8, as a proto3 `string` has to be. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  if (isAscii(bytes, start, end)) return bytes.toString('latin1', start, end);
  try {
    return utf8.decode(bytes.subarray(start, end));
  } catch {
    throw new WireFault('text that is not UTF-8');
  }
}

interface Word {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Bytes that one table remembers, and as many characters of text: then it begins anew. Strangers choose what it holds. */
const mostBytes = 16 * 1024 * 1024;

/** Remembers texts by their bytes. A word has two slots; where both are taken, the newcomer replaces one of them. */
export class Words {
  readonly #slots: (Word | undefined)[];
  #remembered = 0;
  readonly #longest: number;
  readonly #read: (bytes: Buffer, start: number, end: number) => string;

  /** `slots` is a power of two; what has more bytes than `longest` is not remembered: strangers choose it. */
  constructor(slots: number, longest: number, read: (bytes: Buffer, start: number, end: number) => string = textOf) {
    this.#slots = Array.from({ length: slots }, () => undefined);
    this.#longest = longest;
    this.#read = read;
  }

  text(bytes: Buffer, start: number, end: number): string {
    if (end - start > this.#longest) return this.#read(bytes, start, end);
    const slots = this.#slots;
    const hash = hashOf(bytes, start, end);
    const first = hash & (slots.length - 1);
    const found = slots[first];
    if (found !== undefined && isSame(found.bytes, bytes, start, end)) return found.text;
    const second = (hash >>> 16) & (slots.length - 1);
    const other = slots[second];
    if (other !== undefined && isSame(other.bytes, bytes, start, end)) return other.text;
    const text = this.#read(bytes, start, end);
    this.#remember(found === undefined ? first : second, {
      bytes: Uint8Array.prototype.slice.call(bytes, start, end),
      text,
    });
    return text;
  }

  /** Bytes that are remembered. */
  get size(): number {
    return this.#remembered;
  }

  #remember(slot: number, word: Word): void {
    this.#remembered += word.bytes.length - (this.#slots[slot]?.bytes.length ?? 0);
    if (this.#remembered > mostBytes) {
      this.#slots.fill(undefined);
      this.#remembered = word.bytes.length;
    }
    this.#slots[slot] = word;
  }
}

/** Bytes that a long value is found by: its last ones, where certificates differ (their signature). */
const HASHED_BYTES = 64;
/** From here on the native comparison is faster than a loop. */
const NATIVE_BYTES = 64;

/** FNV-1a over the length and the last bytes. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 ^ (end - start);
  for (let at = Math.max(start, end - HASHED_BYTES); at < end; at++) {
    hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  }
  return hash ^ (hash >>> 15);
}

function isSame(known: Uint8Array, bytes: Buffer, start: number, end: number): boolean {
  const { length } = known;
  if (end - start !== length) return false;
  if (length > NATIVE_BYTES) return bytes.compare(known, 0, length, start, end) === 0;
  for (let at = 0; at < length; at++) if (known[at] !== bytes[start + at]) return false;
  return true;
}
