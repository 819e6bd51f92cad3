// Reads policy.csv of Casbin, strictly: known line types, exact column counts, effects `allow` and `deny` and nothing
// else. The reference ignores unknown lines and surplus columns and takes a misspelt effect for none (faults 4 and 14).
import { engineErrors } from '../errors.ts';
import { MAX_CASBIN_COLUMN_LENGTH, MAX_CASBIN_LINES } from '../limits.ts';
import type { ModelFile } from './model-file.ts';

export interface PolicyLine {
  /** Line in policy.csv, from 1. */
  readonly line: number;
  readonly values: readonly string[];
  readonly allow: boolean;
}

export interface RoleLine {
  readonly line: number;
  readonly member: string;
  readonly role: string;
  /** Empty where the definition has no domain. */
  readonly domain: string;
}

export interface PolicyFile {
  readonly lines: readonly PolicyLine[];
  readonly roles: ReadonlyMap<string, readonly RoleLine[]>;
}

export function parsePolicyFile(text: string, file: string, model: ModelFile): PolicyFile {
  const lines: PolicyLine[] = [];
  const roles = new Map<string, RoleLine[]>([...model.roles.keys()].map((name) => [name, []]));
  const effectColumn = model.policy.indexOf('eft');
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1;
    const content = raw.trim();
    if (content === '' || content.startsWith('#')) continue;
    if (line > MAX_CASBIN_LINES) {
      throw engineErrors.error('ENGINE_CASBIN_TOO_LARGE', `more than ${MAX_CASBIN_LINES} lines`, {
        place: { file, line },
      });
    }
    const fail = (message: string): Error =>
      engineErrors.error('ENGINE_CASBIN_POLICY', message, { place: { file, line } });
    const [kind = '', ...values] = columns(content, fail);
    if (kind === 'p') {
      lines.push({ line, values, allow: effectOf(values, model.policy, effectColumn, fail) });
      continue;
    }
    const arity = model.roles.get(kind);
    if (arity === undefined) throw fail(`unknown line type "${kind}": the model defines ${known(model)}`);
    if (values.length !== arity)
      throw fail(`${kind} has ${arity} columns in the model, this line has ${values.length}`);
    const [member = '', role = '', domain = ''] = values;
    roles.get(kind)?.push({ line, member, role, domain });
  }
  return { lines, roles };
}

function known(model: ModelFile): string {
  return ['p', ...model.roles.keys()].join(', ');
}

function effectOf(
  values: readonly string[],
  names: readonly string[],
  effectColumn: number,
  fail: (message: string) => Error,
): boolean {
  if (values.length !== names.length) {
    throw fail(`p has ${names.length} columns in the model (${names.join(', ')}), this line has ${values.length}`);
  }
  if (effectColumn === -1) return true;
  const effect = values[effectColumn];
  if (effect !== 'allow' && effect !== 'deny') throw fail(`effect "${effect ?? ''}": expected allow or deny`);
  return effect === 'allow';
}

/** RFC 4180 columns of one line, blanks around them removed as the reference does. */
function columns(line: string, fail: (message: string) => Error): string[] {
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

function checked(value: string, fail: (message: string) => Error): string {
  if (value === '') throw fail('an empty column: an empty value would equal a missing one');
  if (value.length > MAX_CASBIN_COLUMN_LENGTH)
    throw fail(`a column is longer than ${MAX_CASBIN_COLUMN_LENGTH} characters`);
  let depth = 0;
  for (const character of value) {
    if (character < ' ' || character === '\u007f') throw fail('a control character');
    if (character === '(') depth++;
    if (character === ')') depth--;
  }
  if (depth !== 0) throw fail('round brackets do not pair up: the reference would join this column with the next');
  return value;
}
