// JSON with one spelling per value (RFC 8785, JCS), for everything that is hashed or signed.
import { runtimeErrors } from './error-codes.ts';
import { maxJsonDepth } from './limits.ts';

/**
 * Keys sorted by UTF-16 code units, no white space, numbers as ECMAScript prints them. Refuses what JSON cannot say
 * or RFC 8785 forbids: undefined, NaN, infinities, bigint, lone surrogates, class instances.
 */
export function canonicalJson(value: unknown): string {
  return write(value, '$', 0);
}

function write(value: unknown, path: string, depth: number): string {
  if (depth > maxJsonDepth) throw refuse(path, `deeper than ${maxJsonDepth} levels`);
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'string') return writeString(value, path);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw refuse(path, `${value} is not a JSON number`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return writeArray(value, path, depth);
  if (typeof value === 'object') return writeObject(value, path, depth);
  throw refuse(path, `${typeof value} has no JSON form`);
}

function writeString(value: string, path: string): string {
  if (!value.isWellFormed()) throw refuse(path, 'string with a lone surrogate');
  return JSON.stringify(value);
}

function writeArray(list: readonly unknown[], path: string, depth: number): string {
  // Array.from also visits holes, which then are refused as undefined.
  return `[${Array.from(list, (item, index) => write(item, `${path}[${index}]`, depth + 1)).join(',')}]`;
}

function writeObject(value: object, path: string, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw refuse(path, `${value.constructor?.name ?? 'class instance'} is not a plain object`);
  }
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const members = entries.map(([key, item]) => `${writeString(key, path)}:${write(item, `${path}.${key}`, depth + 1)}`);
  return `{${members.join(',')}}`;
}

function refuse(path: string, found: string): Error {
  return runtimeErrors.error('CANONICAL_JSON_INVALID', `${path}: ${found}`);
}
