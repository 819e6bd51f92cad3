// Reads the path of an HTTP request target. Proxies and servers disagree on dot segments, encoded slashes, doubled
// slashes and more, so that a path which has two readings has none here: it is ambiguous, and ambiguous is denied.
// What is left is split first and decoded after (RFC 3986, 2.4 and 6.2.2).
import { MAX_PATH_LENGTH, MAX_PATH_SEGMENTS, MAX_TARGET_LENGTH } from './limits.ts';

export type PathReading =
  | {
      readonly kind: 'segments';
      readonly segments: readonly string[];
      /** The normal form by a profile (path-profile.ts), without the query; absent where none was asked for. */
      readonly path?: string;
    }
  | { readonly kind: 'ambiguous'; readonly why: string };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const slash = 0x2f;
const percent = 0x25;
const question = 0x3f;

/** Segments after the leading slash, decoded; `/` has one empty segment. The query is cut off, once it is seen to be one. */
export function readPath(target: string): PathReading {
  const fault = targetFault(target, true);
  if (fault !== undefined) return ambiguous(fault);
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  const raw = path.slice(1).split('/');
  const segments: string[] = [];
  for (let index = 0; index < raw.length; index++) {
    const segment = raw[index] as string;
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

/**
 * Why the target is none that any two servers read alike, however they normalise; undefined for one that may be.
 * `asWritten` where nobody says how they do.
 */
export function targetFault(target: string, asWritten: boolean): string | undefined {
  if (target.charCodeAt(0) !== slash) return formFault(target);
  if (target.length > MAX_TARGET_LENGTH) return 'longer than any server reads';
  let end = target.length;
  let segments = 0;
  for (let at = 0; at < target.length; at++) {
    const code = target.charCodeAt(at);
    if (code <= 0x20 || code === 0x7f) return 'control character or space';
    if (code > 0x7f) return 'character outside ASCII, not encoded';
    if (code === 0x23) return 'fragment (#)';
    if (at >= end) continue;
    if (code === slash) segments++;
    else if (code === question) end = at;
    else if (asWritten && code === 0x5c) return 'backslash';
    else if (asWritten && code === 0x3b) return 'path parameter (;)';
  }
  if (end > MAX_PATH_LENGTH) return 'longer than any server reads';
  return segments > MAX_PATH_SEGMENTS ? 'more segments than any server has' : undefined;
}

/** The forms of RFC 9112, 3.2, that are no path. */
function formFault(target: string): string {
  if (target === '*') return 'the server as a whole (*)';
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(target) ? 'a target with scheme and host' : 'no leading slash';
}

/** Segments as a reader sees them who only splits and decodes, whatever comes out. */
export function segmentsAsWritten(path: string): readonly string[] {
  return path.slice(1).split('/').map(decodeOrKeep);
}

function decodeOrKeep(segment: string): string {
  try {
    return segment.includes('%') ? decodeURIComponent(segment) : segment;
  } catch {
    return segment;
  }
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
    const high = hexValue(segment.charCodeAt(at + 1));
    const low = hexValue(segment.charCodeAt(at + 2));
    if (high === -1 || low === -1) return undefined;
    const byte = high * 16 + low;
    if (!mayBeEncoded(byte)) return undefined;
    // %25 before two hex digits decodes twice in careless servers.
    const twice =
      byte === percent && hexValue(segment.charCodeAt(at + 3)) !== -1 && hexValue(segment.charCodeAt(at + 4)) !== -1;
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

/** Value of a hexadecimal digit by its character code, or -1. */
export function hexValue(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  return -1;
}
