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

/** Several spans, each of joined parts, as one buffer: `head`, then for each its tag, length and parts. */
export function joinSpans(
  head: Uint8Array,
  spans: readonly { tag: number; parts: readonly Uint8Array[] }[],
): Uint8Array {
  let total = head.length;
  for (const { parts } of spans) {
    const length = lengthOf(parts);
    total += 1 + lengthBytes(length) + length;
  }
  const bytes = Buffer.allocUnsafe(total);
  bytes.set(head);
  let at = head.length;
  for (const { tag, parts } of spans) {
    bytes[at++] = tag;
    let rest = lengthOf(parts);
    for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
    bytes[at++] = rest;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
  }
  return bytes;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

const lengthBytes = (length: number): number => (length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4);
