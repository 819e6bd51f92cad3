// Random lines of a policy, with the witnesses that requests are drawn from, and role links.
import { drawRule } from './generate-matcher.ts';
import type { Shape, Slot } from './generate-shape.ts';
import { type Matcher, matcherText } from './language.ts';
import { type Cell, drawCell } from './patterns.ts';
import type { Draw } from './random.ts';

export interface DrawnLine {
  readonly line: readonly string[];
  readonly cells: ReadonlyMap<Slot, Cell>;
  readonly allow: boolean;
}

/** Adds what the line's rule says to `rules`. */
export function drawLine(shape: Shape, rules: Map<string, Matcher>, draw: Draw): DrawnLine {
  const cells = new Map(shape.slots.map((slot) => [slot, cellOf(slot, shape, draw)]));
  const allow = draw.chance(0.75);
  const line = shape.columns.map((column) => {
    switch (column) {
      case 'eft':
        return allow ? 'allow' : 'deny';
      case 'priority':
        return String(draw.pick([-5, 0, 1, 2, 9, 10, 11, 100]));
      case 'note':
        return 'note';
      case shape.rule: {
        const rule = drawRule(shape, 1, draw);
        const text = matcherText(rule);
        rules.set(text, rule);
        return text;
      }
      default: {
        const slot = shape.slots.find((candidate) => candidate.column === column);
        return (slot === undefined ? undefined : cells.get(slot)?.text) ?? 'note';
      }
    }
  });
  return { line: ['p', ...line], cells, allow };
}

function cellOf(slot: Slot, shape: Shape, draw: Draw): Cell {
  const fixed = (text: string): Cell => ({ text, witness: () => text });
  switch (slot.dialect) {
    case 'role':
      return fixed(draw.pick(draw.chance(0.6) ? shape.names.roles : shape.names.subjects));
    case 'action':
      return draw.chance(0.1)
        ? { text: '*', witness: (inner) => inner.pick(shape.names.actions) }
        : fixed(draw.pick(shape.names.actions));
    case 'domain':
      return fixed(draw.pick(shape.names.domains));
    case 'none':
      return fixed('');
    case 'plain':
    case 'star':
    case 'colon':
    case 'braces':
    case 'named':
    case 'glob':
    case 'regex':
    case 'network':
    case 'number':
      return drawCell(slot.dialect, draw);
  }
}

export function drawLinks(shape: Shape, draw: Draw): string[][] {
  const all = [...shape.names.subjects, ...shape.names.roles];
  return [...shape.roles].flatMap(([name, arity]) => {
    const link = (member: string, role: string, domain: string): string[] => [
      name,
      member,
      role,
      ...(arity === 3 ? [domain] : []),
    ];
    const random = Array.from({ length: draw.between(0, 8) }, () =>
      link(draw.pick(all), draw.pick(shape.names.roles), draw.pick(shape.names.domains)),
    );
    if (!draw.chance(0.08)) return random;
    // A chain of up to ten links, the longest that counts, from a subject to a role.
    const inner = Array.from({ length: draw.between(7, 9) }, (_, step) => `link-${step}`);
    const chain = [draw.pick(shape.names.subjects), ...inner, draw.pick(shape.names.roles)];
    const domain = draw.pick(shape.names.domains);
    const links = chain.slice(1).map((role, step) => link(chain[step] ?? '', role, domain));
    return [...links, ...random.slice(0, 2)];
  });
}

/** Walks some links back from a role, so that who asks has it over one, two or ten of them. */
export function memberOf(
  role: string,
  slot: Slot,
  cores: readonly Matcher[],
  links: readonly (readonly string[])[],
  domain: string | undefined,
  draw: Draw,
): string {
  const call = cores.find(
    (condition) =>
      condition.kind === 'call' &&
      condition.values.some(
        (term) => term.kind === 'request' && term.field === slot.field && String(term.path) === String(slot.path),
      ),
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
