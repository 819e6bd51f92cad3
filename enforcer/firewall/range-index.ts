// Which element of an interval set holds a packet's values, without looking at all of them: the distinct ranges of the
// first field in a balanced tree that knows how far each branch reaches, and below each range the same of the next field
// for the elements that share it, made when it is first asked.
import { addressNumber } from './addresses.ts';
import { canonicalField } from './keys.ts';
import type { KeyType, SetDefinition, SetElement } from './plan.ts';

/** Addresses as bigint, everything else as number; both compare exactly. */
export type FieldNumber = number | bigint;

interface Range {
  readonly first: FieldNumber;
  readonly last: FieldNumber;
}

interface Entry {
  readonly element: SetElement;
  readonly ranges: readonly Range[];
}

interface Group extends Range {
  readonly entries: Entry[];
  /** Of the next field; absent behind the last. */
  below?: Level;
}

export function fieldNumber(value: string, type: KeyType | undefined): FieldNumber {
  if (type === 'ipv4_addr' || type === 'ipv6_addr') return addressNumber(value);
  return Number(canonicalField(value, type));
}

export class RangeIndex {
  readonly #top: Level;

  constructor({ type, elements }: Pick<SetDefinition, 'type' | 'elements'>) {
    const ranges = type.map(() => new Map<string, Range>());
    const rangeAt = (text: string, at: number): Range => {
      const known = ranges[at]?.get(text) ?? rangeOf(text, type[at]);
      ranges[at]?.set(text, known);
      return known;
    };
    this.#top = new Level(
      elements.map((element) => ({ element, ranges: element.key.map(rangeAt) })),
      0,
    );
  }

  /** An element that holds the values and pleases the caller. */
  find(values: readonly FieldNumber[], wanted: (element: SetElement) => boolean): SetElement | undefined {
    return this.#top.find(values, wanted);
  }
}

class Level {
  readonly #depth: number;
  readonly #groups: readonly Group[];
  /** Farthest end of each branch, by its middle. */
  readonly #reach: FieldNumber[];

  constructor(entries: readonly Entry[], depth: number) {
    const groups = new Map<Range, Group>();
    for (const entry of entries) {
      const range = entry.ranges[depth]!;
      const group = groups.get(range) ?? { ...range, entries: [] };
      groups.set(range, group);
      group.entries.push(entry);
    }
    this.#depth = depth;
    this.#groups = [...groups.values()].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
    this.#reach = Array.from({ length: this.#groups.length }, () => 0);
    this.#measure(0, this.#groups.length);
  }

  find(values: readonly FieldNumber[], wanted: (element: SetElement) => boolean): SetElement | undefined {
    return this.#search(0, this.#groups.length, values, wanted);
  }

  #measure(from: number, to: number): FieldNumber | undefined {
    if (from >= to) return undefined;
    const middle = (from + to) >> 1;
    let reach = this.#groups[middle]!.last;
    for (const end of [this.#measure(from, middle), this.#measure(middle + 1, to)]) {
      if (end !== undefined && end > reach) reach = end;
    }
    this.#reach[middle] = reach;
    return reach;
  }

  #search(
    from: number,
    to: number,
    values: readonly FieldNumber[],
    wanted: (element: SetElement) => boolean,
  ): SetElement | undefined {
    if (from >= to) return undefined;
    const middle = (from + to) >> 1;
    const value = values[this.#depth]!;
    if (this.#reach[middle]! < value) return undefined;
    const left = this.#search(from, middle, values, wanted);
    if (left !== undefined) return left;
    const group = this.#groups[middle]!;
    if (group.first > value) return undefined;
    const here = value <= group.last ? this.#within(group, values, wanted) : undefined;
    return here ?? this.#search(middle + 1, to, values, wanted);
  }

  #within(
    group: Group,
    values: readonly FieldNumber[],
    wanted: (element: SetElement) => boolean,
  ): SetElement | undefined {
    if (this.#depth + 1 === values.length) return group.entries.find(({ element }) => wanted(element))?.element;
    group.below ??= new Level(group.entries, this.#depth + 1);
    return group.below.find(values, wanted);
  }
}

function rangeOf(text: string, type: KeyType | undefined): Range {
  const [first = '', last = first] = text.split('-');
  return { first: fieldNumber(first, type), last: fieldNumber(last, type) };
}
