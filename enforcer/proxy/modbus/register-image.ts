// What the registers of the servers behind a proxy were seen to hold: for limits of change, and for records of what a write
// replaced. Seen means read or written through the proxy; nothing else is known, and after a minute neither is that.
import { MAX_IMAGE_REGISTERS } from '../limits.ts';

/** Milliseconds over which a change is measured, and for which a value counts as known. */
const windowMs = 60_000;
/** Milliseconds of a step: values older than the window by less than this still count, which only denies more. */
const stepMs = 10_000;

const addressSpace = 0x10000;

interface Step {
  readonly since: number;
  low: number;
  high: number;
}

interface Register {
  steps: Step[];
  last: number;
  wasWritten: boolean;
}

export type RegisterTable = 'coil' | 'holding';

type Sight = (server: string, unit: number, table: RegisterTable, address: number, values: readonly number[]) => void;

export interface RegisterImage {
  /** An answer held these values. `server` is a name of it, one for all its addresses. */
  readonly saw: Sight;
  /** A request that writes these values went on. */
  readonly wrote: Sight;
  /** The last value of each; undefined where one of them is not known. */
  readonly last: (
    server: string,
    unit: number,
    table: RegisterTable,
    address: number,
    quantity: number,
  ) => readonly number[] | undefined;
  /** Largest difference of a value to one that its register had within the last minute; undefined where one is not known. */
  readonly change: (
    server: string,
    unit: number,
    table: RegisterTable,
    address: number,
    values: readonly number[],
  ) => number | undefined;
}

/** `now` is monotonic, in milliseconds. */
export function createRegisterImage(now: () => number): RegisterImage {
  /** Both in the order in which they were seen, so that the first is the one to forget. */
  const read = new Map<number, Register>();
  /** Kept apart: who may read much must not make us forget what was written. */
  const written = new Map<number, Register>();
  /** Until when a register that was only read may be one that was written and had to be forgotten. */
  let lossUntil = -Infinity;
  /** Numbers of tables, so that a register's key is a number too: a poll looks up more than a hundred. */
  const tables = new Map<string, number>();
  const firstKeyOf = (server: string, unit: number, table: RegisterTable): number => {
    const name = `${server}/${unit}/${table}`;
    let number = tables.get(name);
    if (number === undefined) tables.set(name, (number = tables.size));
    return number * addressSpace;
  };

  const known = (key: number, at: number): Register | undefined => {
    const register = written.get(key) ?? read.get(key);
    if (register === undefined) return undefined;
    const oldest = at - windowMs - stepMs;
    if ((register.steps[0]?.since ?? 0) > oldest) return register;
    register.steps = register.steps.filter(({ since }) => since > oldest);
    if (register.steps.length > 0) return register;
    written.delete(key);
    read.delete(key);
    return undefined;
  };

  const see = (key: number, value: number, at: number, isWrite: boolean): void => {
    const register = known(key, at) ?? { steps: [], last: value, wasWritten: false };
    // The value of before it had until now.
    const [low, high] = value < register.last ? [value, register.last] : [register.last, value];
    register.last = value;
    register.wasWritten ||= isWrite;
    const step = register.steps.at(-1);
    if (step === undefined || at - step.since >= stepMs) {
      register.steps.push({ since: at, low, high });
    } else {
      step.low = Math.min(step.low, low);
      step.high = Math.max(step.high, high);
    }
    read.delete(key);
    written.delete(key);
    keep(register.wasWritten ? written : read, key, register, at);
  };

  const keep = (registers: Map<number, Register>, key: number, register: Register, at: number): void => {
    registers.set(key, register);
    if (registers.size <= MAX_IMAGE_REGISTERS) return;
    for (const [oldest] of registers) {
      if (registers === written && known(oldest, at) !== undefined) lossUntil = at + windowMs + stepMs;
      registers.delete(oldest);
      break;
    }
  };

  const seeAll = (isWrite: boolean): Sight => {
    return (server, unit, table, address, values) => {
      const key = firstKeyOf(server, unit, table) + address;
      const at = now();
      for (let index = 0; index < values.length; index++) see(key + index, values[index] ?? 0, at, isWrite);
    };
  };

  return {
    saw: seeAll(false),
    wrote: seeAll(true),
    last(server, unit, table, address, quantity) {
      const values: number[] = [];
      const key = firstKeyOf(server, unit, table) + address;
      const at = now();
      for (let index = 0; index < quantity; index++) {
        const register = known(key + index, at);
        if (register === undefined) return undefined;
        values.push(register.last);
      }
      return values;
    },
    change(server, unit, table, address, values) {
      let largest = 0;
      const key = firstKeyOf(server, unit, table) + address;
      const at = now();
      for (const [index, value] of values.entries()) {
        const register = known(key + index, at);
        if (register === undefined || (!register.wasWritten && at < lossUntil)) return undefined;
        for (const { low, high } of register.steps)
          largest = Math.max(largest, Math.abs(value - low), Math.abs(value - high));
      }
      return largest;
    },
  };
}
