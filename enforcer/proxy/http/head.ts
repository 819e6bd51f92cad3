// The head of an HTTP/1.1 message (RFC 9112, sections 2 to 5), read in one way or not at all: lines end with CR LF, names
// are tokens, nothing is folded, no value holds a control character.
import { maxFieldLineBytes, maxStartLineBytes } from './limits.ts';

export interface Head {
  readonly startLine: string;
  /** Names as written and values in turn, one character a byte. */
  readonly fields: readonly string[];
}

/** Where a message's body ends (RFC 9112, 6.3). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

/** What was read, or why it has more than one reading. */
export type Reading<T> = { readonly read: T } | { readonly fault: string };

export const fault = (why: string): { readonly fault: string } => ({ fault: why });

/**
 * Spaces around a value are no part of it. A tab there is one for some readers and not for others, and so is refused; inside
 * of a value it may stand (RFC 9110, 5.5). Characters above 0x7f are kept as they come.
 */
const fieldLine =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): *((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?) *$/;

/** `text` is the head without its empty line, Latin-1. */
export function readHead(text: string): Reading<Head> {
  const [startLine = '', ...lines] = text.split('\r\n');
  if (startLine.length > maxStartLineBytes) return fault('a first line longer than any reader takes');
  const fields: string[] = [];
  for (const line of lines) {
    const why = lineFault(line) ?? readField(line, fields);
    if (why !== undefined) return fault(why);
  }
  return { read: { startLine, fields } };
}

function lineFault(line: string): string | undefined {
  if (line.length > maxFieldLineBytes) return 'a header line longer than any reader takes';
  const [first] = line;
  return first === ' ' || first === '\t' ? 'a folded header line' : undefined;
}

/** Adds name and value; why it could not. */
export function readField(line: string, fields: string[]): string | undefined {
  const [, name, value] = fieldLine.exec(line) ?? [];
  if (name === undefined || value === undefined) return fieldFault(line);
  fields.push(name, value);
  return undefined;
}

function fieldFault(line: string): string {
  const colon = line.indexOf(':');
  if (colon === -1) return 'a header line without a colon';
  if (/[ \t]$/.test(line.slice(0, colon))) return 'a space before the colon of a header line';
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(line.slice(0, colon))) return 'a header name that is no token';
  return /[^\t\x20-\x7e\x80-\xff]/.test(line) ? 'a control character in a header line' : 'a tab around a header value';
}

/** Values of all lines of a name, given in lower case. */
export function valuesOf(fields: readonly string[], name: string): readonly string[] {
  const values: string[] = [];
  for (let at = 0; at < fields.length; at += 2)
    if (fields[at]?.length === name.length && fields[at]?.toLowerCase() === name) values.push(fields[at + 1] ?? '');
  return values;
}

/** Whether Connection names the option, given in lower case (RFC 9110, 7.6.1). */
export function hasConnectionOption(fields: readonly string[], wanted: string): boolean {
  return valuesOf(fields, 'connection').some((value) =>
    value.split(',').some((option) => option.trim().toLowerCase() === wanted),
  );
}
