// Heads of a connection that were read before: a proxy sends the same header block with almost every call. To be asked only
// while blocks are stateless (HpackDecoder.isStateless).
import { maxKnownHeadBytes, maxKnownHeads } from './limits.ts';
import type { RequestHead } from './request-head.ts';

interface Known {
  readonly bytes: Uint8Array;
  readonly head: RequestHead;
}

export class KnownHeads {
  readonly #known: Known[] = [];
  #next = 0;

  find(source: Uint8Array, start: number, end: number): RequestHead | undefined {
    for (const { bytes, head } of this.#known) if (isSame(bytes, source, start, end)) return head;
    return undefined;
  }

  keep(source: Uint8Array, start: number, end: number, head: RequestHead): void {
    if (end - start > maxKnownHeadBytes) return;
    // A copy: `slice` of a Buffer is a view, and its octets are those of the next frame soon.
    this.#known[this.#next] = { bytes: Uint8Array.from(source.subarray(start, end)), head };
    this.#next = (this.#next + 1) % maxKnownHeads;
  }
}

function isSame(bytes: Uint8Array, source: Uint8Array, start: number, end: number): boolean {
  if (bytes.length !== end - start) return false;
  // From the end: what differs between calls stands behind what is the same.
  for (let at = bytes.length - 1; at >= 0; at--) if (bytes[at] !== source[start + at]) return false;
  return true;
}
