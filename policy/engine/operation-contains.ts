// Whether one operation lies inside another, judged on what they say and not on samples. A normal operation strictly
// inside a sensitive one is an exception somebody carved out (one set point of all registers) and keeps its class; any
// other overlap makes the request sensitive (`/admin/**` inside `/**`).
import type { SliceOperation } from '../bundle/slice.ts';
import { readPathPattern, type PathPattern } from './path-trie.ts';

type Of<P extends SliceOperation['protocol']> = Extract<SliceOperation, { protocol: P }>;

export function strictlyInside(inner: SliceOperation, outer: SliceOperation, place: string): boolean {
  return contains(outer, inner, place) && !contains(inner, outer, place);
}

/** Whether every request of `inner` is one of `outer`. */
export function contains(outer: SliceOperation, inner: SliceOperation, place: string): boolean {
  if (outer.protocol === 'http' && inner.protocol === 'http') return containsHttp(outer, inner, place);
  if (outer.protocol === 'modbus' && inner.protocol === 'modbus') return containsModbus(outer, inner);
  return outer.protocol === inner.protocol;
}

function containsHttp(outer: Of<'http'>, inner: Of<'http'>, place: string): boolean {
  const patterns = outer.paths.map((path) => readPathPattern(path, place));
  return (
    inner.methods.every((method) => outer.methods.includes(method)) &&
    inner.paths.every((path) => {
      const wanted = readPathPattern(path, place);
      return patterns.some((pattern) => containsPattern(pattern, wanted));
    })
  );
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
    inner.functionCodes.every((code) => outer.functionCodes.includes(code)) &&
    inner.addresses.every((range) => outer.addresses.some((candidate) => holds(candidate, range)))
  );
}

function holds([low, high]: readonly [number, number], [from, to]: readonly [number, number]): boolean {
  return low <= from && to <= high;
}
