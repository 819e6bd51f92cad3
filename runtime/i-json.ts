// Reads I-JSON (RFC 7493), as AuthZEN asks of both sides, and as is wise for every signed claim: two readers
// cannot understand it differently. The grammar is JSON.parse's; what RFC 8259 leaves open is refused here.
import { maxJsonDepth } from './limits.ts';

export type Reading = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly fault: string };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Never throws. */
export function readIJson(bytes: Uint8Array): Reading {
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
  } catch {
    return { ok: false, fault: 'the body is not UTF-8' };
  }
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, fault: 'the body is not JSON' };
  }
  const fault = faultOf(text);
  return fault === undefined ? { ok: true, value } : { ok: false, fault };
}

/** A string, or anything that is neither string, punctuation nor white space: a number or a word. */
const token = /"(?:[^"\\]|\\.)*"|[{}[\],]|[^\s"{}[\],:]+/gy;

/** Of a text that is JSON: members that appear twice, strings that are no Unicode, numbers no double can hold, depth. */
function faultOf(text: string): string | undefined {
  // One entry for each open object (names seen) or list (undefined).
  const open: (Set<string> | undefined)[] = [];
  let expectsName = false;
  for (let at = 0; at < text.length; at = token.lastIndex) {
    token.lastIndex = at;
    const found = token.exec(text)?.[0];
    if (found === undefined) {
      // White space or a colon.
      token.lastIndex = at + 1;
      continue;
    }
    switch (found.charAt(0)) {
      case '{':
      case '[':
        open.push(found === '{' ? new Set() : undefined);
        if (open.length > maxJsonDepth) return `the body is nested deeper than ${maxJsonDepth} levels`;
        expectsName = found === '{';
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case ',':
        expectsName = open.at(-1) !== undefined;
        break;
      case '"': {
        const string = JSON.parse(found) as string;
        if (!string.isWellFormed()) return 'a string holds a surrogate without its other half';
        const names = expectsName ? open.at(-1) : undefined;
        if (names?.has(string) === true) return 'an object has a member twice';
        names?.add(string);
        expectsName = false;
        break;
      }
      default:
        if (!isExact(found)) return 'a number is beyond double precision';
    }
  }
  return undefined;
}

/** Words are exact; an integer beyond 2^53 may have lost digits. */
function isExact(word: string): boolean {
  if (!/^[-\d]/.test(word)) return true;
  const number = Number(word);
  return Number.isFinite(number) && (!/^-?\d+$/.test(word) || Number.isSafeInteger(number));
}
