// Changes valid CheckRequests: bytes without regard to what they are, and fields of the protobuf message, so that most of
// what comes out still parses: fields twice, missing, elsewhere, of another request, of another type, with odd varints.

type Random = () => number;

interface Field {
  readonly number: number;
  readonly wire: number;
  /** The whole field, tag and length included. */
  readonly bytes: Uint8Array;
  /** Of a length-delimited field. */
  readonly payload: Uint8Array | undefined;
}

/** `other` is another valid request, whose parts may be taken. At least one byte differs, or the length. */
export function mutate(request: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  for (let tries = 0; tries < 8; tries++) {
    let changed = request;
    const changes = 1 + Math.floor(random() * random() * 4);
    for (let n = 0; n < changes; n++) {
      const way = random();
      changed = way < 0.3 ? changeBytes(changed, other, random) : changeFields(changed, other, random, 0);
    }
    if (Buffer.compare(changed, request) !== 0) return changed;
  }
  return Buffer.concat([request, Buffer.from([0x0a])]);
}

const below = (limit: number, random: Random): number => Math.floor(random() * limit);
const pick = <T>(list: readonly T[], random: Random): T => list[below(list.length, random)] as T;

/** Bytes that mean something to protobuf, UTF-8, URLs or paths. */
const telling = [0x00, 0x01, 0x08, 0x0a, 0x12, 0x1a, 0x22, 0x25, 0x2e, 0x2f, 0x3b, 0x5c, 0x7f, 0x80, 0xc0, 0xff];

function changeBytes(request: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const bytes = Buffer.from(request);
  const at = below(bytes.length, random);
  const length = 1 + below(16, random);
  // Mostly in place: what moves the rest breaks every length around it.
  switch (Math.max(0, below(16, random) - 8)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8, random));
      return bytes;
    case 1:
      bytes[at] = below(256, random);
      return bytes;
    case 2:
      bytes[at] = pick(telling, random);
      return bytes;
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([pick(telling, random)]), bytes.subarray(at)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 5:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 6:
      return bytes.subarray(0, at);
    default:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(other).subarray(below(other.length, random))]);
  }
}

/** Deepest message in a CheckRequest: attributes, request, http, a header. */
const DEPTH = 5;

function changeFields(message: Uint8Array, other: Uint8Array, random: Random, depth: number): Uint8Array {
  const fields = readFields(message);
  if (fields === undefined || fields.length === 0)
    return changeBytes(message.length === 0 ? Buffer.from([0]) : message, other, random);
  const at = below(fields.length, random);
  const field = fields[at] as Field;
  // Mostly further in: the outer levels have one field or two.
  if (field.payload !== undefined && depth < DEPTH && random() < 0.75) {
    const theirs = readFields(other)?.find(({ number }) => number === field.number)?.payload ?? other;
    const inner =
      readFields(field.payload) === undefined && random() < 0.9
        ? changeText(field.payload, theirs, random)
        : changeFields(field.payload, theirs, random, depth + 1);
    return join(fields, at, delimited(field.number, inner, random));
  }
  const foreign = readFields(other) ?? fields;
  const taken =
    foreign.find(({ number }) => number === field.number) ?? pick(foreign.length > 0 ? foreign : fields, random);
  switch (below(8, random)) {
    case 0:
      return join(fields, at, Buffer.alloc(0));
    case 1:
      return Buffer.concat([message, field.bytes]);
    case 2:
      return Buffer.concat([message, taken.bytes]);
    case 3:
      return Buffer.concat([taken.bytes, message]);
    case 4:
      return join(fields, at, taken.bytes);
    case 5:
      return Buffer.concat(fields.toSorted(() => random() - 0.5).map(({ bytes }) => bytes));
    case 6:
      return join(fields, at, delimited(1 + below(40, random), field.payload ?? field.bytes, random));
    default:
      return join(
        fields,
        at,
        Buffer.concat([varint((field.number << 3) | below(8, random), random), field.bytes.subarray(1)]),
      );
  }
}

/** Texts that readers understand in more than one way, and names that open something elsewhere. */
const texts = [
  '',
  '/',
  '//',
  '/../',
  '%2e%2e/',
  '%2F',
  '%00',
  '?',
  '#',
  ';',
  '\\',
  ' ',
  '\u0000',
  '\u00e9',
  'GET',
  'edgeward-interface',
  ':path',
  '\ud800',
];

function changeText(text: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const at = below(text.length + 1, random);
  switch (below(4, random)) {
    case 0:
      return other;
    case 1:
      return Buffer.from(pick(texts, random));
    case 2:
      return Buffer.concat([text.subarray(0, at), Buffer.from(pick(texts, random)), text.subarray(at)]);
    default:
      return changeBytes(text.length === 0 ? Buffer.from([0]) : text, other.length === 0 ? text : other, random);
  }
}

function join(fields: readonly Field[], at: number, instead: Uint8Array): Uint8Array {
  return Buffer.concat(fields.map(({ bytes }, index) => (index === at ? instead : bytes)));
}

function delimited(number: number, payload: Uint8Array, random: Random): Uint8Array {
  // Now and then a length that is not the true one.
  const length = random() < 0.03 ? below(payload.length * 2 + 2, random) : payload.length;
  return Buffer.concat([varint((number << 3) | 2, random), varint(length, random), payload]);
}

/** Now and then longer than it has to be. */
function varint(value: number, random: Random): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  if (random() < 0.02) bytes.push(rest | 0x80, 0x00);
  else bytes.push(rest);
  return Buffer.from(bytes);
}

/** Fields of a message; undefined for bytes that are none. */
export function readFields(message: Uint8Array): Field[] | undefined {
  const fields: Field[] = [];
  for (let at = 0; at < message.length;) {
    const tag = readVarint(message, at);
    if (tag === undefined || tag.value >>> 3 === 0) return undefined;
    const wire = tag.value & 7;
    const body = wire === 0 || wire === 2 ? readVarint(message, tag.end) : { value: 0, end: tag.end };
    if (body === undefined || wire === 3 || wire === 4 || wire > 5) return undefined;
    const end = body.end + (wire === 2 ? body.value : wire === 1 ? 8 : wire === 5 ? 4 : 0);
    if (end > message.length) return undefined;
    const payload = wire === 2 ? message.subarray(body.end, end) : undefined;
    fields.push({ number: tag.value >>> 3, wire, bytes: message.subarray(at, end), payload });
    at = end;
  }
  return fields;
}

function readVarint(bytes: Uint8Array, from: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let at = from; at < from + 5; at++) {
    const byte = bytes[at];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * (at - from));
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return undefined;
}

/** Fields that the policy is asked with, by number; `true` keeps one whole. What else there is can only make it a denial. */
interface Decisive {
  readonly [number: number]: true | Decisive;
}

/** attributes: source (principal, certificate), request.http (method, path), context_extensions. */
const decisive: Decisive = { 1: { 1: { 4: true, 5: true }, 4: { 2: { 2: true, 4: true } }, 10: true } };

/** The request without what the policy is not asked with. Undefined when its fields cannot be told apart. */
export function decisivePart(message: Uint8Array, fields: Decisive = decisive): Uint8Array | undefined {
  const found = readFields(message);
  if (found === undefined) return undefined;
  const kept: Uint8Array[] = [];
  for (const { number, bytes, payload } of found) {
    const inner = fields[number];
    if (inner === undefined) continue;
    if (inner === true || payload === undefined) kept.push(bytes);
    else {
      const part = decisivePart(payload, inner);
      if (part === undefined) return undefined;
      kept.push(tagged(number, part));
    }
  }
  return Buffer.concat(kept);
}

const tagged = (number: number, payload: Uint8Array): Uint8Array => delimited(number, payload, () => 1);
