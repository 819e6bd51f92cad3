// Decides, literal by literal, what an index can prove of a way and what has to be asked of each line.
import type { Asked, Compilation, LineTest, PatternCall } from './line-test.ts';
import { compileLiteral, roleIndex, textNumberReader } from './line-test.ts';
import type { Literal, Way } from './literals.ts';
import type { Value } from './matcher-syntax.ts';
import { type Pattern, withoutQuery } from './pattern.ts';
import { valuesOf } from './matcher-syntax.ts';
import type { PatternPlan, RolePlan, WayPlan } from './way-index.ts';

/** Gives the compiled pattern of a call for the text in a line's column. */
export type PatternOf = (call: PatternCall, text: string) => Pattern;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] extends readonly (infer Item)[] ? Item[] : T[Key] };

export function planWay(way: Way, compilation: Compilation, patternOf: PatternOf): WayPlan {
  const plan: Mutable<WayPlan> = {
    equalities: [],
    role: undefined,
    path: undefined,
    network: undefined,
    membership: [],
    before: [],
    rest: [],
  };
  for (const literal of way) {
    const equality = equalityOf(literal);
    if (equality === undefined) continue;
    compileLiteral(literal, compilation);
    compilation.shape.lookUp(equality.field);
    plan.equalities.push(equality);
  }
  for (const literal of way) {
    if (equalityOf(literal) !== undefined) continue;
    const calls = compilation.patterns.length;
    const test = compileLiteral(literal, compilation);
    const reads = readsOf(literal, compilation);
    if (!reads.policy) plan.before.push(test);
    else if (!reads.request) plan.membership.push(test);
    else if (plan.role === undefined && (plan.role = roleOf(literal, plan, compilation)) !== undefined) continue;
    else addPattern(plan, literal, test, compilation, compilation.patterns[calls], patternOf);
  }
  return plan;
}

/** Asked with the whole matcher, line by line: it has too many ways to come true. */
export function planScan(test: LineTest): WayPlan {
  return {
    equalities: [],
    role: undefined,
    path: undefined,
    network: undefined,
    membership: [],
    before: [],
    rest: [test],
  };
}

function equalityOf({ atom, negated }: Literal): { field: number; column: number } | undefined {
  if (negated || atom.kind !== 'equal') return undefined;
  const { left, right } = atom;
  for (const [request, policy] of [
    [left, right],
    [right, left],
  ] as const) {
    if (isBare(request) && policy.kind === 'policy') return { field: request.field, column: policy.column };
  }
  return undefined;
}

const isBare = (value: Value | undefined): value is Extract<Value, { kind: 'request' }> =>
  value?.kind === 'request' && value.path.length === 0;

function roleOf(
  { atom, negated }: Literal,
  plan: Pick<WayPlan, 'equalities'>,
  compilation: Compilation,
): RolePlan | undefined {
  if (negated || atom.kind !== 'call' || !compilation.model.roles.has(atom.name)) return undefined;
  const [member, role, domain] = atom.values;
  if (!isBare(member) || role?.kind !== 'policy') return undefined;
  const read = domainOf(domain, plan, compilation);
  if (read === undefined) return undefined;
  compilation.shape.lookUp(member.field);
  return { column: role.column, field: member.field, roles: roleIndex(compilation.model, atom.name), domain: read };
}

/** Where the domain is known from the request: a bare field, a text, or a column that equals a field. */
function domainOf(
  domain: Value | undefined,
  { equalities }: Pick<WayPlan, 'equalities'>,
  compilation: Compilation,
): ((asked: Asked) => number) | undefined {
  if (domain === undefined) return () => 0;
  if (domain.kind === 'policy') {
    const pair = equalities.find(({ column }) => column === domain.column);
    return pair === undefined ? undefined : (asked) => asked.numbers[pair.field] ?? 0;
  }
  if (domain.kind !== 'text' && !isBare(domain)) return undefined;
  const read = textNumberReader(domain, compilation);
  return (asked) => read(asked, -1);
}

function addPattern(
  plan: Mutable<WayPlan>,
  literal: Literal,
  test: LineTest,
  compilation: Compilation,
  call: PatternCall | undefined,
  patternOf: PatternOf,
): void {
  const planned = literal.negated ? undefined : patternPlan(compilation.patterns.length - 1, call, patternOf);
  if (planned !== undefined && call?.name === 'ipMatch' && plan.network === undefined) plan.network = planned;
  else if (planned !== undefined && call?.name !== 'ipMatch' && plan.path === undefined) plan.path = planned;
  else plan.rest.push(test);
}

function patternPlan(index: number, call: PatternCall | undefined, patternOf: PatternOf): PatternPlan | undefined {
  if (call === undefined || call.pattern.kind !== 'policy' || !isBare(call.value) || call.name === 'regexMatch') {
    return undefined;
  }
  const { column } = call.pattern;
  return {
    field: call.value.field,
    prepare: call.name === 'keyMatch5' ? withoutQuery : undefined,
    index,
    patternOf: (lines, line) => {
      const pattern = patternOf(call, lines.text(line, column));
      // A wide reading is more than its path.
      return call.reading === 'exact' || pattern.exact === pattern.wide ? pattern : undefined;
    },
  };
}

/** Rules read the request; roles change without the line. */
function readsOf({ atom }: Literal, { model }: Compilation): { request: boolean; policy: boolean } {
  const values = valuesOf(atom);
  const later = atom.kind === 'call' && (atom.name === 'eval' || model.roles.has(atom.name));
  const policy = values.some(({ kind }) => kind === 'policy');
  return {
    request: (policy && later) || values.some(({ kind }) => kind === 'request'),
    policy,
  };
}
