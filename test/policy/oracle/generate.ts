// Random models, policies and requests. A model is a matcher over columns that are each written in one dialect; a
// request is drawn from the witnesses of one policy line, so that a good part of all cases is allowed, and then often
// changed a little, so that the other part is denied narrowly.
import { type EffectName, type Instance, type Matcher, type RequestValue, type Term, termsOf } from './language.ts';
import { effectNames } from './operators.ts';
import { type Cell, type Dialect, drawCell, nearby, readers } from './patterns.ts';
import { type Draw, drawFor } from './random.ts';
import { spoil } from './refusals.ts';

const REQUESTS = 20;
/** Shares of instances that are made to be refused, and of those whose names and values are exotic. */
const SPOILT = 0.05;
const EXOTIC = 0.1;

interface Field {
  readonly name: string;
  readonly kind: 'name' | 'path' | 'action' | 'address' | 'domain';
  readonly column: string;
  readonly dialect: Dialect | 'role' | 'action' | 'domain';
}

interface Shape {
  readonly fields: readonly Field[];
  readonly columns: readonly string[];
  readonly roles: ReadonlyMap<string, number>;
  readonly effect: EffectName;
  readonly names: Names;
}

interface Names {
  readonly subjects: readonly string[];
  readonly roles: readonly string[];
  readonly domains: readonly string[];
  readonly actions: readonly string[];
}

const plainNames: Names = {
  subjects: ['alice', 'bob', 'carol', 'dave', 'root'],
  roles: ['admin', 'reader', 'writer', 'staff', 'alice', 'ops'],
  domains: ['north', 'south'],
  actions: ['read', 'write', 'delete', 'GET'],
};
/** Names of every object, names that join, names that only look alike. */
const exoticNames: Names = {
  subjects: ['__proto__', 'constructor', 'a,b', 'a', 'b,c', 'é', '💧', '"quoted"', "o'neil", '10', 'x y'],
  roles: ['toString', 'hasOwnProperty', 'b,c', 'c', 'valueOf', 'a', '"role"', '1:a', '# hash'],
  domains: ['__proto__', 'd,e', 'd', 'casbin::default'],
  actions: ['read', 'READ', '(read)', 'null', 'true', 'say ""'],
};

export function generate(seed: number, index: number): Instance {
  const draw = drawFor(seed, index);
  const shape = drawShape(draw);
  const { matcher, cores } = drawMatcher(shape, draw);
  const cells = Array.from({ length: draw.chance(0.02) ? 0 : draw.between(1, 10) }, () => drawLine(shape, draw));
  const links = drawLinks(shape, draw);
  const lines = [...cells.map(({ line }) => line), ...links];
  const instance: Instance = {
    fields: shape.fields.map(({ name }) => name),
    columns: shape.columns,
    roles: shape.roles,
    effect: shape.effect,
    matcher,
    lines: draw.chance(0.3) ? draw.shuffled(lines) : lines,
    requests: [],
  };
  const spoilt = draw.chance(SPOILT) ? spoil(instance, draw) : instance;
  const count = spoilt === instance ? REQUESTS : 2;
  const requests = Array.from({ length: count }, () => drawRequest(shape, cells, cores, links, draw));
  return { ...spoilt, requests };
}

const fieldNames: Readonly<Record<Field['kind'], readonly string[]>> = {
  name: ['sub', 'user', 'S', '__proto__'],
  path: ['obj', 'path', 'constructor'],
  action: ['act', 'method'],
  address: ['ip', 'addr'],
  domain: ['dom', 'tenant'],
};

function drawShape(draw: Draw): Shape {
  const kinds = new Set<Field['kind']>();
  if (draw.chance(0.8)) kinds.add('name');
  if (draw.chance(0.8)) kinds.add('path');
  if (draw.chance(0.5)) kinds.add('action');
  if (draw.chance(0.2)) kinds.add('address');
  if (draw.chance(0.35)) kinds.add('domain');
  if (kinds.size === 0) kinds.add(draw.pick(['name', 'path']));
  const fields = draw.shuffled([...kinds]).map((kind): Field => {
    const name = draw.pick(fieldNames[kind]);
    return { name, kind, column: draw.chance(0.9) ? name : `${name}_p`, dialect: dialectOf(kind, draw) };
  });
  const effect = draw.pick(effectNames);
  const columns = draw.chance(0.8)
    ? fields.map(({ column }) => column)
    : draw.shuffled(fields.map(({ column }) => column));
  if (draw.chance(0.1)) columns.splice(draw.below(columns.length + 1), 0, 'note');
  if (effect !== 'allow-override' || draw.chance(0.4)) {
    columns.splice(draw.chance(0.7) ? columns.length : draw.below(columns.length + 1), 0, 'eft');
  }
  const roles = new Map<string, number>();
  if (draw.chance(0.75)) roles.set('g', kinds.has('domain') && draw.chance(0.8) ? 3 : 2);
  if (roles.size === 1 && draw.chance(0.35)) roles.set('g2', draw.chance(0.8) ? 2 : 3);
  return { fields, columns, roles, effect, names: draw.chance(EXOTIC) ? exoticNames : plainNames };
}

function dialectOf(kind: Field['kind'], draw: Draw): Field['dialect'] {
  switch (kind) {
    case 'name':
      return draw.chance(0.9) ? 'role' : 'regex';
    case 'path':
      return draw.pick(['plain', 'star', 'star', 'colon', 'colon', 'braces', 'braces', 'regex', 'regex', 'role']);
    case 'action':
      return draw.chance(0.8) ? 'action' : 'regex';
    case 'address':
      return 'network';
    case 'domain':
      return 'domain';
  }
}

const requestTerm = ({ name }: Field): Term => ({ kind: 'request', field: name });
const columnTerm = ({ column }: Field): Term => ({ kind: 'policy', column });

function textTerm(text: string, draw: Draw): Term {
  const quote = text.includes('"') ? "'" : text.includes("'") ? '"' : draw.pick(['"', "'"] as const);
  return { kind: 'text', text, quote };
}

/** A condition that reads the column as it is written, so that a line's witness makes it hold. */
function core(field: Field, shape: Shape, draw: Draw): Matcher {
  const [left, right] = [requestTerm(field), columnTerm(field)];
  const equal = (): Matcher =>
    draw.chance(0.5)
      ? { kind: 'compare', operator: '==', left, right }
      : { kind: 'compare', operator: '==', left: right, right: left };
  switch (field.dialect) {
    case 'role': {
      const usable = [...shape.roles.keys()];
      return usable.length > 0 && draw.chance(0.8) ? roleCall(draw.pick(usable), left, right, shape, draw) : equal();
    }
    case 'action': {
      const any: Matcher = { kind: 'compare', operator: '==', left: right, right: textTerm('*', draw) };
      return draw.chance(0.25) ? { kind: 'or', parts: [any, equal()] } : equal();
    }
    case 'domain':
      return equal();
    case 'plain':
    case 'star':
    case 'colon':
    case 'braces':
    case 'regex':
    case 'network': {
      const name = draw.pick(readers[field.dialect]);
      if (name === '!=') return { kind: 'compare', operator: '!=', left, right };
      return name === '==' ? equal() : { kind: 'call', name, values: [left, right] };
    }
  }
}

function roleCall(name: string, member: Term, role: Term, shape: Shape, draw: Draw): Matcher {
  if (shape.roles.get(name) === 2) return { kind: 'call', name, values: [member, role] };
  const field = shape.fields.find(({ kind }) => kind === 'domain');
  const text = textTerm(draw.pick(shape.names.domains.filter((domain) => !domain.includes(','))), draw);
  const domain =
    field === undefined ? text : draw.pick([requestTerm(field), requestTerm(field), columnTerm(field), text]);
  return { kind: 'call', name, values: [member, role, domain] };
}

/** Any condition over one field: also ones that no line is written for. */
function loose(shape: Shape, draw: Draw): Matcher {
  const field = draw.pick(shape.fields);
  const value = requestTerm(field);
  const other = draw.pick(shape.fields);
  const texts = draw.picks([...shape.names.subjects, ...shape.names.actions, ...shape.names.roles], 3);
  const safe = texts.map((text) => text.replaceAll(/["'#;()\\,]/g, '') || 'x');
  switch (draw.below(9)) {
    case 0:
      return {
        kind: 'compare',
        operator: draw.pick(['==', '!='] as const),
        left: value,
        right: textTerm(safe[0] ?? 'x', draw),
      };
    case 1:
      return { kind: 'compare', operator: draw.pick(['==', '!='] as const), left: value, right: requestTerm(other) };
    case 2:
      return {
        kind: 'compare',
        operator: draw.pick(['==', '!='] as const),
        left: columnTerm(field),
        right: columnTerm(other),
      };
    case 3:
      return {
        kind: 'in',
        value,
        list: safe.slice(0, draw.chance(0.05) ? 1 : draw.between(2, 3)).map((text) => textTerm(text, draw)),
      };
    case 4:
      return { kind: 'in', value: columnTerm(field), list: [textTerm(safe[0] ?? 'x', draw), value, columnTerm(other)] };
    case 5: {
      const dialect = draw.pick(['star', 'colon', 'braces', 'regex'] as const);
      const { text } = drawCell(dialect, draw);
      if (/["'#;\\]/.test(text)) return core(field, shape, draw);
      return { kind: 'call', name: draw.pick(readers[dialect]), values: [value, textTerm(text, draw)] };
    }
    case 6: {
      const role = draw.pick([...shape.roles.keys(), '']);
      if (role === '')
        return {
          kind: 'compare',
          operator: '==',
          left: { kind: 'number', value: 1 },
          right: { kind: 'number', value: draw.between(1, 2) },
        };
      const terms = [value, columnTerm(other), textTerm(safe[0] ?? 'x', draw), requestTerm(other)];
      return roleCall(role, draw.pick(terms), draw.pick(terms), shape, draw);
    }
    default:
      return core(field, shape, draw);
  }
}

function tree(shape: Shape, depth: number, draw: Draw): Matcher {
  if (depth === 0 || draw.chance(0.3)) return loose(shape, draw);
  const part = (): Matcher => tree(shape, depth - 1, draw);
  const kind = draw.below(5);
  if (kind < 2) return { kind: 'and', parts: Array.from({ length: draw.between(2, 3) }, part) };
  if (kind < 4) return { kind: 'or', parts: Array.from({ length: draw.between(2, 3) }, part) };
  return { kind: 'not', part: part() };
}

function drawMatcher(shape: Shape, draw: Draw): { matcher: Matcher; cores: readonly Matcher[] } {
  const cores = shape.fields.filter(() => draw.chance(0.9)).map((field) => core(field, shape, draw));
  const conditions = cores.length > 0 ? cores : [core(draw.pick(shape.fields), shape, draw)];
  const plain: Matcher =
    conditions.length === 1 ? (conditions[0] as Matcher) : { kind: 'and', parts: draw.shuffled(conditions) };
  const extra = (): Matcher => (draw.chance(0.5) ? loose(shape, draw) : { kind: 'not', part: loose(shape, draw) });
  const wrap = (): Matcher => {
    switch (draw.below(12)) {
      case 0:
        return { kind: 'or', parts: [plain, loose(shape, draw)] };
      case 1:
        return { kind: 'and', parts: [...(plain.kind === 'and' ? plain.parts : [plain]), extra()] };
      case 2:
        return { kind: 'not', part: { kind: 'not', part: plain } };
      case 3:
        return { kind: 'or', parts: [plain, { kind: 'and', parts: [loose(shape, draw), loose(shape, draw)] }] };
      case 4: {
        const list: Matcher = {
          kind: 'in',
          value: requestTerm(draw.pick(shape.fields)),
          list: ['read', 'alice', 'north'].map((text) => textTerm(text, draw)),
          bare: true,
        };
        return { kind: draw.pick(['and', 'or'] as const), parts: draw.chance(0.7) ? [plain, list] : [list, plain] };
      }
      case 5:
      case 6:
      case 7:
        return tree(shape, draw.between(1, 3), draw);
      default:
        return plain;
    }
  };
  const matcher = wrap();
  const reads = termsOf(matcher).some(({ kind }) => kind === 'policy');
  return { matcher: reads ? matcher : { kind: 'or', parts: [plain, matcher] }, cores: conditions };
}

interface DrawnLine {
  readonly line: readonly string[];
  readonly cells: ReadonlyMap<Field, Cell>;
  readonly allow: boolean;
}

function drawLine(shape: Shape, draw: Draw): DrawnLine {
  const cells = new Map(shape.fields.map((field) => [field, cellOf(field, shape, draw)]));
  const allow = draw.chance(0.75);
  const line = shape.columns.map((column) => {
    if (column === 'eft') return allow ? 'allow' : 'deny';
    const field = shape.fields.find((candidate) => candidate.column === column);
    return (field === undefined ? undefined : cells.get(field)?.text) ?? 'note';
  });
  return { line: ['p', ...line], cells, allow };
}

function cellOf(field: Field, shape: Shape, draw: Draw): Cell {
  const fixed = (text: string): Cell => ({ text, witness: () => text });
  switch (field.dialect) {
    case 'role':
      return fixed(draw.pick(draw.chance(0.6) ? shape.names.roles : shape.names.subjects));
    case 'action':
      return draw.chance(0.1)
        ? { text: '*', witness: (inner) => inner.pick(shape.names.actions) }
        : fixed(draw.pick(shape.names.actions));
    case 'domain':
      return fixed(draw.pick(shape.names.domains));
    case 'plain':
    case 'star':
    case 'colon':
    case 'braces':
    case 'regex':
    case 'network':
      return drawCell(field.dialect, draw);
  }
}

function drawLinks(shape: Shape, draw: Draw): string[][] {
  const all = [...shape.names.subjects, ...shape.names.roles];
  return [...shape.roles].flatMap(([name, arity]) => {
    const line = (member: string, role: string): string[] => [
      name,
      member,
      role,
      ...(arity === 3 ? [draw.pick(shape.names.domains)] : []),
    ];
    const random = Array.from({ length: draw.between(0, 8) }, () => line(draw.pick(all), draw.pick(shape.names.roles)));
    if (!draw.chance(0.08)) return random;
    // A chain of ten links, the longest that counts, from a subject to a role.
    const length = draw.between(8, 10);
    const chain = [
      draw.pick(shape.names.subjects),
      ...Array.from({ length: length - 1 }, (_, link) => `link-${link}`),
      draw.pick(shape.names.roles),
    ];
    const domain = draw.pick(shape.names.domains);
    const links = chain.slice(1).map((role, link) => [name, chain[link] ?? '', role, ...(arity === 3 ? [domain] : [])]);
    return [...links, ...random.slice(0, 2)];
  });
}

function drawRequest(
  shape: Shape,
  lines: readonly DrawnLine[],
  cores: readonly Matcher[],
  links: readonly (readonly string[])[],
  draw: Draw,
): RequestValue[] {
  const allows = lines.filter(({ allow }) => allow);
  const line =
    lines.length === 0 ? drawLine(shape, draw) : draw.pick(allows.length > 0 && draw.chance(0.85) ? allows : lines);
  const domain = shape.fields.findIndex(({ kind }) => kind === 'domain');
  const values = shape.fields.map((field) => line.cells.get(field)?.witness(draw) ?? '');
  shape.fields.forEach((field, index) => {
    if (field.dialect === 'role')
      values[index] = memberOf(values[index] ?? '', field, cores, links, values[domain], draw);
  });
  if (draw.chance(0.35)) {
    const index = draw.below(values.length);
    values[index] = changed(values[index] ?? '', shape.fields[index] as Field, shape, draw);
  }
  if (draw.chance(0.01))
    values[draw.below(values.length)] = draw.pick(['', 'a\nb', '/a\u0000', 'x\u0085', '\u2028', 'x'.repeat(8_193)]);
  return values;
}

/** Walks some links back from a role, so that who asks has it over one, two or ten of them. */
function memberOf(
  role: string,
  field: Field,
  cores: readonly Matcher[],
  links: readonly (readonly string[])[],
  domain: string | undefined,
  draw: Draw,
): string {
  const call = cores.find(
    (condition) =>
      condition.kind === 'call' &&
      condition.values.some((term) => term.kind === 'request' && term.field === field.name),
  );
  if (call?.kind !== 'call') return role;
  let member = role;
  for (let steps = draw.below(11); steps > 0; steps--) {
    const from = links.filter(
      ([name, , to, inside]) =>
        name === call.name && to === member && (inside === undefined || domain === undefined || inside === domain),
    );
    if (from.length === 0) return member;
    member = draw.pick(from)[1] ?? member;
  }
  return member;
}

function changed(value: string, field: Field, shape: Shape, draw: Draw): string {
  switch (field.kind) {
    case 'name':
      return draw.chance(0.9) ? draw.pick([...shape.names.subjects, ...shape.names.roles]) : nearby(value, draw);
    case 'domain':
      return draw.pick(shape.names.domains);
    case 'action':
      return draw.chance(0.6) ? draw.pick(shape.names.actions) : nearby(value, draw);
    case 'path':
      return nearby(value, draw);
    case 'address':
      return draw.chance(0.5) ? drawCell('network', draw).witness(draw) : strangeAddress(value, draw);
  }
}

function strangeAddress(value: string, draw: Draw): string {
  if (draw.chance(0.4) && !value.includes(':'))
    return `${draw.pick(['::ffff:', '::FFFF:', '::', '0:0:0:0:0:ffff:'])}${value}`;
  return draw.pick([
    `0${value}`,
    `${value}.1`,
    `${value}%eth0`,
    value.slice(0, -1),
    `${value} `,
    'localhost',
    '1.2.3',
    '::',
    '::1',
    `${value}/32`,
    '1::2::3',
    '0x7f.0.0.1',
  ]);
}
