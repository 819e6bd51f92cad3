// The data types that packets are made of (MQTT 5.0 section 1.5; 3.1.1 has a part of the same). Reading is strict: what
// two readers could take for two things is malformed.
import { isUtf8 } from 'node:buffer';

/** Bytes that are no MQTT; its message says what was found. Thrown while a packet is read, and caught in decode.ts. */
export class Malformed extends Error {}

export interface FieldReader {
  readonly rest: () => number;
  readonly byte: () => number;
  readonly uint16: () => number;
  readonly uint32: () => number;
  /** 1.5.5, in as few bytes as possible. */
  readonly variable: () => number;
  /** 1.5.4, see {@link text}. */
  readonly text: () => string;
  /** 1.5.6. */
  readonly binary: () => Buffer;
  readonly bytes: (count: number) => Buffer;
}

/** Everything throws {@link Malformed} beyond the end. */
export function createFieldReader(bytes: Buffer): FieldReader {
  let at = 0;
  const take = (count: number): number => {
    if (count > bytes.length - at) throw new Malformed('a field is longer than what holds it');
    at += count;
    return at - count;
  };
  const slice = (count: number): Buffer => {
    const start = take(count);
    return bytes.subarray(start, start + count);
  };
  const binary = (): Buffer => slice(bytes.readUInt16BE(take(2)));
  return {
    rest: () => bytes.length - at,
    byte: () => bytes.readUInt8(take(1)),
    uint16: () => bytes.readUInt16BE(take(2)),
    uint32: () => bytes.readUInt32BE(take(4)),
    variable() {
      let value = 0;
      for (let index = 0; index < 4; index++) {
        const byte = bytes.readUInt8(take(1));
        value += (byte & 0x7f) * 0x80 ** index;
        if (byte < 0x80) {
          if (byte === 0 && index > 0) throw new Malformed('a number takes more bytes than it needs');
          return value;
        }
      }
      throw new Malformed('a number takes more than four bytes');
    },
    text: () => text(binary()),
    binary,
    bytes: slice,
  };
}

/**
 * U+0000 is forbidden; control characters and non-characters are what a receiver may refuse (1.5.4), and is right to:
 * they end in logs, and brokers differ about them.
 */
const refusedCharacters = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;

/** Well-formed UTF-8 without surrogates, overlong forms, control characters and non-characters. */
function text(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new Malformed('a string is not UTF-8');
  // Nothing is stripped: U+FEFF at the start belongs to the string (1.5.4).
  const string = bytes.toString('utf8');
  if (refusedCharacters.test(string)) throw new Malformed('a string has a control character or a non-character');
  return string;
}

/** Largest value of a variable byte integer, four bytes of seven bits (1.5.5). */
export const maxVariable = 0x0f_ff_ff_ff;

export function encodeVariable(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const more = rest > 0x7f;
    bytes.push((rest & 0x7f) | (more ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.from(bytes);
}

export function encodeUint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function encodeUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** RangeError above 65,535 bytes: only what was decoded, and names of ours, are written. */
export function encodeBinary(bytes: Buffer): Buffer {
  return Buffer.concat([encodeUint16(bytes.length), bytes]);
}

export function encodeText(string: string): Buffer {
  return encodeBinary(Buffer.from(string, 'utf8'));
}
