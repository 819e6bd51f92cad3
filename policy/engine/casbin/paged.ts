// An array in small pages. A copy shares them, and whoever writes to one first makes its own, so that a version of a policy
// in which a few lines changed costs a few pages.

const pageBits = 6;
const pageSize = 1 << pageBits;

export class Paged<Item> {
  readonly #pages: Item[][];
  /** Pages that no other copy has. */
  readonly #own: Set<number>;
  readonly #fill: Item;

  /** What was never written reads as `fill`. */
  constructor(fill: Item, pages: Item[][] = []) {
    this.#fill = fill;
    this.#pages = pages;
    this.#own = new Set();
  }

  copy(): Paged<Item> {
    // From here on neither has a page of its own.
    this.#own.clear();
    return new Paged(this.#fill, this.#pages.slice());
  }

  get(index: number): Item {
    const page = this.#pages[index >>> pageBits];
    return page === undefined ? this.#fill : (page[index & (pageSize - 1)] as Item);
  }

  set(index: number, item: Item): void {
    const at = index >>> pageBits;
    while (this.#pages.length <= at) {
      this.#own.add(this.#pages.push(Array.from({ length: pageSize }, () => this.#fill)) - 1);
    }
    let page = this.#pages[at];
    if (page === undefined) throw new Error('a page that is not there');
    if (!this.#own.has(at)) {
      this.#pages[at] = page = page.slice();
      this.#own.add(at);
    }
    page[index & (pageSize - 1)] = item;
  }
}
