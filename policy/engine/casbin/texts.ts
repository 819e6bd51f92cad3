// Texts as numbers: every text of a policy once, so that rules are rows of numbers and a request is looked up by numbers.

/** Number of a text that no rule holds. */
export const NO_TEXT = 0;

/**
 * Only ever grows, so that a model and what is derived from it by a delta share one: a text that a newer model added is
 * in no row of the older one.
 */
export class Texts {
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [''];

  get size(): number {
    return this.#texts.length;
  }

  /** NO_TEXT when no rule holds it. */
  numberOf(text: string): number {
    return this.#numbers.get(text) ?? NO_TEXT;
  }

  add(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#texts.length;
    this.#texts.push(text);
    this.#numbers.set(text, number);
    return number;
  }

  text(number: number): string {
    const text = this.#texts[number];
    if (text === undefined || number === NO_TEXT) throw new Error('no text has this number');
    return text;
  }
}
