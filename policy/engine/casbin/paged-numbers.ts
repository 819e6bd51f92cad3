// An array of 32-bit numbers in small pages. A copy shares them, and whoever writes to one first makes its own: for numbers
// that a delta changes in a few places and that no request looks at.

const pageBits = 6;
const pageSize = 1 << pageBits;

export class PagedNumbers {
  readonly #pages: Uint32Array[];
  /** Pages that no other copy has. */
  readonly #own: Set<number>;
  readonly #fill: number;

  /** What was never written reads as `fill`. */
  constructor(fill = 0, pages: Uint32Array[] = []) {
    this.#fill = fill;
    this.#pages = pages;
    this.#own = new Set();
  }

  copy(): PagedNumbers {
    // From here on neither has a page of its own.
    this.#own.clear();
    return new PagedNumbers(this.#fill, this.#pages.slice());
  }

  get(index: number): number {
    return this.#pages[index >>> pageBits]?.[index & (pageSize - 1)] ?? this.#fill;
  }

  set(index: number, value: number): void {
    const at = index >>> pageBits;
    while (this.#pages.length <= at) this.#own.add(this.#pages.push(new Uint32Array(pageSize).fill(this.#fill)) - 1);
    let page = this.#pages[at];
    if (page === undefined) throw new Error('a page that is not there');
    if (!this.#own.has(at)) {
      this.#pages[at] = page = page.slice();
      this.#own.add(at);
    }
    page[index & (pageSize - 1)] = value;
  }
}
