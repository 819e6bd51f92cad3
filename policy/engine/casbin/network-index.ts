// Lines by the network in one of their columns: one hash for every prefix length that occurs, so that a request is looked
// up as often as there are lengths.
import { type Address, networkOf } from './address.ts';
import type { Network } from './ip-pattern.ts';

export class NetworkIndex {
  readonly #lengths: readonly {
    readonly bits: number;
    readonly family: 4 | 6;
    readonly lines: Map<string, number[]>;
  }[];

  constructor(entries: readonly { readonly line: number; readonly network: Network }[]) {
    const lengths = new Map<string, { bits: number; family: 4 | 6; lines: Map<string, number[]> }>();
    for (const { line, network } of entries) {
      const { family } = network.network;
      const name = `${family}/${network.bits}`;
      const length = lengths.get(name) ?? { bits: network.bits, family, lines: new Map<string, number[]>() };
      lengths.set(name, length);
      const key = keyOf(network.network);
      const lines = length.lines.get(key);
      if (lines === undefined) length.lines.set(key, [line]);
      else lines.push(line);
    }
    this.#lengths = [...lengths.values()];
  }

  /** True when `visit` ended it. */
  search(address: Address, visit: (line: number) => boolean): boolean {
    for (const { bits, family, lines } of this.#lengths) {
      if (family !== address.family) continue;
      for (const line of lines.get(keyOf(networkOf(address, bits))) ?? []) if (visit(line)) return true;
    }
    return false;
  }
}

const keyOf = ({ words }: Address): string => words.join('.');
