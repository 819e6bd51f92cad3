// Protobuf bytes of small messages (protobuf.dev, "Encoding"): fields are made once and joined often.

const BYTES = 2;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}

export const varintField = (field: number, value: number): Buffer =>
  Buffer.from([...varint(field * 8), ...varint(value)]);

export const stringField = (field: number, text: string): Buffer => spanField(field, [Buffer.from(text, 'utf8')]);

/** A message or string whose bytes are the parts, joined. */
export function spanField(field: number, parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  return Buffer.concat([Buffer.from([...varint(field * 8 + BYTES), ...varint(length)]), ...parts]);
}

/** `head`, then two spans, each a tag of one byte, a length and its joined parts. */
export function joinSpans(
  head: Uint8Array,
  firstTag: number,
  first: readonly Uint8Array[],
  secondTag: number,
  second: readonly Uint8Array[],
): Uint8Array {
  const firstLength = lengthOf(first);
  const secondLength = lengthOf(second);
  const total = head.length + 2 + lengthBytes(firstLength) + firstLength + lengthBytes(secondLength) + secondLength;
  const bytes = Buffer.allocUnsafe(total);
  bytes.set(head);
  const at = writeSpan(bytes, head.length, firstTag, firstLength, first);
  writeSpan(bytes, at, secondTag, secondLength, second);
  return bytes;
}

function writeSpan(bytes: Buffer, start: number, tag: number, length: number, parts: readonly Uint8Array[]): number {
  let at = start;
  bytes[at++] = tag;
  let rest = length;
  for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at++] = rest;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return at;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

const lengthBytes = (length: number): number => (length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4);
