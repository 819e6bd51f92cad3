// Reads the path of an HTTP request target. Proxies and servers disagree on dot segments, encoded slashes, doubled
// slashes and more, so that a path which has two readings has none here: it is ambiguous, and ambiguous is denied.
// What is left is split first and decoded after (RFC 3986, 2.4 and 6.2.2).
import { MAX_PATH_LENGTH, MAX_PATH_SEGMENTS } from './limits.ts';

export type PathReading =
  | { readonly kind: 'segments'; readonly segments: readonly string[] }
  | { readonly kind: 'ambiguous'; readonly why: string };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const slash = 0x2f;
const percent = 0x25;

/** Segments after the leading slash, decoded; `/` has one empty segment. The query is cut off first. */
export function readPath(target: string): PathReading {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  if (path.length > MAX_PATH_LENGTH) return ambiguous('longer than any server reads');
  if (path.charCodeAt(0) !== slash) return ambiguous('no leading slash');
  const rawFault = faultOfRaw(path);
  if (rawFault !== undefined) return ambiguous(rawFault);
  const raw = path.slice(1).split('/');
  if (raw.length > MAX_PATH_SEGMENTS) return ambiguous('more segments than any server has');
  const segments: string[] = [];
  for (const [index, segment] of raw.entries()) {
    if (segment === '' && index < raw.length - 1) return ambiguous('doubled slash');
    const decoded = segment.includes('%') ? decode(segment) : segment;
    if (decoded === undefined) return ambiguous('percent encoding that readers understand differently');
    if (decoded === '.' || decoded === '..') return ambiguous('dot segment');
    segments.push(decoded);
  }
  return { kind: 'segments', segments };
}

function ambiguous(why: string): PathReading {
  return { kind: 'ambiguous', why };
}

function faultOfRaw(path: string): string | undefined {
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at);
    if (code <= 0x20 || code === 0x7f) return 'control character or space';
    if (code > 0x7f) return 'character outside ASCII, not encoded';
    if (code === 0x5c) return 'backslash';
    if (code === 0x3b) return 'path parameter (;)';
    if (code === 0x23) return 'fragment (#)';
  }
  return undefined;
}

/** Decoded text, or undefined where some reader would see another path. */
function decode(segment: string): string | undefined {
  const bytes: number[] = [];
  for (let at = 0; at < segment.length; at++) {
    const code = segment.charCodeAt(at);
    if (code !== percent) {
      bytes.push(code);
      continue;
    }
    const high = hex(segment.charCodeAt(at + 1));
    const low = hex(segment.charCodeAt(at + 2));
    if (high === -1 || low === -1) return undefined;
    const byte = high * 16 + low;
    if (!mayBeEncoded(byte)) return undefined;
    // %25 before two hex digits decodes twice in careless servers.
    const twice = byte === percent && hex(segment.charCodeAt(at + 3)) !== -1 && hex(segment.charCodeAt(at + 4)) !== -1;
    if (twice) return undefined;
    bytes.push(byte);
    at += 2;
  }
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

/** Not: unreserved characters (a second spelling of themselves), controls, and what splits a path or ends it. */
function mayBeEncoded(byte: number): boolean {
  if (byte < 0x20 || byte === 0x7f) return false;
  if (byte > 0x7f) return true;
  return !/[A-Za-z0-9\-._~/\\;#?]/.test(String.fromCharCode(byte));
}

function hex(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  return -1;
}
