// What a rule does, as text: every expression with its attributes, as the kernel keeps them. Two rules with the same text
// decide alike; handles, counters and the numbers of nameless sets are not part of it, everything else is.
import { eachAttribute, NetlinkWriter, numberOf } from '../../../runtime/linux-netlink-wire.ts';
import type { Rule } from '../plan.ts';
import { EXPRESSION, VERDICT, verdictName } from './codes.ts';
import { anonymousSets, writeRule } from './rules.ts';
import type { AnonymousSet } from './rules.ts';

export interface RuleContent {
  readonly text: string;
  /** Prefix of its log, empty without one. */
  readonly log: string;
}

export interface Counted {
  readonly packets: number;
  readonly bytes: number;
}

/** libnftables turns the order of a single byte in lookups of ranges, which changes nothing. */
const idle = /^byteorder .*\b4=00000001\b/;

/** Attributes that hold attributes, by expression; `data` holds a value or a verdict. */
const nested: Readonly<Record<string, Readonly<Record<number, 'data' | 'expression'>>>> = {
  cmp: { 3: 'data' },
  range: { 3: 'data', 4: 'data' },
  bitwise: { 4: 'data', 5: 'data', 7: 'data' },
  immediate: { 2: 'data' },
  dynset: { 7: 'expression' },
};
/** Into the verdict register. */
const VERDICT_PREFIX = 'immediate 1=00000000 2=';

/** Attributes that are texts. */
const texts: Readonly<Record<string, number>> = { lookup: 1, dynset: 1, log: 2 };
/** Number of a set in its batch: only senders know it. */
const setId: Readonly<Record<string, number>> = { lookup: 4, dynset: 2 };
const DYNSET_TIMEOUT = 6;
const COUNTER = { bytes: 1, packets: 2 } as const;

/** `setText` says what is in a nameless set, `__set3`. */
export function readContent(bytes: Buffer, from: number, to: number, setText: (name: string) => string): RuleContent {
  const parts: string[] = [];
  const reader = new ContentReader(bytes, setText);
  eachAttribute(bytes, from, to, (_, start, end) => {
    const text = reader.expression(start, end);
    if (!idle.test(text)) parts.push(text);
  });
  return { text: parts.join('; '), log: reader.log };
}

/**
 * Contents of the rules of one table, from one listing to the next: nearly all of them are those of before, byte by byte
 * but for their counters.
 */
export class ContentCache {
  #before = new Map<string, RuleContent>();
  #now = new Map<string, RuleContent>();

  /** Begins a listing: what the one before did not meet is forgotten. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** Zeroes the counters in `bytes`. */
  read(bytes: Buffer, from: number, to: number, setText: (name: string) => string): RuleContent & Counted {
    const counted = takeCounters(bytes, from, to);
    const raw = bytes.toString('latin1', from, to);
    const known = this.#before.get(raw);
    const content = known ?? readContent(bytes, from, to, setText);
    // A nameless set has the same number in the next listing, and may hold something else.
    if (!raw.includes('__set')) this.#now.set(raw, content);
    return { ...content, ...counted };
  }
}

/** Takes the counter's values out of a list of expressions. */
function takeCounters(bytes: Buffer, from: number, to: number): Counted {
  const counted = { packets: 0, bytes: 0 };
  const take = (type: number, start: number, end: number): void => {
    if (end - start !== 8) return;
    const value = Number(bytes.readBigUInt64BE(start));
    bytes.fill(0, start, end);
    if (type === COUNTER.bytes) counted.bytes += value;
    else if (type === COUNTER.packets) counted.packets += value;
  };
  let counter = false;
  const part = (type: number, start: number, end: number): void => {
    if (type === EXPRESSION.name) counter = end - start === 8 && bytes.toString('latin1', start, end) === 'counter\0';
    else if (type === EXPRESSION.data && counter) eachAttribute(bytes, start, end, take);
  };
  eachAttribute(bytes, from, to, (_, start, end) => eachAttribute(bytes, start, end, part));
  return counted;
}

class ContentReader {
  readonly #bytes: Buffer;
  readonly #setText: (name: string) => string;
  log = '';

  constructor(bytes: Buffer, setText: (name: string) => string) {
    this.#bytes = bytes;
    this.#setText = setText;
  }

  expression(from: number, to: number): string {
    const bytes = this.#bytes;
    let name = '';
    let dataFrom = 0;
    let dataTo = 0;
    eachAttribute(bytes, from, to, (type, start, end) => {
      if (type === EXPRESSION.name) name = this.#text(start, end);
      else if (type === EXPRESSION.data) [dataFrom, dataTo] = [start, end];
    });
    if (name === 'counter') return name;
    const parts: string[] = [];
    eachAttribute(bytes, dataFrom, dataTo, (type, start, end) => {
      const value = this.#value(name, type, start, end);
      if (value !== undefined) parts.push(`${type}=${value}`);
    });
    // The order of attributes is the writer's taste. A verdict says all by its name.
    const text = `${name} ${parts.sort().join(' ')}`;
    return text.startsWith(VERDICT_PREFIX) ? text.slice(VERDICT_PREFIX.length) : text;
  }

  #value(name: string, type: number, from: number, to: number): string | undefined {
    if (setId[name] === type) return undefined;
    const kind = nested[name]?.[type];
    if (kind === 'expression') return `(${this.expression(from, to)})`;
    if (kind === 'data') return this.#data(from, to);
    if (texts[name] === type) {
      const text = this.#text(from, to);
      if (name === 'log') this.log = text;
      return text.startsWith('__set') ? this.#setText(text) : text;
    }
    const hex = hexText(this.#bytes, from, to);
    return name === 'dynset' && type === DYNSET_TIMEOUT && /^0*$/.test(hex) ? undefined : hex;
  }

  /** A value in hexadecimal, or a verdict with its chain. */
  #data(from: number, to: number): string {
    let text = '';
    eachAttribute(this.#bytes, from, to, (type, start, end) => {
      if (type === 1) text += hexText(this.#bytes, start, end);
      else {
        eachAttribute(this.#bytes, start, end, (part, first, last) => {
          text +=
            part === VERDICT.code
              ? verdictName(numberOf(this.#bytes.subarray(first, last), 4, 'verdict') | 0)
              : ` ${this.#text(first, last)}`;
        });
      }
    });
    return text;
  }

  #text(from: number, to: number): string {
    const end = this.#bytes[to - 1] === 0 ? to - 1 : to;
    let text = '';
    for (let at = from; at < end; at += 1) text += String.fromCharCode(this.#bytes[at] ?? 0);
    return text;
  }
}

const hexBytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** For a few bytes quicker than `toString('hex')`. */
function hexText(bytes: Buffer, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at += 1) text += hexBytes[bytes[at] ?? 0];
  return text;
}

/** What a nameless set holds, in one spelling. */
export const anonymousText = (keys: readonly Buffer[]): string =>
  `{${keys
    .map((key) => key.toString('hex'))
    .sort()
    .join(',')}}`;

/** What the kernel would dump for a rule of the plan. */
export function contentOf(rule: Rule): string {
  const known = contents.get(rule);
  if (known !== undefined) return known;
  const out = new NetlinkWriter(1024).begin(0, 0);
  const start = out.length;
  writeRule(out, rule);
  const { bytes } = out.finish();
  const sets: AnonymousSet[] = anonymousSets(rule);
  const { text } = readContent(bytes, start, bytes.length, () => anonymousText(sets.shift()?.keys ?? []));
  contents.set(rule, text);
  return text;
}

/** Rules are the same objects from one comparison to the next. */
const contents = new WeakMap<Rule, string>();
