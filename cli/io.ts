// How every command talks: one JSON document on stdout with --json, else a table or a line for people; progress and
// errors on stderr; exit codes 0 done, 1 refused or failed, 2 usage, 3 could not reach.
import { CodedError, formatPlace } from '../runtime/errors.ts';
import { type Cell, formatTable, visible } from '../runtime/table.ts';

export const exitCodes = { done: 0, refused: 1, usage: 2, unreachable: 3 } as const;

export interface Io {
  readonly json: boolean;
  /** Progress and remarks for people; silent with --json and when stderr is no terminal unless `always`. */
  note(text: string, always?: boolean): void;
  /** The command's result: `document` with --json, else `human`. Called once. */
  result(document: unknown, human: string): void;
}

export interface Streams {
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
}

export function createIo(json: boolean, streams: Streams = process): Io {
  return {
    json,
    note: (text, always = false) => {
      if (always || (!json && streams.stderr.isTTY === true)) streams.stderr.write(`${text}\n`);
    },
    result: (document, human) => {
      if (json) streams.stdout.write(`${JSON.stringify(document, jsonValue)}\n`);
      else if (human !== '') streams.stdout.write(`${human}\n`);
    },
  };
}

/** bigint becomes a number where exact, else a decimal string; bytes become lower case hex. */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return value;
}

export const table = (columns: readonly string[], rows: readonly (readonly Cell[])[], none: string): string =>
  rows.length === 0 ? none : formatTable(columns, rows);

/** ISO time without fractions, `-` for 0. */
export function timeText(ms: bigint | number): string {
  return Number(ms) === 0 ? '-' : new Date(Number(ms)).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Writes the error to stderr (or as JSON to stdout) and gives the exit code. */
export function reportError(error: unknown, json: boolean, streams: Streams = process): number {
  const coded = error instanceof CodedError ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  if (json) {
    const document = {
      ok: false,
      error: { code: coded?.code ?? 'INTERNAL', message, remedy: coded?.remedy, place: coded?.place },
    };
    streams.stdout.write(`${JSON.stringify(document)}\n`);
  } else {
    const place = coded?.place === undefined ? '' : `${formatPlace(coded.place)}: `;
    streams.stderr.write(`error: ${visible(`${place}${message}`)}\n`);
    if (coded !== undefined) streams.stderr.write(`  code   ${coded.code}\n  remedy ${visible(coded.remedy)}\n`);
  }
  if (coded === undefined) return exitCodes.refused;
  return coded.status === 'UNAVAILABLE' || coded.status === 'DEADLINE_EXCEEDED'
    ? exitCodes.unreachable
    : exitCodes.refused;
}
