// A Casbin model, its policy and requests as plain data: what generators make, both engines are asked about and the
// shrinker cuts down. The writers turn it into the model.conf and policy.csv that both engines read.

/** What a request's field may hold. */
export type RequestValue = string | number | boolean | null | { readonly [name: string]: RequestValue };

export type Term =
  /** `r.field`, or `r.field.a.b` for an attribute. */
  | { readonly kind: 'request'; readonly field: string; readonly path?: readonly string[] }
  | { readonly kind: 'policy'; readonly column: string }
  | { readonly kind: 'text'; readonly text: string; readonly quote: '"' | "'" }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean };

export type CompareOperator = '==' | '!=' | '<' | '<=' | '>' | '>=';

export type Matcher =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Matcher[] }
  | { readonly kind: 'not'; readonly part: Matcher }
  | { readonly kind: 'compare'; readonly operator: CompareOperator; readonly left: Term; readonly right: Term }
  /** `bare` leaves the brackets around the whole away. */
  | { readonly kind: 'in'; readonly value: Term; readonly list: readonly Term[]; readonly bare?: boolean }
  | { readonly kind: 'call'; readonly name: string; readonly values: readonly Term[] }
  /** A value where a condition is expected: an attribute that has to be true. */
  | { readonly kind: 'value'; readonly term: Term }
  /** The rule that stands in a column of the line. */
  | { readonly kind: 'eval'; readonly column: string };

export const effects = {
  'allow-override': 'some(where (p.eft == allow))',
  'deny-override': '!some(where (p.eft == deny))',
  'allow-and-deny': 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
  priority: 'priority(p.eft) || deny',
} as const;
export type EffectName = keyof typeof effects;

/** The policy comes to the engine in two steps. */
export interface Delta {
  /** Lines from this one on are added. */
  readonly from: number;
  /** Lines that are there first, and are removed. */
  readonly foreign: readonly (readonly string[])[];
}

export interface Instance {
  readonly fields: readonly string[];
  readonly columns: readonly string[];
  /** Role definitions by name, with the columns of their lines. */
  readonly roles: ReadonlyMap<string, number>;
  readonly effect: EffectName;
  readonly matcher: Matcher;
  /** Lines of policy.csv in order, the line's type first. */
  readonly lines: readonly (readonly string[])[];
  /** What the texts in columns that eval reads say. */
  readonly rules: ReadonlyMap<string, Matcher>;
  readonly requests: readonly (readonly RequestValue[])[];
  readonly delta: Delta | undefined;
}

export const policyLines = (instance: Instance): readonly (readonly string[])[] =>
  instance.lines.filter(([type]) => type === 'p').map((line) => line.slice(1));

export const linksOf = (instance: Instance, name: string): readonly (readonly string[])[] =>
  instance.lines.filter(([type]) => type === name).map((line) => line.slice(1));

export function modelText(instance: Instance): string {
  const roles = [...instance.roles].map(
    ([name, arity]) => `${name} = ${Array.from({ length: arity }, () => '_').join(', ')}`,
  );
  return [
    '[request_definition]',
    `r = ${instance.fields.join(', ')}`,
    '[policy_definition]',
    `p = ${instance.columns.join(', ')}`,
    ...(roles.length === 0 ? [] : ['[role_definition]', ...roles]),
    '[policy_effect]',
    `e = ${effects[instance.effect]}`,
    '[matchers]',
    `m = ${matcherText(instance.matcher)}`,
    '',
  ].join('\n');
}

/** A blank before a bracket would start a list in the reference: none is written but for lists. */
export function matcherText(matcher: Matcher, above: 'none' | 'or' | 'and' | 'not' = 'none'): string {
  switch (matcher.kind) {
    case 'or':
    case 'and': {
      const text = matcher.parts
        .map((part) => matcherText(part, matcher.kind))
        .join(matcher.kind === 'or' ? '||' : '&&');
      const loose = above === 'none' || above === matcher.kind || (above === 'or' && matcher.kind === 'and');
      return loose ? text : `(${text})`;
    }
    case 'not': {
      const text = matcherText(matcher.part, 'not');
      return text.startsWith('(') || /^[a-z][A-Za-z0-9]*\(|^!/.test(text) ? `!${text}` : `!(${text})`;
    }
    case 'compare': {
      const text = `${termText(matcher.left)} ${matcher.operator} ${termText(matcher.right)}`;
      return above === 'not' ? `(${text})` : text;
    }
    case 'in': {
      const text = `${termText(matcher.value)} in (${matcher.list.map(termText).join(', ')})`;
      return matcher.bare === true && above !== 'not' ? text : `(${text})`;
    }
    case 'call':
      return `${matcher.name}(${matcher.values.map(termText).join(', ')})`;
    case 'value':
      return termText(matcher.term);
    case 'eval':
      return `eval(p.${matcher.column})`;
  }
}

export function termText(term: Term): string {
  switch (term.kind) {
    case 'request':
      return ['r', term.field, ...(term.path ?? [])].join('.');
    case 'policy':
      return `p.${term.column}`;
    case 'text':
      return `${term.quote}${term.text}${term.quote}`;
    case 'number':
    case 'boolean':
      return String(term.value);
  }
}

export const policyText = (instance: Instance): string => instance.lines.map(lineText).join('\n');

export const lineText = (line: readonly string[]): string => line.map(columnText).join(', ');

function columnText(value: string): string {
  return /[",#]|^\s|\s$/.test(value) || value === '' ? `"${value.replaceAll('"', '""')}"` : value;
}

/** Every term of a matcher, left to right. */
export function termsOf(matcher: Matcher): readonly Term[] {
  switch (matcher.kind) {
    case 'or':
    case 'and':
      return matcher.parts.flatMap(termsOf);
    case 'not':
      return termsOf(matcher.part);
    case 'compare':
      return [matcher.left, matcher.right];
    case 'in':
      return [matcher.value, ...matcher.list];
    case 'call':
      return matcher.values;
    case 'value':
      return [matcher.term];
    case 'eval':
      return [{ kind: 'policy', column: matcher.column }];
  }
}

/** Every part of a matcher, itself first. */
export function partsOf(matcher: Matcher): readonly Matcher[] {
  switch (matcher.kind) {
    case 'or':
    case 'and':
      return [matcher, ...matcher.parts.flatMap(partsOf)];
    case 'not':
      return [matcher, ...partsOf(matcher.part)];
    case 'compare':
    case 'in':
    case 'call':
    case 'value':
    case 'eval':
      return [matcher];
  }
}
