// Reads a path as the server behind an interface does, where the policy says so (`normalise`). Each step is one function
// over the text of the path; what they leave has to be a path with one reading (http-path.ts). A target that would come
// out differently with the steps in another order has no normal form and is ambiguous.
import { type PathNormalisation, pathNormalisations } from '../bundle/path-normalisations.ts';
import { hexValue, type PathReading, readPath, segmentsAsWritten, targetFault } from './http-path.ts';
import type { AccessRequest } from './request.ts';

export interface PathProfile {
  readonly read: (target: string) => PathReading;
  /** Segments that readers see who stop before one of the steps, of a target that has a normal form. */
  readonly otherReadings: (target: string) => readonly (readonly string[])[];
  /** Whether a pattern is its own normal form, as it has to be to match anything. */
  readonly isNormal: (pattern: string) => boolean;
}

export function pathProfile(normalise: readonly PathNormalisation[]): PathProfile {
  const wanted = pathNormalisations.filter((term) => normalise.includes(term));
  return {
    read(target) {
      const fault = targetFault(target, false);
      if (fault !== undefined) return ambiguous(fault);
      let path = pathOf(target);
      if (malformedEscape.test(path)) return ambiguous('percent encoding that is none');
      for (const term of wanted) {
        const next = steps[term](path);
        if (next === undefined) return ambiguous(faults[term] ?? term);
        path = next;
      }
      const reading = readPath(path);
      return reading.kind === 'ambiguous' ? reading : { ...reading, path };
    },
    otherReadings(target) {
      let path = pathOf(target);
      const readings: (readonly string[])[] = [];
      for (const term of wanted) {
        const next = steps[term](path) ?? path;
        const before = segmentsAsWritten(path);
        if (next !== path && !isSame(before, readings.at(-1) ?? [])) readings.push(before);
        path = next;
      }
      return readings;
    },
    isNormal(pattern) {
      const written = readPath(pattern);
      const normal = this.read(pattern);
      return written.kind === 'segments' && normal.kind === 'segments' && isSame(written.segments, normal.segments);
    },
  };
}

/** The request as the server behind an interface with these normalisations looks at it; as it is where it cannot be read. */
export function asNormalised(
  request: AccessRequest,
  normalise: readonly PathNormalisation[] | undefined,
): AccessRequest {
  const { operation } = request;
  if (normalise === undefined || operation.protocol !== 'http') return request;
  const reading = pathProfile(normalise).read(operation.path);
  if (reading.kind === 'ambiguous' || reading.path === undefined) return request;
  return { ...request, operation: { ...operation, path: reading.path } };
}

const isSame = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((segment, at) => segment === other[at]);

const ambiguous = (why: string): PathReading => ({ kind: 'ambiguous', why });

function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
}

/** One that a step could turn into a good one: `%%32f`. */
const malformedEscape = /%(?![0-9a-fA-F]{2})/;

/** The path after the step, from its leading slash on; undefined where the order of the steps would matter. */
type Step = (path: string) => string | undefined;

const steps: Readonly<Record<PathNormalisation, Step>> = {
  'path-parameters': withoutParameters,
  'encoded-slashes': (path) => (path.includes('%') ? path.replaceAll(/%2f/gi, '/').replaceAll(/%5c/gi, '\\') : path),
  'percent-encoding': decodeUnreserved,
  backslashes: (path) => path.replaceAll('\\', '/'),
  'dot-segments': withoutDotSegments,
  'merge-slashes': (path) => (path.includes('//') ? path.replaceAll(/\/{2,}/g, '/') : path),
  'trailing-slash': (path) => (/[^/]\/$/.test(path) ? path.slice(0, -1) : path),
  case: (path) => path.toLowerCase(),
};

const faults: Readonly<Partial<Record<PathNormalisation, string>>> = {
  'path-parameters': 'path parameters of an empty, a dot or an encoded segment',
  'dot-segments': 'dot segment after a doubled slash',
};

/** `/a;x=1/b` is `/a/b` (Jakarta Servlet 6.1, 3.5.2). What `/..;/` is, servers have never agreed about. */
function withoutParameters(path: string): string | undefined {
  if (!path.includes(';')) return path;
  const segments = path.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    const end = segment.indexOf(';');
    if (end === -1) continue;
    const kept = segment.slice(0, end);
    if (kept === '' || kept === '.' || kept === '..' || segment.includes('%') || segment.includes('\\'))
      return undefined;
    segments[index] = kept;
  }
  return `/${segments.join('/')}`;
}

/** Unreserved characters stand for themselves (RFC 3986, 6.2.2.2); what else is encoded is decoded once it is split. */
function decodeUnreserved(path: string): string {
  if (!path.includes('%')) return path;
  const bytes = Buffer.from(path, 'latin1');
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    const value = byte === percent ? hexValue(bytes[at + 1]) * 16 + hexValue(bytes[at + 2]) : -1;
    if (unreserved[value] === 1) at += 2;
    bytes[length++] = unreserved[value] === 1 ? value : byte;
  }
  return bytes.toString('latin1', 0, length);
}

const percent = 0x25;
const unreserved: Uint8Array = Uint8Array.from({ length: 256 }, (_, code) =>
  /[A-Za-z0-9\-._~]/.test(String.fromCharCode(code)) ? 1 : 0,
);

/** RFC 3986, 5.2.4. `..` after an empty segment climbs to one place before slashes are merged and to another after. */
function withoutDotSegments(path: string): string | undefined {
  if (!path.includes('/.')) return path;
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    const isDots = segment === '.' || segment === '..';
    if (segment === '..' && kept.pop() === '') return undefined;
    if (!isDots) kept.push(segment);
    else if (index === segments.length - 1) kept.push('');
  }
  return `/${kept.join('/')}`;
}
