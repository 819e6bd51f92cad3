// Values of options, checked before anything is done: a wrong one is a usage error (exit code 2).
import { InvalidArgumentError } from 'commander';

/** A whole number from `min` to `max`. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    return value;
  };

/** ISO 8601 date or date and time, as milliseconds. */
export function isoTime(text: string): number {
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isSafeInteger(ms)) throw new InvalidArgumentError('Expected an ISO time such as 2026-01-31T08:00:00Z.');
  return ms;
}

/** Text that says something: reasons go into orders, history and audit. */
export function notBlank(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('Expected some text.');
  return text;
}
