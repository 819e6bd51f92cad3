// Lists of lines, all in one array of numbers, so that walking a list is walking memory and a copy of all lists is one
// move. Each line stands beside the number of what its path pattern starts with (see path-pattern.ts).

/** Place of a list. Never 0, which stands for "none" in a NumberTable. */
export type Bucket = number;

const header = 2;
const entry = 2;
const firstCapacity = 2;

export class Buckets {
  /** At a bucket: capacity and count, then line and start for each entry. */
  words: Uint32Array = new Uint32Array(64);
  #end = 1;

  copy(): Buckets {
    const copy = new Buckets();
    copy.words = this.words.slice(0, this.#end);
    copy.#end = this.#end;
    return copy;
  }

  make(): Bucket {
    return this.#allocate(firstCapacity);
  }

  count(bucket: Bucket): number {
    return this.words[bucket + 1] ?? 0;
  }

  /** Where the entries of a bucket are: every other word from here on is a line. */
  from(bucket: Bucket): number {
    return bucket + header;
  }

  lines(bucket: Bucket): number[] {
    const from = this.from(bucket);
    return Array.from({ length: this.count(bucket) }, (_, index) => this.words[from + index * entry] ?? 0);
  }

  /** Where the bucket is afterwards: a full one moves. */
  add(bucket: Bucket, line: number, start: number): Bucket {
    const count = this.count(bucket);
    const capacity = this.words[bucket] ?? 0;
    let place = bucket;
    if (count === capacity) {
      place = this.#allocate(capacity * 2);
      this.words.copyWithin(this.from(place), this.from(bucket), this.from(bucket) + count * entry);
    }
    const at = this.from(place) + count * entry;
    this.words[at] = line;
    this.words[at + 1] = start;
    this.words[place + 1] = count + 1;
    return place;
  }

  /** False when the line is not in the bucket. */
  remove(bucket: Bucket, line: number): boolean {
    const last = this.from(bucket) + (this.count(bucket) - 1) * entry;
    for (let at = this.from(bucket); at <= last; at += entry) {
      if (this.words[at] !== line) continue;
      this.words[at] = this.words[last] ?? 0;
      this.words[at + 1] = this.words[last + 1] ?? 0;
      this.words[bucket + 1] = this.count(bucket) - 1;
      return true;
    }
    return false;
  }

  #allocate(capacity: number): Bucket {
    const place = this.#end;
    this.#end += header + capacity * entry;
    if (this.#end > this.words.length) {
      // By an eighth, so that copies stay small.
      const words = new Uint32Array(Math.max(this.words.length + (this.words.length >>> 3), this.#end));
      words.set(this.words);
      this.words = words;
    }
    this.words[place] = capacity;
    this.words[place + 1] = 0;
    return place;
  }
}
