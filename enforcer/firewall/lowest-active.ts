// Which of the numbers that are active now is the lowest: a binary heap whose top is cleaned when it is asked for, so
// that ending a number costs nothing until it would win.

export class LowestActive {
  readonly #heap: number[] = [];
  readonly #active = new Set<number>();

  /** Of a number that is not active. */
  begin(rank: number): void {
    this.#active.add(rank);
    this.#push(rank);
  }

  end(rank: number): void {
    this.#active.delete(rank);
  }

  lowest(): number | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (this.#active.has(top)) return top;
      this.#pop();
    }
    return undefined;
  }

  #push(rank: number): void {
    const heap = this.#heap;
    let at = heap.push(rank) - 1;
    for (let parent = (at - 1) >> 1; at > 0 && heap[parent]! > rank; parent = (at - 1) >> 1) {
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = rank;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) break;
      const child = left + 1 < heap.length && heap[left + 1]! < heap[left]! ? left + 1 : left;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
