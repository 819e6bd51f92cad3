// Expressions of rules as attributes (linux/netfilter/nf_tables.h), in the order in which the kernel dumps them, so that
// what was written can be compared with what is read. Values are in the order that libnftables uses: addresses, ports and
// lengths as on the wire, marks and states in host order.
import type { NetlinkWriter } from '../../../runtime/linux-netlink-wire.ts';
import { DATA, EXPRESSION, LIST_ELEMENT, REGISTER_VERDICT, VERDICT, VERDICT_CODE } from './codes.ts';

export const META = { mark: 3, iifname: 6, oifname: 7, iiftype: 8, skuid: 10, nfproto: 15, l4proto: 16 } as const;
export const CT = { state: 0, direction: 1, mark: 3 } as const;
/** Bits of `ct state`: 1 << (ctinfo % 3 + 1), and one for what the tracker does not take. */
export const CT_STATE = { invalid: 1, established: 2, related: 4, new: 8 } as const;
export const COMPARE = { equal: 0, notEqual: 1, atMost: 3, atLeast: 5 } as const;
export const PAYLOAD = { link: 0, network: 1, transport: 2 } as const;
const RATE_SECONDS = { second: 1, minute: 60, hour: 3600, day: 86_400 } as const;

export interface Rate {
  readonly amount: number;
  readonly per: keyof typeof RATE_SECONDS;
  readonly burst: number;
}

/** A number as the kernel's own u32 (little-endian on every machine that koffi loads on). */
export function hostU32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function portBytes(port: number): Buffer {
  return Buffer.of(port >> 8, port & 0xff);
}

/** Writes expressions one after the other into the list that is open in `out`. */
export class ExpressionWriter {
  readonly #out: NetlinkWriter;

  constructor(out: NetlinkWriter) {
    this.#out = out;
  }

  meta(key: number, register: number): void {
    this.#expression('meta', (out) => out.u32(2, key).u32(1, register));
  }

  setMeta(key: number, register: number): void {
    this.#expression('meta', (out) => out.u32(2, key).u32(3, register));
  }

  ct(key: number, register: number): void {
    this.#expression('ct', (out) => out.u32(1, register).u32(2, key));
  }

  setCt(key: number, register: number): void {
    this.#expression('ct', (out) => out.u32(2, key).u32(4, register));
  }

  payload(base: number, offset: number, length: number, register: number): void {
    this.#expression('payload', (out) => out.u32(1, register).u32(2, base).u32(3, offset).u32(4, length));
  }

  compare(operation: number, value: Uint8Array, register: number = 1): void {
    this.#expression('cmp', (out) => {
      out.u32(1, register).u32(2, operation);
      out.nested(3, () => out.bytes(DATA.value, value));
    });
  }

  /** `register & mask`. */
  mask(value: Uint8Array, register: number = 1): void {
    this.#expression('bitwise', (out) => {
      out.u32(1, register).u32(2, register).u32(3, value.length).u32(6, 0);
      out.nested(4, () => out.bytes(DATA.value, value));
      out.nested(5, () => out.bytes(DATA.value, new Uint8Array(value.length)));
    });
  }

  /** `to`: register for what a map answers, 0 for a verdict. `id` finds a set of the same batch that has no name yet. */
  lookup(set: string, options: { readonly to?: number; readonly not?: boolean; readonly id?: number } = {}): void {
    this.#expression('lookup', (out) => {
      out.string(1, set).u32(2, 1);
      if (options.to !== undefined) out.u32(3, options.to);
      out.u32(5, options.not === true ? 1 : 0);
      if (options.id !== undefined) out.u32(4, options.id);
    });
  }

  /** `socket transparent` (0), `socket cgroupv2 level N` (3). */
  socket(key: 'transparent' | 'cgroup', level: number = 0): void {
    this.#expression('socket', (out) => {
      out.u32(1, key === 'transparent' ? 0 : 3).u32(2, 1);
      if (key === 'cgroup') out.u32(3, level);
    });
  }

  /** `fib daddr type`. */
  destinationType(): void {
    this.#expression('fib', (out) => out.u32(1, 1).u32(2, 3).u32(3, 2));
  }

  limitOver(rate: Rate): void {
    this.#expression('limit', (out) => limitAttributes(out, rate));
  }

  counter(): void {
    this.#expression('counter', (out) => out.u64(1, 0).u64(2, 0));
  }

  log(group: number, prefix: string): void {
    this.#expression('log', (out) => out.string(2, prefix).u16(1, group));
  }

  rejectWithReset(): void {
    this.#expression('reject', (out) => out.u32(1, 1));
  }

  tproxy(family: number, address: number, port: number): void {
    this.#expression('tproxy', (out) => out.u32(1, family).u32(2, address).u32(3, port));
  }

  immediate(value: Uint8Array, register: number): void {
    this.#expression('immediate', (out) => {
      out.u32(1, register);
      out.nested(2, () => out.bytes(DATA.value, value));
    });
  }

  verdict(kind: keyof typeof VERDICT_CODE, chain?: string): void {
    this.#expression('immediate', (out) => {
      out.u32(1, REGISTER_VERDICT);
      out.nested(2, () => verdictAttributes(out, kind, chain));
    });
  }

  /** Adds or renews the register's value in a set, and there judges it by an expression of its own. */
  dynset(
    set: string,
    operation: 'add' | 'update',
    more: { readonly timeoutMs?: number; readonly limitOver?: Rate; readonly connectionsOver?: number },
  ): void {
    const { timeoutMs, limitOver, connectionsOver } = more;
    this.#expression('dynset', (out) => {
      out.u32(4, 1).u32(3, operation === 'add' ? 0 : 1);
      out.string(1, set);
      if (timeoutMs !== undefined) out.u64(6, timeoutMs);
      if (limitOver !== undefined) out.nested(7, () => named(out, 'limit', () => limitAttributes(out, limitOver)));
      if (connectionsOver !== undefined) {
        out.nested(7, () => named(out, 'connlimit', () => out.u32(1, connectionsOver).u32(2, 1)));
      }
      out.u32(9, 0);
    });
  }

  #expression(name: string, fill: (out: NetlinkWriter) => unknown): void {
    const element = this.#out.open(LIST_ELEMENT);
    named(this.#out, name, fill);
    this.#out.close(element);
  }
}

/** Name and attributes of one expression, without the list element around them. */
export function named(out: NetlinkWriter, name: string, fill: (out: NetlinkWriter) => unknown): void {
  out.string(EXPRESSION.name, name);
  const data = out.open(EXPRESSION.data);
  fill(out);
  out.close(data);
}

export function verdictAttributes(out: NetlinkWriter, kind: keyof typeof VERDICT_CODE, chain?: string): void {
  out.nested(DATA.verdict, () => {
    out.u32(VERDICT.code, VERDICT_CODE[kind]);
    if (chain !== undefined) out.string(VERDICT.chain, chain);
  });
}

/** Type 0 counts packets; flag 1 turns it round: matches what is over the rate. */
function limitAttributes(out: NetlinkWriter, { amount, per, burst }: Rate): void {
  out.u64(1, amount).u64(2, RATE_SECONDS[per]).u32(3, burst).u32(4, 0).u32(5, 1);
}
