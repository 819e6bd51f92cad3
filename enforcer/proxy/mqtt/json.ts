// A payload as JSON (RFC 8259), for bounds on its numbers. A document that two readers could read differently is none:
// bytes that are not UTF-8, a byte order mark, a name that an object has twice (section 4 leaves open which counts).
import { isUtf8 } from 'node:buffer';
import { MAX_MQTT_JSON_BYTES } from '../limits.ts';

/** Undefined when it is no such document, or too long to be looked at. */
export function readJson(payload: Buffer): unknown {
  if (payload.length > MAX_MQTT_JSON_BYTES || !isUtf8(payload)) return undefined;
  const text = payload.toString('utf8');
  try {
    const document: unknown = JSON.parse(text);
    return countMembers(document) === countNames(text) ? document : undefined;
  } catch {
    return undefined;
  }
}

/** Members of all objects in it. */
function countMembers(document: unknown): number {
  let count = 0;
  const open = [document];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const inner: unknown[] = Object.values(value);
    if (!Array.isArray(value)) count += inner.length;
    for (const one of inner) if (typeof one === 'object' && one !== null) open.push(one);
  }
  return count;
}

/** Names that the text writes: in valid JSON a colon outside of strings stands behind each, and nowhere else. */
function countNames(text: string): number {
  let count = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (inString && letter === '\\') at++;
    else if (letter === '"') inString = !inString;
    else if (!inString && letter === ':') count++;
  }
  return count;
}
