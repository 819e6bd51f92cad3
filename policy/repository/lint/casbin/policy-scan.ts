// A forgiving look at policy.csv: the columns of every line with the place of each, so that every fault can be named
// where it stands. Whether a line is right is judged by the engine's parser in the end (../casbin.ts).
import type { Place } from '../../../../runtime/errors.ts';

export interface ScannedValue {
  readonly text: string;
  readonly place: Place;
  /** Characters of a quote that stand before the text. */
  readonly quotes?: number;
}

export interface ScannedLine {
  readonly line: number;
  readonly kind: string;
  readonly place: Place;
  readonly values: readonly ScannedValue[];
  /** What is wrong with the quotes; the values are then not to be trusted. */
  readonly quote: ScannedValue | undefined;
}

/** Lines that are neither empty nor comments. */
export function scanPolicy(text: string, file: string): ScannedLine[] {
  return text.split('\n').flatMap((raw, index) => {
    const content = raw.trim();
    if (content === '' || content.startsWith('#')) return [];
    return [scanLine(content, raw.search(/\S/) + 1, index + 1, file)];
  });
}

function scanLine(content: string, start: number, line: number, file: string): ScannedLine {
  const columns: ScannedValue[] = [];
  let quote: ScannedValue | undefined;
  let at = 0;
  for (;;) {
    while (content[at] === ' ' || content[at] === '\t') at++;
    const place = { file, line, column: start + at };
    const { value, next, fault } = content[at] === '"' ? quoted(content, at) : plain(content, at);
    if (fault !== undefined) quote ??= { text: fault, place };
    columns.push({ text: value.trim(), place, quotes: content[at] === '"' ? 1 : 0 });
    if (next >= content.length) break;
    at = next + 1;
  }
  const [kind, ...values] = columns;
  return { line, kind: kind?.text ?? '', place: { file, line, column: start }, values, quote };
}

interface Column {
  readonly value: string;
  readonly next: number;
  readonly fault?: string;
}

function plain(content: string, at: number): Column {
  const comma = content.indexOf(',', at);
  const next = comma === -1 ? content.length : comma;
  const value = content.slice(at, next);
  return value.includes('"')
    ? { value, next, fault: 'a quote inside a column: quote the whole column and double the quote' }
    : { value, next };
}

function quoted(content: string, start: number): Column {
  let value = '';
  let at = start + 1;
  for (;;) {
    const end = content.indexOf('"', at);
    if (end === -1) return { value: content.slice(start), next: content.length, fault: 'a quote is never closed' };
    value += content.slice(at, end);
    at = end + 1;
    if (content[at] !== '"') break;
    value += '"';
    at++;
  }
  while (content[at] === ' ' || content[at] === '\t') at++;
  if (at >= content.length || content[at] === ',') return { value, next: at };
  const comma = content.indexOf(',', at);
  return { value, next: comma === -1 ? content.length : comma, fault: 'expected a comma after the closing quote' };
}
