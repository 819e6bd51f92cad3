// The devices that one selector chooses, held once for the whole fleet and named by their content: two devices that hold
// the same name hold the same members, and whoever has the members can check the name.
import { createHash } from 'node:crypto';

export interface SharedSet {
  /** SHA-256 of `setContent` of the members, lower case hex. */
  readonly name: string;
  /** Device ids, sorted by UTF-16 code units, each once. */
  readonly members: readonly string[];
}

/** Canonical JSON (RFC 8785) of sorted ids; ids hold no character that JSON escapes (`idPattern`). */
export function setContent(members: readonly string[]): string {
  return members.length === 0 ? '[]' : `["${members.join('","')}"]`;
}

export function setName(members: readonly string[]): string {
  return createHash('sha256').update(setContent(members)).digest('hex');
}
