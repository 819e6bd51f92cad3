// A hash table from a few 32-bit numbers to one, in one flat array: a look-up touches one or two cache lines, where nested
// Maps touch one a level, and a copy is one move of memory, which makes a new version of a policy cheap.

/** Stands for "no entry"; stored values are positive. */
export const NO_ENTRY = 0;

/** With at most every other slot used, one question in eight gets past the bits for nothing. */
const bitsPerSlot = 4;

export class NumberTable {
  readonly #width: number;
  #slots: Uint32Array;
  /** A bit for every hash that is there: small enough to stay in the fastest cache, and most questions end here. */
  #there: Uint32Array;
  #mask: number;
  #used: number;

  /** `width` is how many numbers make a key. */
  constructor(width: number, expected = 16) {
    let capacity = 16;
    while (capacity < expected * 2) capacity *= 2;
    this.#width = width;
    this.#slots = new Uint32Array(capacity * (width + 1));
    this.#there = new Uint32Array((capacity * bitsPerSlot) / 32);
    this.#mask = capacity - 1;
    this.#used = 0;
  }

  copy(): NumberTable {
    const copy = new NumberTable(this.#width, 0);
    copy.#slots = this.#slots.slice();
    copy.#there = this.#there.slice();
    copy.#mask = this.#mask;
    copy.#used = this.#used;
    return copy;
  }

  get(key: Readonly<Uint32Array>): number {
    const hash = hashOf(key, this.#width);
    const bit = (hash >>> 0) & (this.#there.length * 32 - 1);
    if (((this.#there[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return NO_ENTRY;
    return this.#slots[this.#slotOf(key, hash)] ?? NO_ENTRY;
  }

  /** `value` is positive; an entry can be changed and never removed. */
  set(key: Readonly<Uint32Array>, value: number): void {
    const hash = hashOf(key, this.#width);
    let slot = this.#slotOf(key, hash);
    if (this.#slots[slot] === NO_ENTRY) {
      if ((this.#used + 1) * 2 > this.#mask + 1) {
        this.#grow();
        slot = this.#slotOf(key, hash);
      }
      this.#mark(hash);
      this.#used++;
      for (let at = 0; at < this.#width; at++) this.#slots[slot + 1 + at] = key[at] ?? 0;
    }
    this.#slots[slot] = value;
  }

  /** Where the key is, or the free slot where it belongs. There is always a free one: half of them are. */
  #slotOf(key: Readonly<Uint32Array>, hash: number): number {
    const slots = this.#slots;
    const width = this.#width;
    let index = hash & this.#mask;
    for (;;) {
      const slot = index * (width + 1);
      if (slots[slot] === NO_ENTRY) return slot;
      let same = true;
      for (let at = 0; at < width && same; at++) same = slots[slot + 1 + at] === key[at];
      if (same) return slot;
      index = (index + 1) & this.#mask;
    }
  }

  #grow(): void {
    const old = this.#slots;
    const stride = this.#width + 1;
    const capacity = (this.#mask + 1) * 2;
    this.#slots = new Uint32Array(capacity * stride);
    this.#there = new Uint32Array((capacity * bitsPerSlot) / 32);
    this.#mask = capacity - 1;
    for (let slot = 0; slot < old.length; slot += stride) {
      if (old[slot] === NO_ENTRY) continue;
      const key = old.subarray(slot + 1, slot + stride);
      const hash = hashOf(key, this.#width);
      this.#slots.set(old.subarray(slot, slot + stride), this.#slotOf(key, hash));
      this.#mark(hash);
    }
  }

  #mark(hash: number): void {
    const bit = (hash >>> 0) & (this.#there.length * 32 - 1);
    this.#there[bit >>> 5] = (this.#there[bit >>> 5] ?? 0) | (1 << (bit & 31));
  }
}

function hashOf(key: Readonly<Uint32Array>, width: number): number {
  let hash = 0x9e3779b9;
  for (let at = 0; at < width; at++) {
    hash = Math.imul(hash ^ (key[at] ?? 0), 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  return hash;
}
