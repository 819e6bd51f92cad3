// Schema issues in words: "expected …, found …", with the nearest known key for an unknown one.
import type { z } from 'zod';

export type IssuePath = readonly (string | number)[];

export interface Explained {
  readonly path: IssuePath;
  /** The key at the end of `path` is the fault, not its value. */
  readonly atKey: boolean;
  readonly message: string;
}

/** What was checked against what. */
export interface Checked {
  readonly plain: unknown;
  readonly schema: z.ZodType;
}

export function explainIssue(issue: z.core.$ZodIssue, checked: Checked, parent: IssuePath = []): Explained[] {
  const path = [...parent, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...path, key],
      atKey: true,
      message: `unknown key ${quote(key)}${under(path)}${suggestion(key, knownKeys(checked.schema, path))}`,
    }));
  }
  if (issue.code === 'invalid_union') return explainUnion(issue, checked, path);
  if (issue.code === 'invalid_element') return issue.issues.flatMap((inner) => explainIssue(inner, checked, path));
  if (issue.code === 'invalid_key') {
    const key = quote(String(path.at(-1)));
    // A check of ours says itself what it expected.
    const wanted = (inner: z.core.$ZodIssue): string =>
      (inner.code === 'custom' ? '' : 'expected ') + expectation(inner);
    return issue.issues.map((inner) => ({ path, atKey: true, message: `key ${key}: ${wanted(inner)}` }));
  }
  return [{ path, atKey: false, message: explainOne(issue, checked, path) }];
}

function explainOne(issue: z.core.$ZodIssue, checked: Checked, path: IssuePath): string {
  const found = valueAt(checked.plain, path);
  const name = path.length === 0 ? '' : `${dotted(path)}: `;
  if (issue.code === 'custom') return `${name}${issue.message}`;
  const expected = expectation(issue);
  if (found === undefined && path.length > 0) {
    return `${quote(String(path.at(-1)))} is missing${under(path.slice(0, -1))}: expected ${expected}`;
  }
  return `${name}expected ${expected}, found ${describe(found)}`;
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return typeNames[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return oneOf(issue.values.map(String));
    case 'too_small':
      return `${issue.exact ? 'exactly' : issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unit(issue.origin)}`;
    case 'too_big':
      return `${issue.exact ? 'exactly' : issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unit(issue.origin)}`;
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_format':
      return formatNames[issue.format] ?? (issue.pattern === undefined ? issue.format : `text like ${issue.pattern}`);
    case 'custom':
    case 'unrecognized_keys':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
      return issue.message;
  }
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
  null: 'nothing',
};

const formatNames: Readonly<Record<string, string>> = {
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  cidrv4: 'an IPv4 network like 10.0.0.0/24',
  cidrv6: 'an IPv6 network like fd00::/64',
  url: 'a URL',
  datetime: 'a time like 2026-01-31T12:00:00Z',
  base64: 'base64',
};

/** Of a union's branches, the one the writer most likely meant: it got furthest before it failed. */
function explainUnion(
  issue: Extract<z.core.$ZodIssue, { code: 'invalid_union' }>,
  checked: Checked,
  path: IssuePath,
): Explained[] {
  if (issue.errors.length === 0) {
    const options = 'options' in issue && issue.options !== undefined ? oneOf(issue.options.map(String)) : undefined;
    const missing = valueAt(checked.plain, path) === undefined && path.length > 0;
    if (missing) {
      const last = quote(String(path.at(-1)));
      const choice = options === undefined ? '' : `: expected ${options}`;
      return [{ path, atKey: false, message: `${last} is missing${under(path.slice(0, -1))}${choice}` }];
    }
    const found = describe(valueAt(checked.plain, path));
    return [
      { path, atKey: false, message: `${prefix(path)}expected ${options ?? 'one of the known forms'}, found ${found}` },
    ];
  }
  const branches = issue.errors.map((errors) => errors.flatMap((inner) => explainIssue(inner, checked, path)));
  const shallow = branches.every((branch) => branch.every((found) => found.path.length === path.length));
  if (shallow) {
    const expected = [...new Set(issue.errors.flat().map(expectation))].join(' or ');
    return [
      {
        path,
        atKey: false,
        message: `${prefix(path)}expected ${expected}, found ${describe(valueAt(checked.plain, path))}`,
      },
    ];
  }
  const depth = (branch: readonly Explained[]): number => Math.max(...branch.map((found) => found.path.length));
  const inside = (branch: readonly Explained[]): number => (depth(branch) > path.length ? 0 : 1);
  const ranked = branches.toSorted((a, b) => inside(a) - inside(b) || a.length - b.length || depth(b) - depth(a));
  return ranked[0] ?? [];
}

/** Keys that the maps at `path` may have, over all branches of unions. */
function knownKeys(schema: z.ZodType, path: IssuePath): string[] {
  let candidates = [schema];
  for (const step of path) {
    candidates = candidates.flatMap(unwrapped).flatMap((candidate) => {
      const { shape, items, element, valueType } = defOf(candidate);
      const found = shape?.[String(step)] ?? items?.[Number(step)] ?? element ?? valueType;
      return found === undefined ? [] : [found];
    });
  }
  return [...new Set(candidates.flatMap(unwrapped).flatMap((candidate) => Object.keys(defOf(candidate).shape ?? {})))];
}

interface SchemaDef {
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly items?: readonly z.ZodType[];
  readonly element?: z.ZodType;
  readonly valueType?: z.ZodType;
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly left?: z.ZodType;
  readonly right?: z.ZodType;
  readonly getter?: () => z.ZodType;
}

export const defOf = (schema: z.ZodType): SchemaDef => schema._zod.def as SchemaDef;

/** The schemas behind optional, default, pipe, lazy, union and intersection. */
export function unwrapped(schema: z.ZodType): z.ZodType[] {
  const { innerType, in: input, options, left, right, getter } = defOf(schema);
  const inside = [innerType, input, ...(options ?? []), left, right, getter?.()].filter((inner) => inner !== undefined);
  return inside.length === 0 ? [schema] : inside.flatMap(unwrapped);
}

function suggestion(key: string, known: readonly string[]): string {
  const near = known
    .map((name) => ({ name, distance: editDistance(key, name) }))
    .sort((a, b) => a.distance - b.distance);
  const best = near[0];
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(key.length * 0.4))) {
    return `; did you mean ${quote(best.name)}?`;
  }
  return known.length === 0 ? '' : `; expected ${oneOf(known)}`;
}

/** Levenshtein, with a swap of neighbours as one edit (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const cell = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    rows[i] = [i];
    for (let j = 1; j <= b.length; j++) {
      let best = Math.min(cell(i - 1, j) + 1, cell(i, j - 1) + 1, cell(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, cell(i - 2, j - 2) + 1);
      (rows[i] as number[])[j] = best;
    }
  }
  return cell(a.length, b.length);
}

function valueAt(root: unknown, path: IssuePath): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.hasOwn(value, step) ? (value as Record<string | number, unknown>)[step] : undefined;
  }
  return value;
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string')
    return value === '' ? 'an empty text' : quote(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  return `${JSON.stringify(value)} (a ${typeof value})`;
}

const quote = (text: string): string => JSON.stringify(text);
const dotted = (path: IssuePath): string =>
  path.map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${step}`)).join('');
const prefix = (path: IssuePath): string => (path.length === 0 ? '' : `${dotted(path)}: `);
const under = (path: IssuePath): string => (path.length === 0 ? '' : ` in ${dotted(path)}`);

function oneOf(names: readonly string[]): string {
  const shown = names.slice(0, 12);
  const rest = names.length > shown.length ? `, … (${names.length})` : '';
  return shown.length === 1 ? String(shown[0]) : `one of ${shown.join(', ')}${rest}`;
}

function unit(origin: string): string {
  if (origin === 'string') return ' characters';
  if (origin === 'array' || origin === 'set') return ' items';
  return '';
}
