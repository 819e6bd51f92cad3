// Cuts the canonical JSON of a slice into content-addressed chunks whose bytes, joined, are that JSON again. Cuts lie
// before each list and after elements that their own content chooses, so a change of one rule moves one chunk.
import { createHash } from 'node:crypto';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from '../limits.ts';
import type { Slice } from './slice.ts';

export interface BundleChunk {
  /** SHA-256 of the content, lower case hex. */
  readonly digest: string;
  readonly content: Uint8Array;
}

export function cutChunks(slice: Slice): BundleChunk[] {
  const cutter = new Cutter();
  const sections = Object.entries(slice).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [index, [name, value]] of sections.entries()) {
    const head = `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`;
    if (Array.isArray(value)) writeList(cutter, head, value);
    else cutter.write(`${head}${canonicalJson(value)}`);
  }
  cutter.write('}');
  return cutter.done();
}

function writeList(cutter: Cutter, head: string, list: readonly unknown[]): void {
  cutter.cut();
  cutter.write(`${head}[`);
  for (const [index, element] of list.entries()) {
    const text = canonicalJson(element);
    cutter.write(`${index === 0 ? '' : ','}${text}`);
    if (cutter.size >= MIN_CHUNK_BYTES && endsChunk(text)) cutter.cut();
  }
  cutter.write(']');
}

/** One element in sixteen, chosen by its content alone: the same cut in the next version, wherever it then stands. */
function endsChunk(element: string): boolean {
  const [first = 0] = createHash('sha256').update(element).digest();
  return first < 16;
}

class Cutter {
  readonly #chunks: BundleChunk[] = [];
  #pieces: Buffer[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Starts another chunk wherever this one would become too large; a huge element is cut inside. */
  write(text: string): void {
    let rest = Buffer.from(text, 'utf8');
    if (this.#size + rest.length > MAX_CHUNK_BYTES) this.cut();
    while (rest.length > MAX_CHUNK_BYTES) {
      this.#add(rest.subarray(0, MAX_CHUNK_BYTES));
      this.cut();
      rest = rest.subarray(MAX_CHUNK_BYTES);
    }
    this.#add(rest);
  }

  cut(): void {
    if (this.#size === 0) return;
    const content = Buffer.concat(this.#pieces);
    this.#chunks.push({ digest: createHash('sha256').update(content).digest('hex'), content });
    this.#pieces = [];
    this.#size = 0;
  }

  done(): BundleChunk[] {
    this.cut();
    return this.#chunks;
  }

  #add(bytes: Buffer): void {
    this.#pieces.push(bytes);
    this.#size += bytes.length;
  }
}
