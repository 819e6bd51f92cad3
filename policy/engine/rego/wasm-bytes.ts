// Reading and writing the binary format of WebAssembly (core specification, 5.2): bytes, LEB128 numbers, vectors.
// What ends too early or is longer than it may be is refused with ENGINE_REGO_MODULE.
import { engineErrors } from '../errors.ts';

export class ByteReader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get position(): number {
    return this.#position;
  }

  get ended(): boolean {
    return this.#position === this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#position];
    if (value === undefined) throw truncated();
    this.#position += 1;
    return value;
  }

  take(length: number): Uint8Array {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw truncated();
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }

  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.#position);
  }

  between(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(from, to);
  }

  u32(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw engineErrors.error('ENGINE_REGO_MODULE', 'a number beyond 32 bits');
  }

  /** The length of a vector; each element takes a byte at least. */
  count(): number {
    const count = this.u32();
    if (count > this.#bytes.length - this.#position) throw truncated();
    return count;
  }

  /** A signed or unsigned LEB128 number of at most 64 bits, whatever its value. */
  skipLeb(): void {
    for (let length = 0; length < 10; length++) if (this.byte() < 0x80) return;
    throw engineErrors.error('ENGINE_REGO_MODULE', 'a number beyond 64 bits');
  }
}

function truncated(): Error {
  return engineErrors.error('ENGINE_REGO_MODULE', 'the module ends in the middle of something');
}

/** Not negative and below 2^31, with room for a sign: reads the same as unsigned and as signed LEB128. */
export function leb128(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x40) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

export function bytesOf(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}

/** Content with its length before it. */
export function sized(content: Uint8Array): Uint8Array {
  return bytesOf(leb128(content.length), content);
}

export function vector(elements: readonly Uint8Array[]): Uint8Array {
  return bytesOf(leb128(elements.length), ...elements);
}
