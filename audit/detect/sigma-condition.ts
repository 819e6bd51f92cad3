// The condition of a Sigma rule: and, or, not, parentheses, `1 of x*`, `all of them`. `them` skips names with `_`.
import type { Place } from '../../runtime/errors.ts';
import { ruleInvalid } from './errors.ts';
import { maxConditionDepth } from './limits.ts';
import type { FlatEvent, Predicate } from './sigma-match.ts';

export function compileCondition(text: string, selections: ReadonlyMap<string, Predicate>, place: Place): Predicate {
  const tokens = text.match(/\(|\)|[^\s()]+/g) ?? [];
  let at = 0;
  const peek = (): string => (tokens[at] ?? '').toLowerCase();
  const take = (): string => tokens[at++] ?? '';
  const fail = (message: string): never => {
    throw ruleInvalid(place, `condition "${text}": ${message}`);
  };

  const or = (depth: number): Predicate =>
    binary('or', and, (parts, event) => parts.some((part) => part(event)), depth);
  const and = (depth: number): Predicate =>
    binary('and', not, (parts, event) => parts.every((part) => part(event)), depth);

  function binary(
    word: string,
    operand: (depth: number) => Predicate,
    join: (parts: readonly Predicate[], event: FlatEvent) => boolean,
    depth: number,
  ): Predicate {
    const parts = [operand(depth)];
    while (peek() === word) {
      take();
      parts.push(operand(depth));
    }
    return parts.length === 1 ? (parts[0] as Predicate) : (event) => join(parts, event);
  }

  function not(depth: number): Predicate {
    if (depth > maxConditionDepth) fail('nested too deeply');
    if (peek() !== 'not') return primary(depth);
    take();
    const inner = not(depth + 1);
    return (event) => !inner(event);
  }

  function primary(depth: number): Predicate {
    const token = take();
    if (token === '(') {
      const inner = or(depth + 1);
      if (take() !== ')') fail('a parenthesis is not closed');
      return inner;
    }
    if ((/^\d+$/.test(token) || token.toLowerCase() === 'all') && peek() === 'of') {
      take();
      return quantified(token.toLowerCase(), take());
    }
    return selections.get(token) ?? fail(token === '' ? 'ends too early' : `no selection is named "${token}"`);
  }

  function quantified(quantity: string, target: string): Predicate {
    const chosen = [...selections].filter(([name]) => names(target, name)).map(([, predicate]) => predicate);
    if (chosen.length === 0) fail(`"${target}" names no selection`);
    const needed = quantity === 'all' ? chosen.length : Number(quantity);
    if (needed < 1) fail('expected "all of" or a positive number');
    return (event) => chosen.filter((matches) => matches(event)).length >= needed;
  }

  const compiled = or(0);
  if (at < tokens.length) fail(`did not expect "${tokens[at]}"`);
  return compiled;
}

function names(target: string, name: string): boolean {
  if (target.toLowerCase() === 'them') return !name.startsWith('_');
  return target.endsWith('*') ? name.startsWith(target.slice(0, -1)) : name === target;
}
