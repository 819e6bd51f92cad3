// What a request has to look like, learnt from how the matcher uses its fields. One field is one thing: a text that is
// also a number or has attributes would be compared by coercion in the reference (fault 14).
import { MAX_CASBIN_VALUE_LENGTH } from '../limits.ts';
import { readAddress } from './address.ts';
import { matcherError } from './matcher-syntax.ts';
import type { TextSource } from './model-file.ts';
import { NO_TEXT, type Texts } from './texts.ts';
import type { CasbinValue, FieldKind } from './value.ts';

export class RequestShape {
  readonly #names: readonly string[];
  readonly #kinds: (FieldKind | undefined)[];
  readonly #addresses: Set<number>;
  readonly #lookedUp: Set<number>;

  constructor(names: readonly string[], from?: RequestShape) {
    this.#names = names;
    this.#kinds = from === undefined ? names.map(() => undefined) : from.#kinds.slice();
    this.#addresses = new Set(from === undefined ? [] : from.#addresses);
    this.#lookedUp = new Set(from === undefined ? [] : from.#lookedUp);
  }

  copy(): RequestShape {
    return new RequestShape(this.#names, this);
  }

  use(field: number, as: FieldKind | 'address', source: TextSource, at: number): void {
    const kind = as === 'address' ? 'text' : as;
    const before = this.#kinds[field];
    if (before !== undefined && before !== kind) {
      const name = this.#names[field] ?? '';
      throw matcherError(
        source,
        at,
        `r.${name} is used as ${kind} here and as ${before} elsewhere; one field is one thing`,
      );
    }
    this.#kinds[field] = kind;
    if (as === 'address') this.#addresses.add(field);
  }

  /** The number of the field's text is needed. */
  lookUp(field: number): void {
    this.#lookedUp.add(field);
  }

  /** False for a request that is not usable; else `numbers` holds the numbers of the texts that are looked up. */
  read(values: readonly CasbinValue[], texts: Texts, numbers: Uint32Array): boolean {
    if (!Array.isArray(values) || values.length !== this.#names.length) return false;
    numbers.fill(NO_TEXT);
    for (let field = 0; field < values.length; field++) {
      const value = values[field];
      const kind = this.#kinds[field];
      if (typeof value !== 'string') {
        if (
          kind === 'attributes' ? !isObject(value) : kind === undefined ? value === undefined : typeof value !== kind
        ) {
          return false;
        }
        continue;
      }
      if (kind !== undefined && kind !== 'text') return false;
      // What the policy holds is plain; what it does not hold has to be looked at.
      const number = this.#lookedUp.has(field) ? texts.numberOf(value) : NO_TEXT;
      numbers[field] = number;
      if (number === NO_TEXT && !isPlain(value)) return false;
      if (this.#addresses.has(field) && readAddress(value) === undefined) return false;
    }
    return true;
  }
}

const isObject = (value: CasbinValue | undefined): boolean => typeof value === 'object' && value !== null;

// eslint-disable-next-line no-control-regex
const notPlain = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** Text that means the same to every reader: not empty, bounded, whole characters, no controls or line separators. */
export function isPlain(value: string): boolean {
  if (value === '' || value.length > MAX_CASBIN_VALUE_LENGTH) return false;
  if (notPlain.test(value)) return false;
  // Half a character becomes another text as soon as somebody writes it down as UTF-8.
  return value.isWellFormed();
}
