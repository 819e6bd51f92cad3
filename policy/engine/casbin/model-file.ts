// Reads model.conf of Casbin, strictly: one definition of each kind, known sections, known effects. What the reference
// implementation would ignore or guess is an error with file:line here.
import type { Place } from '../../../runtime/errors.ts';
import { engineErrors } from '../errors.ts';
import { MAX_CASBIN_MODEL_LENGTH, MAX_MATCHER_LENGTH } from '../limits.ts';

export type CasbinEffect = 'allow-override' | 'deny-override' | 'allow-and-deny' | 'priority';

/** A text in the matcher's language with where it stands. */
export interface TextSource {
  readonly text: string;
  /** Place of the character at `offset`. */
  readonly placeAt: (offset: number) => Place;
}

export interface ModelFile {
  readonly request: readonly string[];
  /** Columns of a `p` line; `eft` among them when the policy carries effects. */
  readonly policy: readonly string[];
  /** Column of p with the line's priority, for the effect that asks for one; without it the order of the lines counts. */
  readonly priority: number | undefined;
  /** Role definitions by name (`g`, `g2`), with the columns of their lines: 2, or 3 with a domain. */
  readonly roles: ReadonlyMap<string, number>;
  readonly effect: CasbinEffect;
  readonly matcher: TextSource;
}

const sections = ['request_definition', 'policy_definition', 'role_definition', 'policy_effect', 'matchers'] as const;
type Section = (typeof sections)[number];

const effects: ReadonlyMap<string, CasbinEffect> = new Map([
  ['some(where(p.eft==allow))', 'allow-override'],
  ['!some(where(p.eft==deny))', 'deny-override'],
  ['some(where(p.eft==allow))&&!some(where(p.eft==deny))', 'allow-and-deny'],
  ['priority(p.eft)||deny', 'priority'],
]);

interface Piece {
  readonly offset: number;
  readonly line: number;
  readonly column: number;
}

interface Definition {
  readonly key: string;
  readonly text: string;
  readonly line: number;
  readonly pieces: readonly Piece[];
}

export function parseModelFile(text: string, file: string): ModelFile {
  if (text.length > MAX_CASBIN_MODEL_LENGTH) {
    const message = `the model is longer than ${MAX_CASBIN_MODEL_LENGTH} characters`;
    throw engineErrors.error('ENGINE_CASBIN_TOO_LARGE', message, { place: { file, line: 1 } });
  }
  const found = readSections(text, file);
  const definition = (section: Section, key: string): Definition => {
    const entries = found.get(section);
    if (entries === undefined) throw refusal(file, 1, `section [${section}] is missing`);
    const entry = entries.find((candidate) => candidate.key === key);
    const other = entries.find((candidate) => candidate.key !== key);
    if (other !== undefined) {
      throw unsupported(file, other.line, `${other.key} in [${section}]: only one definition, ${key}, is supported`);
    }
    if (entry === undefined) throw refusal(file, 1, `section [${section}] defines no ${key}`);
    return entry;
  };
  const request = fields(definition('request_definition', 'r'), file);
  const policyDefinition = definition('policy_definition', 'p');
  const policy = fields(policyDefinition, file);
  const effectDefinition = definition('policy_effect', 'e');
  const effect = effects.get(effectDefinition.text.replaceAll(/\s/g, ''));
  if (effect === undefined) {
    throw unsupported(file, effectDefinition.line, `policy effect "${effectDefinition.text}" is not supported`);
  }
  if (effect !== 'allow-override' && !policy.includes('eft')) {
    throw refusal(
      file,
      effectDefinition.line,
      'this effect looks for deny, but no column of p is eft: nothing could deny',
    );
  }
  const priority = policy.indexOf('priority');
  if (priority !== -1 && effect !== 'priority') {
    throw refusal(file, policyDefinition.line, 'a column priority, but the effect does not look at priorities');
  }
  const matcher = definition('matchers', 'm');
  if (matcher.text.length > MAX_MATCHER_LENGTH) {
    throw refusal(file, matcher.line, `the matcher is longer than ${MAX_MATCHER_LENGTH} characters`);
  }
  return {
    request,
    policy,
    roles: roleDefinitions(found.get('role_definition') ?? [], file),
    priority: priority === -1 ? undefined : priority,
    effect,
    matcher: { text: matcher.text, placeAt: (offset) => placeAt(matcher.pieces, offset, file) },
  };
}

function readSections(text: string, file: string): Map<Section, Definition[]> {
  const found = new Map<Section, Definition[]>();
  let current: Definition[] | undefined;
  let open: { text: string; pieces: Piece[]; line: number } | undefined;
  const lines = text.split('\n');
  for (const [index, raw] of lines.entries()) {
    const number = index + 1;
    const line = withoutComment(raw).trim();
    if (line === '') {
      if (open !== undefined) throw refusal(file, number, 'a line that ends with \\ is continued by nothing');
      continue;
    }
    const header = /^\[(.*)\]$/.exec(line)?.[1];
    if (header !== undefined && open === undefined) {
      const section = sections.find((name) => name === header);
      if (section === undefined) throw refusal(file, number, `unknown section [${header}]`);
      if (found.has(section)) throw refusal(file, number, `section [${section}] appears twice`);
      found.set(section, (current = []));
      continue;
    }
    if (current === undefined) throw refusal(file, number, 'a definition before the first [section]');
    open ??= { text: '', pieces: [], line: number };
    const continued = line.endsWith('\\');
    open.pieces.push({ offset: open.text.length, line: number, column: raw.search(/\S/) + 1 });
    // Joined by a space, so that no two words grow together over a line end.
    open.text += continued ? `${line.slice(0, -1).trimEnd()} ` : line;
    if (continued) continue;
    current.push(assignment(open, current, file));
    open = undefined;
  }
  if (open !== undefined) throw refusal(file, lines.length, 'a line that ends with \\ is continued by nothing');
  return found;
}

/** As the reference does: `#` and `;` start a comment anywhere. One inside a quoted text leaves the quote open: an error. */
function withoutComment(line: string): string {
  const cut = line.search(/[#;]/);
  return cut === -1 ? line : line.slice(0, cut);
}

function assignment(
  open: { text: string; pieces: readonly Piece[]; line: number },
  earlier: readonly Definition[],
  file: string,
): Definition {
  const equals = open.text.indexOf('=');
  const key = open.text.slice(0, equals).trim();
  if (equals === -1 || !/^[a-z][a-z0-9]*$/.test(key)) {
    throw refusal(file, open.line, 'expected a definition such as "r = sub, obj, act"');
  }
  if (earlier.some((definition) => definition.key === key)) throw refusal(file, open.line, `${key} is defined twice`);
  const rest = open.text.slice(equals + 1);
  const text = rest.trim();
  if (text === '') throw refusal(file, open.line, `${key} is empty`);
  const start = equals + 1 + rest.search(/\S/);
  const pieces = open.pieces.map((piece) => ({ ...piece, offset: piece.offset - start }));
  return { key, text, line: open.line, pieces };
}

function fields(definition: Definition, file: string): string[] {
  const names = definition.text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) {
      throw refusal(file, definition.line, `"${name}" is not a field name (letters, digits, _)`);
    }
  }
  if (new Set(names).size !== names.length)
    throw refusal(file, definition.line, `${definition.key} names a field twice`);
  return names;
}

function roleDefinitions(definitions: readonly Definition[], file: string): Map<string, number> {
  const roles = new Map<string, number>();
  for (const { key, text, line } of definitions) {
    if (!/^g[0-9]*$/.test(key)) throw refusal(file, line, `${key} in [role_definition]: expected g, g2, ...`);
    const columns = text.split(',').map((column) => column.trim());
    if (columns.some((column) => column !== '_')) throw refusal(file, line, 'expected "_, _" or "_, _, _"');
    if (columns.length < 2 || columns.length > 3) {
      throw unsupported(file, line, 'a role definition has two columns, or three with a domain');
    }
    roles.set(key, columns.length);
  }
  return roles;
}

function placeAt(pieces: readonly Piece[], offset: number, file: string): Place {
  const piece = pieces.findLast((candidate) => candidate.offset <= offset) ?? pieces[0];
  if (piece === undefined) return { file };
  return { file, line: piece.line, column: piece.column + Math.max(0, offset - piece.offset) };
}

function refusal(file: string, line: number, message: string): Error {
  return engineErrors.error('ENGINE_CASBIN_MODEL', message, { place: { file, line } });
}

function unsupported(file: string, line: number, message: string): Error {
  return engineErrors.error('ENGINE_CASBIN_UNSUPPORTED', message, { place: { file, line } });
}
