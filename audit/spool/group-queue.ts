// Group commit: items wait in bounded memory and go to the disk together. While one group is synced the next gathers;
// an idle queue waits at most `lullMs` for company, and not at all when somebody waits for the disk.
import type { Clock } from '../../runtime/clock.ts';

export interface Queued {
  readonly payload: Buffer;
  /** Somebody waits for the disk. */
  readonly durable: boolean;
}

export interface GroupQueueOptions<Item> {
  readonly clock: Clock;
  readonly lullMs: number;
  /** Bytes from which a group does not wait for company. */
  readonly enoughBytes: number;
  readonly maxItems: number;
  readonly maxBytes: number;
  /** Must not reject. */
  readonly commit: (group: readonly Item[]) => Promise<void>;
}

interface Flush {
  readonly through: number;
  readonly resolve: () => void;
}

export class GroupQueue<Item extends Queued> {
  readonly #options: GroupQueueOptions<Item>;
  #items: Item[] = [];
  #bytes = 0;
  #draining = false;
  #lull: AbortController | undefined;
  /** Items ever added and ever committed; the difference waits or is being written. */
  #added = 0;
  #committed = 0;
  /** Up to this item there is no waiting for company. */
  #hurryThrough = 0;
  #flushes: Flush[] = [];

  constructor(options: GroupQueueOptions<Item>) {
    this.#options = options;
  }

  get items(): number {
    return this.#added - this.#committed;
  }

  /** Bytes that wait; the group being written is not counted. */
  get bytes(): number {
    return this.#bytes;
  }

  add(item: Item): void {
    this.#items.push(item);
    this.#bytes += item.payload.length;
    this.#added += 1;
    if (item.durable) this.#hurry();
    if (this.#draining) return;
    this.#draining = true;
    void this.#drain();
  }

  /** Resolves when everything added before is committed. */
  async flush(): Promise<void> {
    if (this.#committed === this.#added) return;
    this.#hurry();
    await new Promise<void>((resolve) => this.#flushes.push({ through: this.#added, resolve }));
  }

  #hurry(): void {
    this.#hurryThrough = this.#added;
    this.#lull?.abort();
  }

  async #drain(): Promise<void> {
    const { clock, lullMs, commit, enoughBytes } = this.#options;
    // One turn, so that what is emitted together travels together.
    await Promise.resolve();
    while (this.#items.length > 0) {
      if (this.#hurryThrough <= this.#committed && this.#bytes < enoughBytes) {
        this.#lull = new AbortController();
        await clock.sleep(lullMs, this.#lull.signal).catch(() => undefined);
        this.#lull = undefined;
      }
      const group = this.#take();
      await commit(group);
      this.#committed += group.length;
      this.#flushes = this.#flushes.filter((flush) => {
        if (flush.through > this.#committed) return true;
        flush.resolve();
        return false;
      });
    }
    this.#draining = false;
  }

  #take(): Item[] {
    const { maxItems, maxBytes } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const item of this.#items) {
      if (count >= maxItems || (count > 0 && bytes + item.payload.length > maxBytes)) break;
      bytes += item.payload.length;
      count += 1;
    }
    const group = this.#items.slice(0, count);
    this.#items = this.#items.slice(count);
    this.#bytes -= bytes;
    return group;
  }
}
