// Every device's chain, followed record by record while the log streams past, and compared with its signed heads.
import { chainNext, chainStart, sameBytes } from '../log/chain.ts';
import type { Findings } from './findings.ts';
import type { TrustedHead } from './heads.ts';

export interface ChainedRecord {
  readonly index: number;
  readonly deviceId: string;
  /** Hex. */
  readonly epoch: string;
  readonly sequence: number;
  readonly payload: Uint8Array;
  readonly chain: Uint8Array;
}

interface Chain {
  readonly device: string;
  readonly epoch: string;
  sequence: number;
  /** Values the next record may follow: after a break both what is stored and what was computed, so one break is one finding. */
  values: readonly Uint8Array[];
  readonly heads: Map<number, Buffer>;
  /** Last sequence that a trusted head confirms. */
  confirmed: number;
}

export class Chains {
  readonly #findings: Findings;
  readonly #chains = new Map<string, Chain>();

  constructor(findings: Findings, heads: readonly TrustedHead[]) {
    this.#findings = findings;
    for (const head of heads) this.#chain(head.deviceId, head.epoch).heads.set(head.sequence, head.chain);
  }

  get size(): number {
    return this.#chains.size;
  }

  add(record: ChainedRecord): void {
    const chain = this.#chain(record.deviceId, record.epoch);
    const place = { device: record.deviceId, epoch: record.epoch, index: record.index };
    const { sequence } = record;
    if (sequence <= chain.sequence) {
      const message = `sequence ${sequence} comes again after ${chain.sequence}`;
      this.#findings.add({ what: 'misplaced', ...place, sequence, message });
      return;
    }
    if (sequence > chain.sequence + 1) {
      const from = chain.sequence + 1;
      const message = `sequences ${from} to ${sequence - 1} are not in the log`;
      this.#findings.add({ what: 'missing', ...place, sequence: from, throughSequence: sequence - 1, message });
      chain.values = [record.chain];
    } else {
      this.#follow(chain, record);
    }
    chain.sequence = sequence;
    this.#compareHead(chain, record);
  }

  #follow(chain: Chain, record: ChainedRecord): void {
    const { sequence, payload } = record;
    const computed = chain.values.map((value) => chainNext(value, sequence, payload));
    if (computed.some((value) => sameBytes(value, record.chain))) {
      chain.values = [record.chain];
      return;
    }
    const place = { device: chain.device, epoch: chain.epoch, index: record.index, sequence };
    this.#findings.add({ what: 'chain', ...place, message: `the chain value of ${sequence} does not follow` });
    chain.values = [record.chain, ...computed];
  }

  #compareHead(chain: Chain, { sequence, chain: stored, index }: ChainedRecord): void {
    const signed = chain.heads.get(sequence);
    if (signed === undefined) return;
    chain.heads.delete(sequence);
    if (!sameBytes(signed, stored)) {
      const from = chain.confirmed + 1;
      this.#findings.add({
        what: 'head',
        device: chain.device,
        epoch: chain.epoch,
        sequence: from,
        throughSequence: sequence,
        index,
        message: `the device signed another chain; a record from ${from} to ${sequence} was replaced`,
      });
    }
    // What follows is judged by the next head alone.
    chain.confirmed = sequence;
  }

  /** After the last record: heads that the log did not reach. */
  finish(): void {
    for (const chain of this.#chains.values()) {
      const furthest = Math.max(0, ...chain.heads.keys());
      if (furthest <= chain.sequence) continue;
      this.#findings.add({
        what: 'truncated',
        device: chain.device,
        epoch: chain.epoch,
        sequence: chain.sequence + 1,
        throughSequence: furthest,
        message: `the device signed a head at ${furthest}, the log has it up to ${chain.sequence}`,
      });
    }
  }

  #chain(device: string, epoch: string): Chain {
    const key = `${device}/${epoch}`;
    const known = this.#chains.get(key);
    if (known !== undefined) return known;
    const values = [chainStart(Buffer.from(epoch, 'hex'))];
    const chain: Chain = { device, epoch, sequence: 0, values, heads: new Map(), confirmed: 0 };
    this.#chains.set(key, chain);
    return chain;
  }
}
