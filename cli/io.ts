// How every command talks: one JSON document on stdout with --json, else a table or a line for people; progress and
// errors on stderr; exit codes 0 done, 1 refused or failed, 2 usage, 3 could not reach.
import { CodedError, formatPlace } from '../runtime/errors.ts';
import { cliErrors } from './errors.ts';
import { type Cell, formatTable, visible } from '../runtime/table.ts';

export const exitCodes = { done: 0, refused: 1, usage: 2, unreachable: 3 } as const;

export interface Io {
  readonly json: boolean;
  /** Progress and remarks for people; silent with --json, and when stderr is no terminal unless `always`. */
  note(text: string, always?: boolean): void;
  /** The command's result: `document` with --json, else `human`. Called once; by `audit tail` for each event. */
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
      if (!json && (always || streams.stderr.isTTY === true)) streams.stderr.write(`${forPeople(text)}\n`);
    },
    result: (document, human) => {
      if (json) streams.stdout.write(`${JSON.stringify(document, jsonValue)}\n`);
      else if (human !== '') streams.stdout.write(`${forPeople(human)}\n`);
    },
  };
}

/** What others wrote, a request's path or a reason, moves no cursor. A text that may hold a line feed is for who says it. */
const forPeople = (text: string): string => text.split('\n').map(visible).join('\n');

/** bigint becomes a number where exact, else a decimal string; bytes become lower case hex; names of wire types go. */
function jsonValue(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  if (key === '$typeName') return undefined;
  if (typeof value === 'bigint') return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();
  // A Buffer has become {type, data} before it gets here; the holder still has the bytes.
  const bytes = this[key];
  return bytes instanceof Uint8Array ? Buffer.from(bytes).toString('hex') : value;
}

export const table = (columns: readonly string[], rows: readonly (readonly Cell[])[], none: string): string =>
  rows.length === 0 ? none : formatTable(columns, rows);

/** ISO time without fractions, `-` for 0. */
export function timeText(ms: bigint | number): string {
  return Number(ms) === 0 ? '-' : new Date(Number(ms)).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Writes the error to stderr (or as JSON to stdout) and gives the exit code. */
export function reportError(error: unknown, json: boolean, streams: Streams = process): number {
  const coded = error instanceof CodedError ? error : fileFault(error);
  const message = coded?.message ?? (error instanceof Error ? error.message : String(error));
  if (json) {
    const document = {
      ok: false,
      error: { code: coded?.code ?? 'INTERNAL', message, remedy: coded?.remedy, place: coded?.place },
    };
    streams.stdout.write(`${JSON.stringify(document)}\n`);
  } else {
    const place = coded?.place === undefined ? '' : `${formatPlace(coded.place)}: `;
    streams.stderr.write(`error: ${forPeople(`${place}${message}`)}\n`);
    if (coded !== undefined) streams.stderr.write(`  code   ${coded.code}\n  remedy ${visible(coded.remedy)}\n`);
  }
  if (coded === undefined) return exitCodes.refused;
  if (coded.code === 'CLI_USAGE') return exitCodes.usage;
  return coded.status === 'UNAVAILABLE' || coded.status === 'DEADLINE_EXCEEDED'
    ? exitCodes.unreachable
    : exitCodes.refused;
}

/** A usage error; commander has written its text for people already. Help that was asked for is no error. */
export function reportUsage(
  error: { readonly exitCode: number; readonly code: string; readonly message: string },
  json: boolean,
  streams: Streams = process,
): number {
  if (error.exitCode === 0) return exitCodes.done;
  const message =
    error.code === 'commander.help' ? 'the command is not complete' : error.message.replace(/^error: /, '');
  return json ? reportError(cliErrors.error('CLI_USAGE', message), json, streams) : exitCodes.usage;
}

const fileReasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'not a directory',
  EISDIR: 'a directory',
  EEXIST: 'exists already',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'read-only file system',
  ENOSPC: 'the disk is full',
};

/** What the system said about a path that the user gave. */
function fileFault(error: unknown): CodedError | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('path' in error)) return undefined;
  const { code, path } = error as NodeJS.ErrnoException;
  return cliErrors.error('CLI_FILE_FAILED', `${path}: ${fileReasons[code ?? ''] ?? code}`, { cause: error });
}
