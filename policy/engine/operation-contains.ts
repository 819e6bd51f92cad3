// Whether one operation lies inside another, judged on what they say and not on samples. A normal operation strictly
// inside a sensitive one is an exception somebody carved out (one set point of all registers) and keeps its class; any
// other overlap makes the request sensitive (`/admin/**` inside `/**`).
import type { SliceOperation } from '../bundle/slice.ts';
import { boundsContain, boundsOverlap } from './http-bounds.ts';
import { foldSegment } from './http-operation.ts';
import { hasAddress } from './modbus-operation.ts';
import { containsMqtt, overlapsMqtt } from './mqtt-contains.ts';
import { readPathPattern, type PathPattern } from './path-trie.ts';
import { containsTls, overlapsTls } from './tls-operation.ts';

type Of<P extends SliceOperation['protocol']> = Extract<SliceOperation, { protocol: P }>;

export function strictlyInside(inner: SliceOperation, outer: SliceOperation, place: string): boolean {
  return contains(outer, inner, place) && !contains(inner, outer, place);
}

/** Whether every request of `inner` is one of `outer`. */
export function contains(outer: SliceOperation, inner: SliceOperation, place: string): boolean {
  if (outer.protocol === 'http' && inner.protocol === 'http') return containsHttp(outer, inner, place);
  if (outer.protocol === 'modbus' && inner.protocol === 'modbus') return containsModbus(outer, inner);
  if (outer.protocol === 'mqtt' && inner.protocol === 'mqtt') return containsMqtt(outer, inner);
  if (outer.protocol === 'tls' && inner.protocol === 'tls') return containsTls(outer, inner);
  return outer.protocol === inner.protocol;
}

function containsHttp(outer: Of<'http'>, inner: Of<'http'>, place: string): boolean {
  const patterns = outer.paths.map((path) => readPathPattern(path, place));
  return (
    inner.methods.every((method) => outer.methods.includes(method)) &&
    boundsContain(outer, inner) &&
    inner.paths.every((path) => {
      const wanted = readPathPattern(path, place);
      return patterns.some((pattern) => containsPattern(pattern, wanted));
    })
  );
}

/** Whether a request of `inner` may be taken for one of `other`, as denies read it: in doubt it may. */
export function mayOverlap(inner: SliceOperation, other: SliceOperation, place: string): boolean {
  if (inner.protocol === 'http' && other.protocol === 'http') return overlapsHttp(inner, other, place);
  if (inner.protocol === 'modbus' && other.protocol === 'modbus') return overlapsModbus(inner, other);
  if (inner.protocol === 'mqtt' && other.protocol === 'mqtt') return overlapsMqtt(inner, other);
  if (inner.protocol === 'tls' && other.protocol === 'tls') return overlapsTls(inner, other);
  return inner.protocol === other.protocol;
}

function overlapsHttp(inner: Of<'http'>, other: Of<'http'>, place: string): boolean {
  if (!inner.methods.some((method) => other.methods.includes(method)) || !boundsOverlap(inner, other)) return false;
  const patterns = other.paths.map((path) => readPathPattern(path, place)).flatMap(withOtherEnd);
  return inner.paths.some((path) => {
    const wanted = readPathPattern(path, place);
    return patterns.some((pattern) => overlapsPattern(pattern, wanted));
  });
}

/** A server may leave out a last slash, or add one (http-operation.ts, `possible`). */
function withOtherEnd(pattern: PathPattern): readonly PathPattern[] {
  const { segments, rest } = pattern;
  if (rest) return [pattern, { segments, rest: false }];
  return [pattern, { segments: segments.at(-1) === '' ? segments.slice(0, -1) : [...segments, ''], rest }];
}

function overlapsPattern(one: PathPattern, other: PathPattern): boolean {
  const spare = other.segments.length - one.segments.length;
  const lengths = spare === 0 ? one.rest === other.rest : spare > 0 ? one.rest : other.rest;
  if (!lengths) return false;
  const shared = Math.min(one.segments.length, other.segments.length);
  return one.segments.slice(0, shared).every((segment, index) => mayBeSame(segment, other.segments[index]));
}

function mayBeSame(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined) return other !== '';
  return other === undefined ? one !== '' : foldSegment(one) === foldSegment(other);
}

/** Unit 0 is broadcast; values, changes and quantities are not looked at. */
function overlapsModbus(inner: Of<'modbus'>, other: Of<'modbus'>): boolean {
  const everyUnit = [inner, other].some(({ units }) => units.length === 0 || units.includes(0));
  const codes = inner.functionCodes.filter((code) => other.functionCodes.includes(code));
  if (codes.length === 0 || !(everyUnit || inner.units.some((unit) => other.units.includes(unit)))) return false;
  if (codes.some((code) => !hasAddress(code))) return true;
  return inner.addresses.some(([from, to]) => other.addresses.some(([low, high]) => from <= high && low <= to));
}

function containsPattern(outer: PathPattern, inner: PathPattern): boolean {
  const spare = inner.segments.length - outer.segments.length;
  const lengths = outer.rest ? spare > 0 || (spare === 0 && inner.rest) : spare === 0 && !inner.rest;
  return (
    lengths &&
    outer.segments.every((segment, index) => {
      const other = inner.segments[index];
      return segment === undefined ? other !== '' : segment === other;
    })
  );
}

function containsModbus(outer: Of<'modbus'>, inner: Of<'modbus'>): boolean {
  const units =
    outer.units.length === 0 || (inner.units.length > 0 && inner.units.every((u) => outer.units.includes(u)));
  const { values } = outer;
  const within = inner.values !== undefined && values !== undefined && holds(values, inner.values);
  return (
    units &&
    (values === undefined || within) &&
    isAtMost(inner.maxChangePerMinute, outer.maxChangePerMinute) &&
    quantityIsInside(outer, inner) &&
    inner.functionCodes.every((code) => outer.functionCodes.includes(code)) &&
    inner.addresses.every((range) => outer.addresses.some((candidate) => holds(candidate, range)))
  );
}

/** Whether the bound `inner` keeps what `outer` asks for; absent is no bound. */
function isAtMost(inner: number | undefined, outer: number | undefined): boolean {
  return outer === undefined || (inner !== undefined && inner <= outer);
}

/** Without a bound of its own an access is no longer than the range it has to lie in. */
function quantityIsInside({ maxQuantity }: Of<'modbus'>, inner: Of<'modbus'>): boolean {
  if (isAtMost(inner.maxQuantity, maxQuantity) || maxQuantity === undefined) return true;
  return (
    inner.functionCodes.every((code) => hasAddress(code)) &&
    inner.addresses.every(([from, to]) => to - from < maxQuantity)
  );
}

function holds([low, high]: readonly [number, number], [from, to]: readonly [number, number]): boolean {
  return low <= from && to <= high;
}
