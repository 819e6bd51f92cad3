// Sets and maps, and their elements, as messages. Definitions carry the userdata by which `nft list` prints them.
import type { NetlinkWriter } from '../../../runtime/linux-netlink-wire.ts';
import { firewallErrors } from '../errors.ts';
import type { SetDefinition, SetElement } from '../plan.ts';
import {
  DATA,
  ELEMENT,
  ELEMENT_INTERVAL_END,
  LIST_ELEMENT,
  MARK_TYPE,
  SET,
  SET_DESCRIPTION,
  SET_FLAG,
  VERDICT_LENGTH,
  VERDICT_TYPE,
} from './codes.ts';
import { hostU32, named, verdictAttributes } from './expressions.ts';
import { keyLayout } from './key-bytes.ts';
import type { KeyLayout } from './key-bytes.ts';
import type { AnonymousSet } from './rules.ts';
import { ANONYMOUS_NAME } from './rules.ts';
import {
  ELEMENT_OPEN_ENDED,
  userdata,
  USERDATA_COMMENT,
  USERDATA_ELEMENT_FLAGS,
  USERDATA_SET,
  zeroEnded,
} from './userdata.ts';

/** Bytes of the values of a map of marks. */
const MARK_LENGTH = 4;

/** What the kernel is told of a set; also what it is compared by. */
export interface SetShape {
  readonly flags: number;
  readonly keyType: number;
  readonly keyLength: number;
  readonly dataType: number;
  readonly size: number;
  readonly timeoutMs: number;
  readonly counted: boolean;
}

export function shapeOf(set: SetDefinition): SetShape {
  const { data, interval, learned } = set;
  const layout = keyLayout(set.type);
  const fields = set.type.length > 1;
  return {
    flags:
      (interval ? SET_FLAG.interval : 0) |
      (interval && fields ? SET_FLAG.concat : 0) |
      (data === undefined ? 0 : SET_FLAG.map) |
      (set.timeout ? SET_FLAG.timeout : 0) |
      (learned === undefined ? 0 : SET_FLAG.eval),
    keyType: layout.number,
    keyLength: layout.length,
    dataType: data === undefined ? 0 : data === 'verdict' ? VERDICT_TYPE : MARK_TYPE,
    size: learned?.size ?? 0,
    timeoutMs: learned?.timeoutMs ?? 0,
    counted: set.counted === true,
  };
}

/** The attributes of NEWSET. `id` is unique in the batch. */
export function writeSet(out: NetlinkWriter, table: string, set: SetDefinition, id: number): void {
  const shape = shapeOf(set);
  const layout = keyLayout(set.type);
  out.string(SET.table, table).string(SET.name, set.name);
  out.u32(SET.flags, shape.flags).u32(SET.keyType, shape.keyType).u32(SET.keyLength, shape.keyLength);
  if (set.data !== undefined) {
    out.u32(SET.dataType, shape.dataType).u32(SET.dataLength, set.data === 'verdict' ? VERDICT_LENGTH : MARK_LENGTH);
  }
  out.nested(SET.description, () => {
    if (shape.size > 0) out.u32(SET_DESCRIPTION.size, shape.size);
    if ((shape.flags & SET_FLAG.concat) !== 0) writeFields(out, layout);
  });
  out.u32(SET.id, id);
  if (shape.timeoutMs > 0) out.u64(SET.timeout, shape.timeoutMs);
  out.bytes(SET.userdata, setUserdata(set, layout));
  if (shape.counted) out.nested(SET.expression, () => named(out, 'counter', () => undefined));
}

function writeFields(out: NetlinkWriter, layout: KeyLayout): void {
  out.nested(SET_DESCRIPTION.concat, () => {
    for (const length of layout.fieldLengths()) out.nested(LIST_ELEMENT, () => out.u32(1, length));
  });
}

export function writeAnonymousSet(out: NetlinkWriter, table: string, set: AnonymousSet, id: number): void {
  out.string(SET.table, table).string(SET.name, ANONYMOUS_NAME);
  out
    .u32(SET.flags, SET_FLAG.anonymous | SET_FLAG.constant)
    .u32(SET.keyType, set.type)
    .u32(SET.keyLength, set.keyLength);
  out.nested(SET.description, () => out.u32(SET_DESCRIPTION.size, set.keys.length));
  const order = [USERDATA_SET.keyByteOrder, hostU32(set.keyLength === 1 ? 2 : 0)] as const;
  const typeOf = set.keyTypeOf === undefined ? [] : [[USERDATA_SET.keyTypeOf, set.keyTypeOf] as const];
  out.u32(SET.id, id).bytes(SET.userdata, userdata(order, ...typeOf));
}

function setUserdata(set: SetDefinition, layout: KeyLayout): Buffer {
  const data = set.data !== undefined;
  return userdata(
    [USERDATA_SET.keyByteOrder, hostU32(layout.byteOrder)],
    ...(data ? [[USERDATA_SET.dataByteOrder, hostU32(set.data === 'mark' ? 1 : 0)] as const] : []),
    // libnftables notes a concatenation as an expression of kind 13 without operands.
    ...(set.type.length > 1
      ? [[USERDATA_SET.keyTypeOf, userdata([0, hostU32(13)], [1, Buffer.alloc(0)])] as const]
      : []),
    ...(data ? [[USERDATA_SET.dataInterval, hostU32(0)] as const] : []),
    ...(set.purpose === '' ? [] : [[USERDATA_SET.comment, zeroEnded(set.purpose)] as const]),
  );
}

/** An element in the kernel's terms. */
export interface RawElement {
  /** Its key is the element's own. */
  readonly element?: SetElement;
  /** Where the element is a range: its ends, or for a range of one field its first key. */
  readonly key?: Buffer;
  readonly keyEnd?: Buffer;
  /** Only closes the interval before. */
  readonly end?: boolean;
  /** The interval goes up to the highest key. */
  readonly open?: boolean;
}

/**
 * The elements as the kernel takes them. Intervals of one field become pairs of a first and an after-last key; a new set
 * of them begins with the end of the interval below the first.
 */
export function rawElements(set: SetDefinition, elements: readonly SetElement[], fresh: boolean): RawElement[] {
  if (!set.interval) return elements.map((element) => ({ element }));
  const layout = keyLayout(set.type);
  // Ranges are compared byte by byte, which is not the order of numbers in host order.
  if (!layout.isOrdered) {
    const what = `set ${set.name}: ${set.type.join(' . ')} has no ranges`;
    throw firewallErrors.error('FIREWALL_KERNEL_REFUSED', what);
  }
  const ranges = elements.map((element) => ({ ...layout.writeRange(element.key), element }));
  if (set.type.length > 1) return ranges.map(({ first, last, element }) => ({ key: first, keyEnd: last, element }));
  ranges.sort((a, b) => Buffer.compare(a.first, b.first));
  const raw: RawElement[] = [];
  const lowest = Buffer.alloc(layout.length);
  if (fresh && ranges[0] !== undefined && !ranges[0].first.equals(lowest)) raw.push({ key: lowest, end: true });
  for (const { first, last, element } of ranges) {
    if (Buffer.compare(first, last) > 0) {
      const what = `set ${set.name}: ${element.key.join(' . ')} ends before it begins`;
      throw firewallErrors.error('FIREWALL_ADDRESS', what);
    }
    const after = successor(last);
    raw.push({ key: first, element, ...(after === undefined ? { open: true } : {}) });
    if (after !== undefined) raw.push({ key: after, end: true });
  }
  return raw;
}

/** The next key; undefined after the highest. */
function successor(key: Buffer): Buffer | undefined {
  const next = Buffer.from(key);
  for (let index = next.length - 1; index >= 0; index -= 1) {
    next[index] = ((next[index] ?? 0) + 1) & 0xff;
    if (next[index] !== 0) return next;
  }
  return undefined;
}

/** Milliseconds that an element has left; undefined for no end. */
export function timeoutMs(element: SetElement, now: number): number | undefined {
  return element.until === undefined ? undefined : Math.max(1, element.until - now);
}

/** One element of a list. `now` in milliseconds since the epoch. */
export function writeElement(out: NetlinkWriter, layout: KeyLayout, raw: RawElement, now: number): void {
  const { element } = raw;
  const start = out.open(LIST_ELEMENT);
  const key = out.open(ELEMENT.key);
  if (raw.key !== undefined) out.bytes(DATA.value, raw.key);
  else if (element !== undefined) {
    const at = out.reserve(DATA.value, layout.length);
    layout.writeAt(element.key, out.buffer, at);
  }
  out.close(key);
  if (raw.keyEnd !== undefined) {
    const keyEnd = out.open(ELEMENT.keyEnd);
    out.bytes(DATA.value, raw.keyEnd).close(keyEnd);
  }
  if (raw.end === true) out.u32(ELEMENT.flags, ELEMENT_INTERVAL_END);
  if (element !== undefined) {
    writeAnswer(out, element);
    const timeout = timeoutMs(element, now);
    if (timeout !== undefined) out.u64(ELEMENT.timeout, timeout);
  }
  writeNotes(out, element?.comment, raw.open === true);
  out.close(start);
}

function writeAnswer(out: NetlinkWriter, { verdict, mark }: SetElement): void {
  if (verdict === undefined && mark === undefined) return;
  const data = out.open(ELEMENT.data);
  if (verdict !== undefined) verdictAttributes(out, verdict.kind, verdict.chain);
  else if (mark !== undefined) out.bytes(DATA.value, hostU32(mark));
  out.close(data);
}

const openEnded = userdata([USERDATA_ELEMENT_FLAGS, hostU32(ELEMENT_OPEN_ENDED)]);

/** Comments are ASCII by the plan's schema. */
function writeNotes(out: NetlinkWriter, comment: string | undefined, open: boolean): void {
  const commentBytes = comment === undefined ? 0 : 2 + comment.length + 1;
  const length = commentBytes + (open ? openEnded.length : 0);
  if (length === 0) return;
  const at = out.reserve(ELEMENT.userdata, length);
  const { buffer } = out;
  if (comment !== undefined) {
    buffer[at] = USERDATA_COMMENT;
    buffer[at + 1] = comment.length + 1;
    for (let index = 0; index < comment.length; index += 1) buffer[at + 2 + index] = comment.charCodeAt(index);
  }
  if (open) buffer.set(openEnded, at + commentBytes);
}
