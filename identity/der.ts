// DER (ITU-T X.690 section 10), written and read strictly: definite minimal lengths, no trailing bytes, canonical
// primitives, sorted SETs. One value has one encoding here, so bytes that were verified are the bytes that were parsed.
import { isUtf8 } from 'node:buffer';
import { identityError } from './errors.ts';
import { MAX_DER_BYTES, MAX_DER_DEPTH, MAX_DER_ELEMENTS } from './limits.ts';

/** Identifier octets that we use; context tags are made by `contextTag`. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const CONSTRUCTED = 0x20;
const CONTEXT = 0x80;

/** Identifier octet of a context-specific tag. */
export function contextTag(number: number, constructed: boolean): number {
  return CONTEXT | (constructed ? CONSTRUCTED : 0) | number;
}

// ---- writer ----------------------------------------------------------------------------------------------------

function encodeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

/** One element: identifier octet, length, contents joined. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag]), encodeLength(length), ...contents]);
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(tags.sequence, ...parts);
}

/** SET OF; its elements are sorted as X.690 section 11.6 wants. */
export function setOf(...parts: readonly Uint8Array[]): Buffer {
  return element(tags.set, ...parts.toSorted((a, b) => Buffer.compare(a, b)));
}

function bigEndian(value: number): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
}

/** A non-negative INTEGER from big-endian bytes or a small number. */
export function integer(value: Uint8Array | number): Buffer {
  const bytes = typeof value === 'number' ? bigEndian(value) : value;
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const trimmed = bytes.subarray(start);
  const sign = trimmed.length === 0 || (trimmed[0] ?? 0) >= 0x80 ? Buffer.alloc(1) : Buffer.alloc(0);
  return element(tags.integer, sign, trimmed);
}

export function boolean(value: boolean): Buffer {
  return element(tags.boolean, Buffer.from([value ? 0xff : 0x00]));
}

export function octetString(...contents: readonly Uint8Array[]): Buffer {
  return element(tags.octetString, ...contents);
}

export function bitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return element(tags.bitString, Buffer.from([unusedBits]), bytes);
}

/** A BIT STRING of named bits (X.690 section 11.2.2: no trailing zero bits). */
export function namedBits(...positions: readonly number[]): Buffer {
  if (positions.length === 0) return bitString(Buffer.alloc(0));
  const last = Math.max(...positions);
  const bytes = Buffer.alloc(Math.floor(last / 8) + 1);
  for (const position of positions) {
    const index = Math.floor(position / 8);
    bytes[index] = (bytes[index] ?? 0) | (0x80 >> (position % 8));
  }
  return bitString(bytes, 7 - (last % 8));
}

export function utf8String(text: string): Buffer {
  return element(tags.utf8String, Buffer.from(text, 'utf8'));
}

export function ia5String(text: string): Buffer {
  return element(tags.ia5String, Buffer.from(text, 'ascii'));
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const group = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) group.unshift(0x80 | (left % 128));
    bytes.push(...group);
  }
  return element(tags.oid, Buffer.from(bytes));
}

/** Context-specific and constructed: `[number] { parts }`. */
export function context(number: number, ...parts: readonly Uint8Array[]): Buffer {
  return element(contextTag(number, true), ...parts);
}

/** Context-specific and primitive: `[number] IMPLICIT bytes`. */
export function contextPrimitive(number: number, bytes: Uint8Array): Buffer {
  return element(contextTag(number, false), bytes);
}

/** Time of a certificate: UTCTime through 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5); whole seconds. */
export function time(milliseconds: number): Buffer {
  const text = new Date(milliseconds).toISOString();
  const digits = text.replace(/[-:T]/g, '').slice(0, 14);
  if (!/^\d{14}$/.test(digits) || digits < '1950') throw new RangeError(`time ${text} has no place in a certificate`);
  return digits < '2050'
    ? element(tags.utcTime, Buffer.from(`${digits.slice(2)}Z`, 'ascii'))
    : element(tags.generalizedTime, Buffer.from(`${digits}Z`, 'ascii'));
}

// ---- reader ----------------------------------------------------------------------------------------------------

/** One parsed element. `children` is empty for primitive elements; all bytes are views into the input. */
export interface DerNode {
  readonly tag: number;
  readonly contents: Buffer;
  /** Identifier, length and contents. */
  readonly raw: Buffer;
  readonly children: readonly DerNode[];
}

function invalid(reason: string): Error {
  return identityError('IDENTITY_DER_INVALID', `DER refused: ${reason}`);
}

interface Budget {
  elements: number;
}

/** Parses exactly one element that fills `bytes`. */
export function parseDer(bytes: Uint8Array, maxBytes: number = MAX_DER_BYTES): DerNode {
  if (bytes.length > maxBytes)
    throw identityError('IDENTITY_TOO_LARGE', `DER value has ${bytes.length} bytes, at most ${maxBytes} are read`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const node = parseElement(buffer, 0, { elements: 0 });
  if (node.raw.length !== buffer.length) throw invalid('bytes follow the value');
  return node;
}

function parseElement(bytes: Buffer, depth: number, budget: Budget): DerNode {
  if (depth > MAX_DER_DEPTH) throw invalid(`more than ${MAX_DER_DEPTH} levels`);
  if (++budget.elements > MAX_DER_ELEMENTS) throw invalid(`more than ${MAX_DER_ELEMENTS} elements`);
  const tag = bytes[0];
  if (tag === undefined) throw invalid('the value is cut short');
  if ((tag & 0x1f) === 0x1f) throw invalid('tag numbers above 30 are not used');
  const { headerLength, length } = parseLength(bytes);
  const end = headerLength + length;
  if (end > bytes.length) throw invalid('the value is cut short');
  const contents = bytes.subarray(headerLength, end);
  const constructed = (tag & CONSTRUCTED) !== 0;
  const children: DerNode[] = [];
  if (constructed) {
    for (let at = 0; at < contents.length;) {
      const child = parseElement(contents.subarray(at), depth + 1, budget);
      children.push(child);
      at += child.raw.length;
    }
  }
  const node = { tag, contents, raw: bytes.subarray(0, end), children };
  checkUniversal(node);
  return node;
}

function parseLength(bytes: Buffer): { headerLength: number; length: number } {
  const first = bytes[1];
  if (first === undefined) throw invalid('the value is cut short');
  if (first < 0x80) return { headerLength: 2, length: first };
  const count = first & 0x7f;
  if (count === 0) throw invalid('indefinite length');
  if (count > 3) throw invalid('length of more than 3 bytes');
  if (bytes.length < 2 + count) throw invalid('the value is cut short');
  const length = bytes.readUIntBE(2, count);
  if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw invalid('length is not minimal');
  return { headerLength: 2 + count, length };
}

/** Canonical form of the universal types; a universal type that we do not know is refused. */
function checkUniversal(node: DerNode): void {
  const { tag, contents } = node;
  if ((tag & 0xc0) === CONTEXT) return;
  if ((tag & 0xc0) !== 0) throw invalid('application and private tags are not used');
  switch (tag) {
    case tags.sequence:
      return;
    case tags.set:
      return checkSorted(node);
    case tags.boolean:
      if (contents.length !== 1 || (contents[0] !== 0 && contents[0] !== 0xff))
        throw invalid('BOOLEAN is not 00 or FF');
      return;
    case tags.integer:
    case tags.enumerated:
      return checkInteger(contents);
    case tags.bitString:
      return checkBitString(contents);
    case tags.null:
      if (contents.length !== 0) throw invalid('NULL has contents');
      return;
    case tags.oid:
      return checkOid(contents);
    case tags.octetString:
      return;
    case tags.utf8String:
      if (!isUtf8(contents)) throw invalid('UTF8String is not UTF-8');
      return;
    case tags.printableString:
      if (!/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(contents.toString('latin1')))
        throw invalid('PrintableString has another character');
      return;
    case tags.ia5String:
      if (contents.some((byte) => byte >= 0x80)) throw invalid('IA5String is not ASCII');
      return;
    case tags.utcTime:
    case tags.generalizedTime:
      readTime(node);
      return;
    default:
      throw invalid(`universal type 0x${tag.toString(16)} is not used`);
  }
}

function checkSorted(node: DerNode): void {
  node.children.reduce<DerNode | undefined>((previous, next) => {
    if (previous && Buffer.compare(previous.raw, next.raw) > 0) throw invalid('SET is not sorted');
    return next;
  }, undefined);
}

function checkInteger(contents: Buffer): void {
  const [first, second] = contents;
  if (first === undefined) throw invalid('INTEGER is empty');
  if (second === undefined) return;
  if ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)) throw invalid('INTEGER is not minimal');
}

function checkBitString(contents: Buffer): void {
  const unused = contents[0];
  if (unused === undefined || unused > 7 || (unused > 0 && contents.length === 1))
    throw invalid('BIT STRING counts its unused bits wrongly');
  const last = contents[contents.length - 1] ?? 0;
  if (unused > 0 && (last & ((1 << unused) - 1)) !== 0) throw invalid('BIT STRING has unused bits set');
}

function checkOid(contents: Buffer): void {
  if (contents.length === 0 || contents.length > 64) throw invalid('OBJECT IDENTIFIER has a bad length');
  let start = true;
  let groups = 0;
  for (const byte of contents) {
    if (start && byte === 0x80) throw invalid('OBJECT IDENTIFIER is not minimal');
    groups = start ? 1 : groups + 1;
    // 7 groups are 49 bits: what a number holds exactly.
    if (groups > 7) throw invalid('OBJECT IDENTIFIER has an arc of more than 49 bits');
    start = byte < 0x80;
  }
  if (!start) throw invalid('OBJECT IDENTIFIER is cut short');
}

/** Dotted form of an OBJECT IDENTIFIER. */
export function readOid(node: DerNode): string {
  expectTag(node, tags.oid, 'OBJECT IDENTIFIER');
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of node.contents) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [head = 0, ...rest] = arcs;
  const first = Math.min(Math.floor(head / 40), 2);
  return [first, head - first * 40, ...rest].join('.');
}

/** Milliseconds since the epoch of a UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 allows them. */
export function readTime(node: DerNode): number {
  const text = node.contents.toString('latin1');
  const utc = node.tag === tags.utcTime;
  if (!utc && node.tag !== tags.generalizedTime) throw invalid('a time was expected');
  if (!(utc ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text)) throw invalid('time is not in the form of RFC 5280');
  const century = text.slice(0, 2) < '50' ? '20' : '19';
  const digits = utc ? century + text.slice(0, 12) : text.slice(0, 14);
  if (!utc && digits < '2050') throw invalid('GeneralizedTime before 2050');
  const [year, month, day, hour, minute, second] = [digits.slice(0, 4), ...(digits.slice(4).match(/../g) ?? [])].map(
    Number,
  );
  const milliseconds = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second);
  const back = new Date(milliseconds).toISOString().replace(/[-:T]/g, '').slice(0, 14);
  if (back !== digits) throw invalid('time names no moment');
  return milliseconds;
}

/** Contents of a BIT STRING whose length is a whole number of bytes. */
export function readBitStringBytes(node: DerNode): Buffer {
  expectTag(node, tags.bitString, 'BIT STRING');
  if (node.contents[0] !== 0) throw invalid('BIT STRING is not made of whole bytes');
  return node.contents.subarray(1);
}

/** Positions of the set bits of a named BIT STRING; trailing zero bits are refused. */
export function readNamedBits(node: DerNode): number[] {
  expectTag(node, tags.bitString, 'BIT STRING');
  const unused = node.contents[0] ?? 0;
  const bytes = node.contents.subarray(1);
  const bits = bytes.length * 8 - unused;
  const positions: number[] = [];
  for (let at = 0; at < bits; at++) if (((bytes[at >> 3] ?? 0) & (0x80 >> (at & 7))) !== 0) positions.push(at);
  if (bits > 0 && positions.at(-1) !== bits - 1) throw invalid('named BIT STRING has trailing zero bits');
  return positions;
}

/** A small non-negative INTEGER (up to 2^31). */
export function readSmallInteger(node: DerNode): number {
  expectTag(node, tags.integer, 'INTEGER');
  if ((node.contents[0] ?? 0) >= 0x80 || node.contents.length > 4) throw invalid('INTEGER is out of range');
  return node.contents.readUIntBE(0, node.contents.length);
}

export function expectTag(node: DerNode, tag: number, what: string): void {
  if (node.tag !== tag) throw invalid(`${what} was expected, found tag 0x${node.tag.toString(16)}`);
}

/** Walks the children of one constructed element in order. */
export class DerFields {
  readonly #children: readonly DerNode[];
  readonly #what: string;
  #at = 0;

  constructor(node: DerNode, tag: number, what: string) {
    expectTag(node, tag, what);
    this.#children = node.children;
    this.#what = what;
  }

  /** The next child, of any tag. */
  any(name: string): DerNode {
    const node = this.#children[this.#at];
    if (node === undefined) throw invalid(`${this.#what} lacks ${name}`);
    this.#at++;
    return node;
  }

  /** The next child, which has to have this tag. */
  next(tag: number, name: string): DerNode {
    const node = this.any(name);
    expectTag(node, tag, `${this.#what}.${name}`);
    return node;
  }

  /** The next child if it has this tag. */
  optional(tag: number): DerNode | undefined {
    const node = this.#children[this.#at];
    if (node === undefined || node.tag !== tag) return undefined;
    this.#at++;
    return node;
  }

  /** All has been read. */
  end(): void {
    if (this.#at !== this.#children.length) throw invalid(`${this.#what} has more fields than it may`);
  }
}
