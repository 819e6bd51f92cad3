// What a simulated file holds: what the running system sees, what the disk has for sure, and what is on its way.

export type Change = { readonly at: number; readonly bytes: Buffer } | { readonly truncate: number };

/** Disks write whole sectors; a torn write ends anywhere, a hole is a multiple of this. */
const sectorBytes = 512;

/** Bytes that grow cheaply at the end. */
export class Content {
  #buffer = Buffer.alloc(0);
  length = 0;

  static of(bytes: Uint8Array): Content {
    const content = new Content();
    content.apply({ at: 0, bytes: Buffer.from(bytes) });
    return content;
  }

  apply(change: Change): void {
    if ('truncate' in change) {
      this.#reserve(change.truncate);
      if (change.truncate < this.length) this.#buffer.fill(0, change.truncate, this.length);
      this.length = change.truncate;
      return;
    }
    const end = change.at + change.bytes.length;
    this.#reserve(end);
    change.bytes.copy(this.#buffer, change.at);
    this.length = Math.max(this.length, end);
  }

  read(from: number, to: number): Buffer {
    return Buffer.from(this.#buffer.subarray(Math.min(from, this.length), Math.min(to, this.length)));
  }

  bytes(): Buffer {
    return this.read(0, this.length);
  }

  flipBit(bit: number): void {
    const at = bit >> 3;
    if (at < this.length) this.#buffer[at] = (this.#buffer[at] ?? 0) ^ (1 << (bit & 7));
  }

  /** What is beyond `length` is always zero, so that holes read as zeros. */
  #reserve(size: number): void {
    if (size <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(size, this.#buffer.length * 2, 1024));
    this.#buffer.copy(larger);
    this.#buffer = larger;
  }
}

export class Inode {
  readonly kind: 'file' | 'directory';
  readonly mode: number;
  /** What the running system sees. */
  readonly content: Content;
  /** What a power cut cannot take away. */
  readonly #durable: Content;
  /** Changes since the last sync, in order. */
  #pending: Change[] = [];

  constructor(kind: 'file' | 'directory', mode: number, bytes: Uint8Array = Buffer.alloc(0)) {
    this.kind = kind;
    this.mode = mode;
    this.content = Content.of(bytes);
    this.#durable = Content.of(bytes);
  }

  change(change: Change): void {
    this.content.apply(change);
    this.#pending.push(change);
  }

  sync(): void {
    for (const change of this.#pending) this.#durable.apply(change);
    this.#pending = [];
  }

  /** A failed fsync on Linux: the pages count as clean, so no later sync writes them. */
  forgetPending(): void {
    this.#pending = [];
  }

  flipBit(bit: number): void {
    this.content.flipBit(bit);
    this.#durable.flipBit(bit);
  }

  /** The file as the next boot finds it: what was durable, and what the disk happened to write of the rest. */
  afterPowerCut(random: () => number): Inode {
    const content = Content.of(this.#durable.bytes());
    const kept = Math.floor(random() * (this.#pending.length + 1));
    for (const change of this.#pending.slice(0, kept)) content.apply(change);
    const torn = this.#pending[kept];
    if (torn !== undefined && 'bytes' in torn) {
      const part = Buffer.from(torn.bytes.subarray(0, Math.floor(random() * (torn.bytes.length + 1))));
      // File systems may have extended the file before the data came: sectors of zeros.
      if (random() < 0.3) {
        for (let at = 0; at < part.length; at += sectorBytes) {
          if (random() < 0.5) part.fill(0, at, Math.min(at + sectorBytes, part.length));
        }
      }
      content.apply({ at: torn.at, bytes: part });
    }
    return new Inode(this.kind, this.mode, content.bytes());
  }
}
