// Reads policy.csv of Casbin, strictly: known line types, exact column counts, effects `allow` and `deny` and nothing
// else. The reference ignores unknown lines and surplus columns and takes a misspelt effect for none (faults 4 and 14).
import { engineErrors } from '../errors.ts';
import { MAX_CASBIN_COLUMN_LENGTH, MAX_CASBIN_LINES } from '../limits.ts';
import type { ModelFile } from './model-file.ts';

export interface PolicyLine {
  /** Line in policy.csv, from 1. */
  readonly line: number;
  /** Columns after `p`. */
  readonly values: readonly string[];
  readonly allow: boolean;
  /** Lower comes first; 0 where the model has no column for it. */
  readonly priority: number;
}

export interface RoleLine {
  readonly line: number;
  /** Name of the role definition, e.g. `g`. */
  readonly kind: string;
  readonly member: string;
  readonly role: string;
  /** Empty where the definition has no domain. */
  readonly domain: string;
}

export interface PolicyFile {
  readonly lines: readonly PolicyLine[];
  readonly roles: readonly RoleLine[];
}

export function parsePolicyFile(text: string, file: string, model: ModelFile): PolicyFile {
  const lines: PolicyLine[] = [];
  const roles: RoleLine[] = [];
  let line = 0;
  for (let from = 0; from <= text.length;) {
    line++;
    const end = text.indexOf('\n', from);
    const raw = end === -1 ? text.slice(from) : text.slice(from, end);
    from = end === -1 ? text.length + 1 : end + 1;
    const parsed = parsePolicyLine(raw, line, file, model);
    if (parsed === undefined) continue;
    if (line > MAX_CASBIN_LINES) {
      throw engineErrors.error('ENGINE_CASBIN_TOO_LARGE', `more than ${MAX_CASBIN_LINES} lines`, {
        place: { file, line },
      });
    }
    if ('values' in parsed) lines.push(parsed);
    else roles.push(parsed);
  }
  return { lines, roles };
}

/** One line; undefined for an empty one and for a comment. `line` 0 where it has no number. */
export function parsePolicyLine(
  raw: string,
  line: number,
  file: string,
  model: ModelFile,
): PolicyLine | RoleLine | undefined {
  const content = raw.trim();
  if (content === '' || content.startsWith('#')) return undefined;
  const fail = (message: string): Error =>
    engineErrors.error('ENGINE_CASBIN_POLICY', message, { place: line === 0 ? { file } : { file, line } });
  const [kind = '', ...values] = columns(content, fail);
  if (kind === 'p') {
    if (values.length !== model.policy.length) {
      const names = model.policy.join(', ');
      throw fail(`p has ${model.policy.length} columns in the model (${names}), this line has ${values.length}`);
    }
    return { line, values, allow: effectOf(values, model, fail), priority: priorityOf(values, model, fail) };
  }
  const arity = model.roles.get(kind);
  if (arity === undefined) {
    throw fail(`unknown line type "${kind}": the model defines ${['p', ...model.roles.keys()].join(', ')}`);
  }
  if (values.length !== arity) throw fail(`${kind} has ${arity} columns in the model, this line has ${values.length}`);
  const [member = '', role = '', domain = ''] = values;
  return { line, kind, member, role, domain };
}

function effectOf(values: readonly string[], model: ModelFile, fail: (message: string) => Error): boolean {
  const column = model.policy.indexOf('eft');
  if (column === -1) return true;
  const effect = values[column];
  if (effect !== 'allow' && effect !== 'deny') throw fail(`effect "${effect ?? ''}": expected allow or deny`);
  return effect === 'allow';
}

function priorityOf(values: readonly string[], { priority }: ModelFile, fail: (message: string) => Error): number {
  if (priority === undefined) return 0;
  const text = values[priority] ?? '';
  // The reference reads `1x` as 1 and lets what is no number sort anywhere.
  if (!/^(0|-?[1-9][0-9]{0,8})$/.test(text)) throw fail(`priority "${text}": expected a whole number`);
  return Number(text);
}

/** RFC 4180 columns of one line, blanks around them removed as the reference does. */
function columns(line: string, fail: (message: string) => Error): string[] {
  // Nearly every line: no quotes, so a comma always ends a column.
  if (!line.includes('"')) return line.split(',').map((value) => checked(value.trim(), fail));
  const result: string[] = [];
  let at = 0;
  for (;;) {
    while (line[at] === ' ' || line[at] === '\t') at++;
    const { value, next } = line[at] === '"' ? quoted(line, at, fail) : plain(line, at, fail);
    result.push(checked(value.trim(), fail));
    if (next >= line.length) return result;
    at = next + 1;
  }
}

function quoted(line: string, start: number, fail: (message: string) => Error): { value: string; next: number } {
  let value = '';
  let at = start + 1;
  for (;;) {
    const end = line.indexOf('"', at);
    if (end === -1) throw fail('a quote is never closed');
    value += line.slice(at, end);
    if (line[end + 1] !== '"') {
      at = end + 1;
      break;
    }
    value += '"';
    at = end + 2;
  }
  while (line[at] === ' ' || line[at] === '\t') at++;
  if (at < line.length && line[at] !== ',') throw fail('expected a comma after the closing quote');
  return { value, next: at };
}

function plain(line: string, start: number, fail: (message: string) => Error): { value: string; next: number } {
  const comma = line.indexOf(',', start);
  const next = comma === -1 ? line.length : comma;
  const value = line.slice(start, next);
  if (value.includes('"')) throw fail('a quote inside a column: quote the whole column and double the quote');
  return { value, next };
}

// eslint-disable-next-line no-control-regex
const controlOrBracket = /[\u0000-\u001f\u007f-\u009f\u2028\u2029()]/;

function checked(value: string, fail: (message: string) => Error): string {
  if (value === '') throw fail('an empty column: an empty value would equal a missing one');
  if (value.length > MAX_CASBIN_COLUMN_LENGTH)
    throw fail(`a column is longer than ${MAX_CASBIN_COLUMN_LENGTH} characters`);
  if (!value.isWellFormed()) throw fail('half a character (a lone surrogate)');
  if (!controlOrBracket.test(value)) return value;
  let depth = 0;
  for (const character of value) {
    if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (controlOrBracket.test(character)) throw fail('a control character or line separator');
  }
  if (depth !== 0) throw fail('round brackets do not pair up: the reference would join this column with the next');
  return value;
}
