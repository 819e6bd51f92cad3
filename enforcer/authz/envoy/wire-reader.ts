// Walks protobuf bytes without building messages (protobuf.dev, "Encoding"): tags, varints, spans. What a strict reader
// would refuse it refuses with WireFault; unknown fields are for the caller to skip. Groups are refused: proto3 has none.

export class WireFault extends Error {}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

export class WireReader {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Tag of the next field: its number times 8 plus its wire type. */
  tag(end: number): number {
    const tag = this.#uint32(end);
    if (tag < 8) throw new WireFault('field number 0');
    return tag;
  }

  /** Reads the length of a span and returns where it ends; `at` is where it begins. */
  span(end: number): number {
    const length = this.#uint32(end);
    const stop = this.at + length;
    if (stop > end) throw new WireFault('longer than what holds it');
    return stop;
  }

  /** A varint that has to fit 32 bits without sign. */
  uint32(end: number): number {
    return this.#uint32(end);
  }

  /**
   * Passes over a field that the caller does not read. `read` has the bit of each field number (below 32) that it does: such a
   * field with another wire type is unknown to one decoder and a value to the next.
   */
  skip(tag: number, end: number, read = 0): void {
    if (tag < 256 && ((read >>> (tag >>> 3)) & 1) === 1) throw new WireFault('a field of another wire type');
    switch (tag & 7) {
      case VARINT:
        this.#skipVarint(end);
        return;
      case FIXED64:
        this.at += 8;
        break;
      case BYTES:
        this.at = this.span(end);
        return;
      case FIXED32:
        this.at += 4;
        break;
      default:
        throw new WireFault('wire type that proto3 has not');
    }
    if (this.at > end) throw new WireFault('cut short');
  }

  #uint32(end: number): number {
    const { bytes } = this;
    let at = this.at;
    if (at >= end) throw new WireFault('cut short');
    let byte = bytes[at++] as number;
    if (byte < 0x80) {
      this.at = at;
      return byte;
    }
    let value = byte & 0x7f;
    for (let factor = 0x80; factor <= 0x1000_0000; factor *= 0x80) {
      if (at >= end) throw new WireFault('cut short');
      byte = bytes[at++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        this.at = at;
        return value;
      }
    }
    throw new WireFault('number beyond 32 bits');
  }

  #skipVarint(end: number): void {
    for (let count = 0; count < 10; count++) {
      if (this.at >= end) throw new WireFault('cut short');
      if ((this.bytes[this.at++] as number) < 0x80) return;
    }
    throw new WireFault('varint of more than ten bytes');
  }
}
