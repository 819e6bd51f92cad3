// Reads the presentation language of TLS (RFC 8446, section 3): numbers and vectors, each within its bounds.

/** What is wrong with the bytes, in words. */
export class CursorFault extends Error {
  override readonly name = 'CursorFault';
}

export interface Cursor {
  readonly left: () => number;
  /** Big endian, of `size` bytes. */
  readonly uint: (size: number, what: string) => number;
  readonly bytes: (count: number, what: string) => Buffer;
  /** Its length in `size` bytes, then as many bytes; `bounds` are inclusive. */
  readonly vector: (size: number, bounds: readonly [least: number, most: number], what: string) => Buffer;
  /** Throws when something is left. */
  readonly end: (what: string) => void;
}

/** Each of its functions throws a CursorFault when the bytes are not there. */
export function createCursor(buffer: Buffer): Cursor {
  let at = 0;
  const bytes = (count: number, what: string): Buffer => {
    if (count > buffer.length - at) throw new CursorFault(`${what} is longer than what holds it`);
    at += count;
    return buffer.subarray(at - count, at);
  };
  const uint = (size: number, what: string): number => bytes(size, what).readUIntBE(0, size);
  return {
    left: () => buffer.length - at,
    uint,
    bytes,
    vector: (size, [least, most], what) => {
      const length = uint(size, what);
      if (length < least || length > most) throw new CursorFault(`${what} of ${length} bytes`);
      return bytes(length, what);
    },
    end: (what) => {
      if (at < buffer.length) throw new CursorFault(`${buffer.length - at} bytes behind the end of ${what}`);
    },
  };
}
