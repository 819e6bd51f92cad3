// For one column of policy.csv: which values of the column match everything that a given value matches. Asked of the
// values that occur, through hashes and tries, so that comparing all lines with each other is not quadratic.
import ipaddr from 'ipaddr.js';
import type { Atom, Expression, Value } from '../../../engine/casbin/matcher-syntax.ts';
import { columnsOf, conjuncts, termsOf, wholeField, type PlacedTerm } from './matcher-terms.ts';
import type { RoleGraph } from './role-graph.ts';

export type Values = readonly string[];

export interface ColumnContainers {
  readonly column: number;
  /** Two values with one canonical form match the same. */
  readonly canonical: (value: string) => string;
  /** Canonical forms, of values that occur, of what includes the column of `line`; its own among them. */
  readonly containers: (line: Values, wide: boolean) => ReadonlySet<string>;
}

/** One entry for every column that the matcher reads. `lines` are the values that can be found as containers. */
export function columnContainers(
  expression: Expression,
  roles: ReadonlyMap<string, RoleGraph>,
  lines: readonly Values[],
): ColumnContainers[] {
  const terms = termsOf(expression);
  const columns = [...new Set(terms.flatMap(({ term }) => columnsOf(term)))];
  return columns.map((column) => {
    const readers = terms.filter(({ term }) => columnsOf(term).includes(column));
    const values = [...new Set(lines.map((line) => line[column] ?? ''))];
    const [only] = readers;
    const reading = readers.length === 1 && only !== undefined ? readingOf(only, column, expression, roles) : undefined;
    if (reading === undefined) return equality(column);
    const known = new Set(values.map(reading.canonical));
    const find = reading.finder(known);
    return { column, canonical: reading.canonical, containers: find };
  });
}

function equality(column: number): ColumnContainers {
  return { column, canonical: (value) => value, containers: (line) => new Set([line[column] ?? '']) };
}

interface Reading {
  readonly canonical: (value: string) => string;
  readonly finder: (known: ReadonlySet<string>) => ColumnContainers['containers'];
}

/** How a term reads the column, where more than equality is understood. */
function readingOf(
  { term, positive }: PlacedTerm,
  column: number,
  expression: Expression,
  roles: ReadonlyMap<string, RoleGraph>,
): Reading | undefined {
  const argument = term.kind === 'call' ? term.values[1] : undefined;
  if (term.kind !== 'call' || !positive || argument?.kind !== 'policy' || argument.column !== column) return undefined;
  const graph = roles.get(term.name);
  if (graph !== undefined) return roleReading(term, column, graph, expression);
  switch (term.name) {
    case 'keyMatch':
      return { canonical: same, finder: (known) => (line) => prefixes(line[column] ?? '', known) };
    case 'keyMatch2':
      return segmentReading(column, /^:[A-Za-z0-9_-]+$/);
    case 'keyMatch3':
      return segmentReading(column, /^\{[A-Za-z0-9_-]+\}$/);
    case 'ipMatch':
      return { canonical: network, finder: (known) => (line) => networks(line[column] ?? '', known) };
    default:
      return undefined;
  }
}

const same = (value: string): string => value;

/** Whoever has the role of the line has every role that this role has. */
function roleReading(
  term: Extract<Atom, { kind: 'call' }>,
  column: number,
  graph: RoleGraph,
  expression: Expression,
): Reading | undefined {
  const domain = domainReader(term.values[2], expression);
  if (domain === undefined) return undefined;
  return {
    canonical: same,
    finder: (known) => (line) => {
      const value = line[column] ?? '';
      const found = new Set([value]);
      for (const role of graph.rolesOf(value, domain(line)).keys()) if (known.has(role)) found.add(role);
      return found;
    },
  };
}

/** The domain a line's role is looked up in; undefined when the line alone does not say. */
function domainReader(domain: Value | undefined, expression: Expression): ((line: Values) => string) | undefined {
  if (domain === undefined) return () => '';
  if (domain.kind === 'text') return () => domain.text;
  if (domain.kind === 'policy') return (line) => line[domain.column] ?? '';
  const field = wholeField(domain);
  if (field === undefined) return undefined;
  for (const term of conjuncts(expression)) {
    if (term.kind !== 'equal') continue;
    const { left, right } = term;
    const policy = wholeField(left) === field ? right : wholeField(right) === field ? left : undefined;
    if (policy?.kind === 'policy') return (line) => line[policy.column] ?? '';
  }
  return undefined;
}

/** keyMatch: `/a/b` and `/a/b*` lie in `/a/*`, `/*` and `*`. */
function prefixes(value: string, known: ReadonlySet<string>): ReadonlySet<string> {
  const found = new Set([value]);
  const text = value.endsWith('*') ? value.slice(0, -1) : value;
  for (let length = 0; length <= text.length; length++) {
    const wider = `${text.slice(0, length)}*`;
    if (known.has(wider)) found.add(wider);
  }
  return found;
}

interface Node {
  readonly children: Map<string, Node>;
  /** Canonical values that end here. */
  value?: string;
}

/** keyMatch2 and 3: `:name` becomes `:` in the canonical form; a `*` anywhere but at the end is compared as text. */
function segmentReading(column: number, parameter: RegExp): Reading {
  const canonical = (value: string): string =>
    value
      .split('/')
      .map((segment, index) => (index > 0 && parameter.test(segment) ? ':' : segment))
      .join('/');
  const finder = (known: ReadonlySet<string>): ColumnContainers['containers'] => {
    const root: Node = { children: new Map() };
    for (const value of known) {
      if (/\/\*\//.test(value)) continue;
      let node = root;
      for (const segment of value.split('/')) node = child(node, segment);
      node.value = value;
    }
    return (line, wide) => {
      const value = canonical(line[column] ?? '');
      const found = new Set([value]);
      if (known.has('*') && parameter.source.startsWith('^:')) found.add('*');
      // In the wide reading a dot is any character, also a slash: such a value lies in nothing that has segments.
      if (/\/\*\//.test(value) || (wide && value.includes('.'))) return found;
      walk(root, value.split('/'), found);
      return found;
    };
  };
  return { canonical, finder };
}

function walk(root: Node, segments: readonly string[], found: Set<string>): void {
  let front = [root];
  for (const [index, segment] of segments.entries()) {
    const next: Node[] = [];
    for (const node of front) {
      const rest = index > 0 ? node.children.get('*')?.value : undefined;
      if (rest !== undefined) found.add(rest);
      const equal = node.children.get(segment);
      if (equal !== undefined && segment !== '*') next.push(equal);
      const parameter =
        segment !== ':' && segment !== '*' && segment !== '' && index > 0 ? node.children.get(':') : undefined;
      if (parameter !== undefined) next.push(parameter);
    }
    front = next;
  }
  for (const { value } of front) if (value !== undefined) found.add(value);
}

function child(node: Node, segment: string): Node {
  const found = node.children.get(segment);
  if (found !== undefined) return found;
  const made: Node = { children: new Map() };
  node.children.set(segment, made);
  return made;
}

/** A network with its host bits cleared, an address as a network of one. */
function network(value: string): string {
  const [text = '', bits] = value.split('/');
  const address = ipaddr.process(text);
  const length = bits === undefined ? address.toByteArray().length * 8 : Number(bits);
  return masked(address.toByteArray(), length);
}

function masked(bytes: readonly number[], length: number): string {
  const kept = bytes.map((byte, index) => byte & (0xff << (8 - Math.min(8, Math.max(0, length - index * 8)))) & 0xff);
  return `${Buffer.from(kept).toString('hex')}/${length}`;
}

function networks(value: string, known: ReadonlySet<string>): ReadonlySet<string> {
  const own = network(value);
  const [hex = '', length] = own.split('/');
  const bytes = [...Buffer.from(hex, 'hex')];
  const found = new Set([own]);
  for (let bits = Number(length) - 1; bits >= 0; bits--) {
    const wider = masked(bytes, bits);
    if (known.has(wider)) found.add(wider);
  }
  return found;
}
