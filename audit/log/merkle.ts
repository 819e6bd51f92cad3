// RFC 6962 section 2.1 tree hashes over an append-only list, kept as a frontier (compact range): the roots of the
// perfect subtrees that the binary digits of the size name, largest first. Appending and the root are O(log size).
import { sha256 } from './sha256.ts';

export const hashBytes = 32;

/** MTH of the empty list. */
export const emptyRoot: Buffer = sha256('');

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(1 + 2 * hashBytes);
  input[0] = 0x01;
  input.set(left, 1);
  input.set(right, 1 + hashBytes);
  return sha256(input);
}

export class Frontier {
  #size: number;
  readonly #roots: Buffer[];

  private constructor(size: number, roots: Buffer[]) {
    this.#size = size;
    this.#roots = roots;
  }

  static empty(): Frontier {
    return new Frontier(0, []);
  }

  /** Throws when `bytes` do not fit `size`: one 32-byte root for each set binary digit. */
  static fromBytes(size: number, bytes: Uint8Array): Frontier {
    const count = ones(size);
    if (bytes.length !== count * hashBytes) {
      throw new RangeError(`a frontier of ${size} leaves has ${count} hashes, got ${bytes.length} bytes`);
    }
    const roots = Array.from({ length: count }, (_, at) =>
      Buffer.from(bytes.subarray(at * hashBytes, (at + 1) * hashBytes)),
    );
    return new Frontier(size, roots);
  }

  get size(): number {
    return this.#size;
  }

  toBytes(): Buffer {
    return Buffer.concat(this.#roots);
  }

  append(leaf: Uint8Array): void {
    if (leaf.length !== hashBytes) throw new RangeError(`a leaf hash has ${hashBytes} bytes, not ${leaf.length}`);
    let node: Buffer = Buffer.from(leaf);
    // Each trailing 1 of the size is a finished subtree of the same height as `node`; sizes pass 2^32, so no bit operators.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      node = nodeHash(this.#roots.pop() as Buffer, node);
    }
    this.#roots.push(node);
    this.#size += 1;
  }

  root(): Buffer {
    const last = this.#roots.at(-1);
    if (last === undefined) return emptyRoot;
    return this.#roots.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last);
  }
}

function ones(size: number): number {
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
