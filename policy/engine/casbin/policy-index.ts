// Finds the policy lines that can match a request without looking at the others: a hash on every column that the
// matcher wants equal to a request field, and inside it a hash on the column that holds a role of the requester.
// An index only leaves out lines that cannot match; the whole matcher is still asked about each line that is left.
import type { Expression, Value } from './matcher-syntax.ts';
import type { CompiledLine, LineTest } from './matcher-compile.ts';
import type { RoleClosure } from './role-closure.ts';

/** The first line found that matches; which of several is not defined. */
export type FindLine = (request: readonly string[]) => CompiledLine | undefined;

interface Equality {
  readonly field: number;
  readonly column: number;
}

interface RoleLookup {
  readonly closure: RoleClosure;
  readonly field: number;
  readonly column: number;
  readonly domain: (request: readonly string[]) => string;
}

type Group = ReadonlyMap<string, readonly CompiledLine[]>;

export function indexLines(
  lines: readonly CompiledLine[],
  expression: Expression,
  test: LineTest,
  roles: ReadonlyMap<string, RoleClosure>,
): FindLine {
  const conjuncts = expression.kind === 'and' ? expression.terms : [expression];
  const equalities = conjuncts.flatMap(equality);
  const lookup = conjuncts.map((term) => roleLookup(term, roles, equalities)).find((found) => found !== undefined);
  const column = lookup?.column;
  const buckets = new Map<string, Map<string, CompiledLine[]>>();
  for (const line of lines) {
    const bucket = entry(buckets, key(equalities.map((pair) => line.values[pair.column])), () => new Map());
    entry(bucket, column === undefined ? '' : (line.values[column] ?? ''), () => []).push(line);
  }
  const scan = (group: readonly CompiledLine[] | undefined, request: readonly string[]): CompiledLine | undefined =>
    group?.find((line) => test(request, line));
  return (request) => {
    const bucket = buckets.get(key(equalities.map((pair) => request[pair.field])));
    if (bucket === undefined) return undefined;
    return lookup === undefined ? scan(bucket.get(''), request) : scanRoles(bucket, lookup, request, scan);
  };
}

function scanRoles(
  bucket: Group,
  lookup: RoleLookup,
  request: readonly string[],
  scan: (group: readonly CompiledLine[] | undefined, request: readonly string[]) => CompiledLine | undefined,
): CompiledLine | undefined {
  const member = request[lookup.field] ?? '';
  const own = scan(bucket.get(member), request);
  if (own !== undefined) return own;
  const roles = lookup.closure.rolesOf(member, lookup.domain(request));
  if (roles === undefined) return undefined;
  // The smaller side leads, so that neither many roles nor many lines make a request slow.
  const names = roles.size <= bucket.size ? roles : [...bucket.keys()].filter((name) => roles.has(name));
  for (const name of names) {
    const found = scan(bucket.get(name), request);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Lengths come first, so that no value can pretend to be two (fault 5: `a$$b`, `c` and `a`, `b$$c`). */
function key(values: readonly (string | undefined)[]): string {
  if (values.length === 1) return values[0] ?? '';
  return values.map((value = '') => `${value.length}:${value}`).join('');
}

function equality(term: Expression): Equality[] {
  if (term.kind !== 'equal') return [];
  const { left, right } = term;
  if (left.kind === 'request' && right.kind === 'policy') return [{ field: left.field, column: right.column }];
  if (left.kind === 'policy' && right.kind === 'request') return [{ field: right.field, column: left.column }];
  return [];
}

function roleLookup(
  term: Expression,
  roles: ReadonlyMap<string, RoleClosure>,
  equalities: readonly Equality[],
): RoleLookup | undefined {
  if (term.kind !== 'call') return undefined;
  const closure = roles.get(term.name);
  const [member, role, domain] = term.values;
  if (closure === undefined || member?.kind !== 'request' || role?.kind !== 'policy') return undefined;
  const readDomain = domainOf(domain, equalities);
  if (readDomain === undefined) return undefined;
  return { closure, field: member.field, column: role.column, domain: readDomain };
}

function domainOf(
  domain: Value | undefined,
  equalities: readonly Equality[],
): ((request: readonly string[]) => string) | undefined {
  if (domain === undefined) return () => '';
  switch (domain.kind) {
    case 'text':
      return () => domain.text;
    case 'request':
      return (request) => request[domain.field] ?? '';
    case 'policy': {
      // Known from the request only where the matcher also wants the column equal to a field of it.
      const pair = equalities.find((candidate) => candidate.column === domain.column);
      return pair === undefined ? undefined : (request) => request[pair.field] ?? '';
    }
    case 'number':
      return undefined;
  }
}

function entry<Value>(map: Map<string, Value>, name: string, make: () => Value): Value {
  const found = map.get(name);
  if (found !== undefined) return found;
  const made = make();
  map.set(name, made);
  return made;
}
