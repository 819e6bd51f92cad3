// Random matchers: the conditions that the policy's columns are written for, joined, wrapped and mixed with others.
import { type CompareOperator, type Matcher, partsOf, type Term, termsOf } from './language.ts';
import { columnTerm, requestTerm, type Shape, type Slot, textTerm } from './generate-shape.ts';
import { drawCell, readers } from './patterns.ts';
import type { Draw } from './random.ts';

const orders = ['<', '<=', '>', '>='] as const;

export function drawMatcher(shape: Shape, draw: Draw): { matcher: Matcher; cores: readonly Matcher[] } {
  const cores = shape.slots.filter(() => draw.chance(0.9)).map((slot) => core(slot, shape, draw));
  if (shape.rule !== undefined) cores.push({ kind: 'eval', column: shape.rule });
  const conditions = cores.length > 0 ? cores : [core(draw.pick(shape.slots), shape, draw)];
  const plain: Matcher =
    conditions.length === 1 ? (conditions[0] as Matcher) : { kind: 'and', parts: draw.shuffled(conditions) };
  const matcher = wrap(plain, shape, draw);
  if (readsPolicy(matcher)) return { matcher, cores: conditions };
  const column: Term = { kind: 'policy', column: draw.pick(shape.columns) };
  const reads: Matcher = readsPolicy(plain)
    ? plain
    : { kind: 'compare', operator: '!=', left: column, right: textTerm('never', draw) };
  const mixed = partsOf(matcher).some((part) => part.kind === 'in' && part.bare === true);
  return { matcher: mixed ? reads : { kind: 'or', parts: [reads, matcher] }, cores: conditions };
}

const readsPolicy = (matcher: Matcher): boolean => termsOf(matcher).some(({ kind }) => kind === 'policy');

function wrap(plain: Matcher, shape: Shape, draw: Draw): Matcher {
  const other = (): Matcher => loose(shape, draw);
  switch (draw.below(14)) {
    case 0:
      return { kind: 'or', parts: [plain, other()] };
    case 1: {
      const extra: Matcher = draw.chance(0.5) ? other() : { kind: 'not', part: other() };
      return { kind: 'and', parts: [...(plain.kind === 'and' ? plain.parts : [plain]), extra] };
    }
    case 2:
      return { kind: 'not', part: { kind: 'not', part: plain } };
    case 3:
      return { kind: 'or', parts: [plain, { kind: 'and', parts: [other(), other()] }] };
    case 4: {
      const texts = shape.slots.filter(isText);
      if (texts.length === 0 || draw.chance(0.5)) return plain;
      const value = draw.pick(texts);
      const list = ['read', 'alice', 'north'].map((text) => textTerm(text, draw));
      const bare: Matcher = { kind: 'in', value: requestTerm(value), list, bare: true };
      return { kind: draw.pick(['and', 'or'] as const), parts: draw.chance(0.7) ? [plain, bare] : [bare, plain] };
    }
    case 5:
    case 6:
    case 7:
      return tree(shape, draw.between(1, 3), draw);
    default:
      return plain;
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

/** A condition that reads the column as it is written, so that a line's witness makes it hold. */
export function core(slot: Slot, shape: Shape, draw: Draw): Matcher {
  const [left, right] = [requestTerm(slot), columnTerm(slot)];
  switch (slot.dialect) {
    case 'role': {
      const usable = [...shape.roles.keys()];
      return usable.length > 0 && draw.chance(0.8)
        ? roleCall(draw.pick(usable), left, right, shape, draw)
        : equal(left, right, draw);
    }
    case 'action': {
      const any: Matcher = { kind: 'compare', operator: '==', left: right, right: textTerm('*', draw) };
      return draw.chance(0.25) ? { kind: 'or', parts: [any, equal(left, right, draw)] } : equal(left, right, draw);
    }
    case 'domain':
      return equal(left, right, draw);
    case 'none':
      return truth(slot, draw);
    case 'number': {
      const operator = draw.pick(orders);
      return draw.chance(0.8)
        ? { kind: 'compare', operator, left, right }
        : { kind: 'compare', operator, left: right, right: left };
    }
    case 'plain':
    case 'star':
    case 'colon':
    case 'braces':
    case 'named':
    case 'glob':
    case 'regex':
    case 'network': {
      const name = draw.pick(readers[slot.dialect]);
      if (name === '!=') return { kind: 'compare', operator: '!=', left, right };
      return name === '==' ? equal(left, right, draw) : { kind: 'call', name, values: [left, right] };
    }
  }
}

function equal(left: Term, right: Term, draw: Draw): Matcher {
  const [one, other] = draw.chance(0.5) ? [left, right] : [right, left];
  return { kind: 'compare', operator: '==', left: one, right: other };
}

/** An attribute that is true, alone or compared. */
function truth(slot: Slot, draw: Draw): Matcher {
  const term = requestTerm(slot);
  if (draw.chance(0.7)) return { kind: 'value', term };
  const operator = draw.pick(['==', '!='] as const);
  return { kind: 'compare', operator, left: term, right: { kind: 'boolean', value: draw.chance(0.7) } };
}

function roleCall(name: string, member: Term, role: Term, shape: Shape, draw: Draw): Matcher {
  if (shape.roles.get(name) === 2) return { kind: 'call', name, values: [member, role] };
  const slot = shape.slots.find(({ kind }) => kind === 'domain');
  const text = textTerm(draw.pick(shape.names.domains.filter((domain) => !domain.includes(','))), draw);
  const domain = slot === undefined ? text : draw.pick([requestTerm(slot), requestTerm(slot), columnTerm(slot), text]);
  return { kind: 'call', name, values: [member, role, domain] };
}

const isText = ({ kind }: Slot): boolean => kind !== 'number' && kind !== 'boolean';

/** Any condition: also ones that no line is written for. */
function loose(shape: Shape, draw: Draw): Matcher {
  const slot = draw.pick(shape.slots);
  if (slot.kind === 'number') return looseNumber(slot, shape, draw);
  if (slot.kind === 'boolean') return truth(slot, draw);
  return looseText(slot, shape, draw);
}

function looseNumber(slot: Slot, shape: Shape, draw: Draw): Matcher {
  // Equality makes a bare field a text.
  const operator = draw.pick<CompareOperator>(slot.path === undefined ? orders : [...orders, '==', '!=']);
  const constant: Term = { kind: 'number', value: draw.between(-3, 12) };
  const others = shape.slots.filter(({ kind, path }) => kind === 'number' && path !== undefined).map(requestTerm);
  const term = requestTerm(slot);
  if (operator === '==' || operator === '!=') {
    return { kind: 'compare', operator, left: term, right: draw.chance(0.1) ? columnTerm(slot) : constant };
  }
  if (draw.chance(0.05)) return { kind: 'compare', operator, left: columnTerm(slot), right: columnTerm(slot) };
  return { kind: 'compare', operator, left: term, right: draw.pick([constant, constant, columnTerm(slot), ...others]) };
}

function looseText(slot: Slot, shape: Shape, draw: Draw): Matcher {
  const value = requestTerm(slot);
  const texts = shape.slots.filter(isText);
  const attributes = texts.filter(({ path }) => path !== undefined);
  const other = draw.pick(slot.path !== undefined && draw.chance(0.5) ? attributes : texts);
  const words = draw.picks([...shape.names.subjects, ...shape.names.actions, ...shape.names.roles], 3);
  const [safe = 'x', ...more] = words.map((text) => text.replaceAll(/["'#;()\\,]/g, '') || 'x');
  const operator = draw.pick(['==', '!='] as const);
  switch (draw.below(10)) {
    case 0:
      return { kind: 'compare', operator, left: value, right: textTerm(safe, draw) };
    case 1:
      return { kind: 'compare', operator, left: value, right: requestTerm(other) };
    case 2:
      return { kind: 'compare', operator, left: columnTerm(slot), right: columnTerm(other) };
    case 3: {
      const list = [safe, ...more].slice(0, draw.chance(0.05) ? 1 : draw.between(2, 3));
      return { kind: 'in', value, list: list.map((text) => textTerm(text, draw)) };
    }
    case 4:
      return { kind: 'in', value: columnTerm(slot), list: [textTerm(safe, draw), value, columnTerm(other)] };
    case 5: {
      const dialect = draw.pick(['star', 'colon', 'braces', 'named', 'glob', 'regex'] as const);
      const { text } = drawCell(dialect, draw);
      if (/["'#;\\]/.test(text)) return core(slot, shape, draw);
      return { kind: 'call', name: draw.pick(readers[dialect]), values: [value, textTerm(text, draw)] };
    }
    case 6: {
      const role = draw.pick([...shape.roles.keys(), '']);
      if (role === '') {
        const two: Term = { kind: 'number', value: draw.between(1, 2) };
        return { kind: 'compare', operator: '==', left: { kind: 'number', value: 1 }, right: two };
      }
      const terms = [value, columnTerm(other), textTerm(safe, draw), requestTerm(other)];
      return roleCall(role, draw.pick(terms), draw.pick(terms), shape, draw);
    }
    default:
      return core(slot, shape, draw);
  }
}

/** A rule for a line: conditions on the request whose patterns are texts. */
export function drawRule(shape: Shape, depth: number, draw: Draw): Matcher {
  if (depth > 0 && draw.chance(0.4)) {
    const parts = Array.from({ length: 2 }, () => drawRule(shape, depth - 1, draw));
    return draw.chance(0.15)
      ? { kind: 'not', part: parts[0] as Matcher }
      : { kind: draw.pick(['and', 'or'] as const), parts };
  }
  const condition = loose(shape, draw);
  const patterned =
    condition.kind === 'call' && !shape.roles.has(condition.name) && condition.values[1]?.kind === 'policy';
  const unsafe = patterned || termsOf(condition).some((term) => term.kind === 'text' && /[\\|&$]/.test(term.text));
  if (!unsafe && condition.kind !== 'eval') return condition;
  const slot = draw.pick(shape.slots);
  if (slot.kind === 'number') return looseNumber(slot, shape, draw);
  if (slot.kind === 'boolean') return truth(slot, draw);
  return { kind: 'compare', operator: '!=', left: requestTerm(slot), right: textTerm('nobody', draw) };
}
