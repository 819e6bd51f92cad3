// The matcher's language: values compared, looked up and matched, joined by && || ! and brackets. A recursive descent
// parser that gives a typed tree; what the reference would coerce, guess or crash on is an error with line and column.
//
//   or      = and { "||" and }
//   and     = unary { "&&" unary }          (a comparison binds tighter than &&)
//   unary   = "!" unary | compare
//   compare = value [ ("==" | "!=" | "<" | "<=" | ">" | ">=") value | "in" "(" value { "," value } ")" ]
//           | call | "(" or ")"             (a value alone is an attribute that has to be true)
//   value   = "r." name { "." name } | "p." name | text in quotes | number | "true" | "false"
//   call    = name "(" value { "," value } ")"
import { engineErrors } from '../errors.ts';
import { MAX_ATTRIBUTE_DEPTH, MAX_MATCHER_DEPTH } from '../limits.ts';
import type { ModelFile, TextSource } from './model-file.ts';

export type Value =
  | { readonly kind: 'request'; readonly field: number; readonly path: readonly string[]; readonly at: number }
  | { readonly kind: 'policy'; readonly column: number; readonly at: number }
  | { readonly kind: 'text'; readonly text: string; readonly at: number }
  | { readonly kind: 'number'; readonly number: number; readonly at: number }
  | { readonly kind: 'boolean'; readonly boolean: boolean; readonly at: number };

export type Order = '<' | '<=' | '>' | '>=';

export type Atom =
  | { readonly kind: 'equal'; readonly left: Value; readonly right: Value }
  | { readonly kind: 'order'; readonly order: Order; readonly left: Value; readonly right: Value }
  | { readonly kind: 'in'; readonly value: Value; readonly list: readonly Value[] }
  /** An attribute that is a boolean. */
  | { readonly kind: 'truth'; readonly value: Value }
  | { readonly kind: 'call'; readonly name: string; readonly values: readonly Value[]; readonly at: number };

export type Expression =
  | { readonly kind: 'or' | 'and'; readonly terms: readonly Expression[] }
  | { readonly kind: 'not'; readonly term: Expression }
  | Atom;

/** The values an atom looks at. */
export function valuesOf(atom: Atom): readonly Value[] {
  switch (atom.kind) {
    case 'equal':
    case 'order':
      return [atom.left, atom.right];
    case 'in':
      return [atom.value, ...atom.list];
    case 'truth':
      return [atom.value];
    case 'call':
      return atom.values;
  }
}

interface Token {
  readonly kind: 'name' | 'text' | 'number' | 'mark' | 'end';
  readonly text: string;
  readonly at: number;
}

const tokenPattern = /\s+|[A-Za-z_][A-Za-z0-9_]*|-?\d+(?:\.\d+)?|"[^"\\]*"|'[^'\\]*'|&&|\|\||==|!=|<=|>=|[!().,<>]/y;
const orders: ReadonlySet<string> = new Set(['<', '<=', '>', '>=']);

/** What the reference refuses to read inside an object, and what no attribute should be called. */
const forbiddenAttributes: ReadonlySet<string> = new Set(['__proto__', 'prototype', 'constructor']);

/** The model's matcher. */
export function parseMatcher(model: ModelFile): Expression {
  return new MatcherParser(model, model.matcher).parse();
}

/** Another text in the same language: a rule that `eval(p.rule)` finds in a line. */
export function parseExpression(model: ModelFile, source: TextSource): Expression {
  return new MatcherParser(model, source).parse();
}

export function matcherError(source: TextSource, at: number, message: string): Error {
  return engineErrors.error('ENGINE_CASBIN_MATCHER', message, { place: source.placeAt(at) });
}

function tokens(source: TextSource): Token[] {
  const result: Token[] = [];
  const { text } = source;
  let at = 0;
  while (at < text.length) {
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(text)?.[0];
    if (match === undefined) throw matcherError(source, at, `"${text[at] ?? ''}" is not part of the language`);
    if (match.trim() !== '') result.push({ kind: kindOf(match), text: match, at });
    at += match.length;
  }
  result.push({ kind: 'end', text: 'the end', at: text.length });
  return result;
}

function kindOf(text: string): Token['kind'] {
  const first = text[0] ?? '';
  if (first === '"' || first === "'") return 'text';
  if (/[0-9-]/.test(first)) return 'number';
  return /[A-Za-z_]/.test(first) ? 'name' : 'mark';
}

class MatcherParser {
  readonly #model: ModelFile;
  readonly #source: TextSource;
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(model: ModelFile, source: TextSource) {
    this.#model = model;
    this.#source = source;
    this.#tokens = tokens(source);
  }

  parse(): Expression {
    const expression = this.#or();
    const rest = this.#peek();
    if (rest.kind !== 'end') throw this.#expected('&&, || or the end', rest);
    return expression;
  }

  #or(): Expression {
    return this.#joined('or', '||', () => this.#joined('and', '&&', () => this.#unary()));
  }

  #joined(kind: 'or' | 'and', mark: string, part: () => Expression): Expression {
    const terms = [part()];
    while (this.#take(mark)) terms.push(part());
    const [first] = terms;
    return terms.length === 1 && first !== undefined ? first : { kind, terms };
  }

  #unary(): Expression {
    if (this.#depth >= MAX_MATCHER_DEPTH) throw this.#error(this.#peek().at, `nested deeper than ${MAX_MATCHER_DEPTH}`);
    this.#depth++;
    const expression = this.#take('!') ? this.#negated() : this.#comparison();
    this.#depth--;
    return expression;
  }

  /** In the reference `!a == b` means `(!a) == b`, which nobody wants: after `!` only a call or brackets may stand. */
  #negated(): Expression {
    const token = this.#peek();
    if (token.text !== '(' && token.text !== '!' && !this.#isCall(token)) {
      throw this.#expected('a function or ( after !', token);
    }
    return { kind: 'not', term: this.#unary() };
  }

  #comparison(): Expression {
    const token = this.#peek();
    if (this.#take('(')) {
      const inner = this.#or();
      this.#require(')');
      return inner;
    }
    if (this.#isCall(token)) return this.#call();
    const left = this.#value();
    if (this.#take('==')) return this.#equal(left, this.#value());
    if (this.#take('!=')) return { kind: 'not', term: this.#equal(left, this.#value()) };
    if (this.#take('in')) return { kind: 'in', value: this.#text(left), list: this.#list().map((v) => this.#text(v)) };
    const operator = this.#peek();
    if (operator.kind === 'mark' && orders.has(operator.text)) {
      this.#advance();
      return {
        kind: 'order',
        order: operator.text as Order,
        left: this.#numeric(left),
        right: this.#numeric(this.#value()),
      };
    }
    if (left.kind === 'request' && left.path.length > 0) return { kind: 'truth', value: left };
    throw this.#expected('==, !=, <, >, <=, >= or in: a value alone is neither true nor false', this.#peek());
  }

  #isCall(token: Token): boolean {
    return token.kind === 'name' && this.#tokens[this.#next + 1]?.text === '(';
  }

  #equal(left: Value, right: Value): Expression {
    for (const [constant, other] of [
      [left, right],
      [right, left],
    ] as const) {
      const typed = constant.kind === 'number' || constant.kind === 'boolean';
      if (!typed || other.kind === constant.kind || (other.kind === 'request' && other.path.length > 0)) continue;
      throw this.#error(constant.at, `a ${constant.kind} is never equal to text here: put it in quotes`);
    }
    return { kind: 'equal', left, right };
  }

  #call(): Expression {
    const { text: name, at } = this.#advance();
    return { kind: 'call', name, values: this.#list().map((value) => this.#text(value)), at };
  }

  #list(): Value[] {
    this.#require('(');
    const values = [this.#value()];
    while (this.#take(',')) values.push(this.#value());
    this.#require(')');
    return values;
  }

  #text(value: Value): Value {
    if (value.kind !== 'number' && value.kind !== 'boolean') return value;
    throw this.#error(value.at, `expected text: put the ${value.kind} in quotes`);
  }

  #numeric(value: Value): Value {
    if (value.kind !== 'text' && value.kind !== 'boolean') return value;
    throw this.#error(value.at, 'expected a number: only numbers have an order here');
  }

  #value(): Value {
    const token = this.#advance();
    const { at } = token;
    if (token.kind === 'text') return { kind: 'text', text: token.text.slice(1, -1), at };
    if (token.kind === 'number') return { kind: 'number', number: Number(token.text), at };
    if (token.kind !== 'name') throw this.#expected('a value such as r.sub or "text"', token);
    if (token.text === 'true' || token.text === 'false') {
      return { kind: 'boolean', boolean: token.text === 'true', at };
    }
    if (token.text !== 'r' && token.text !== 'p') throw this.#expected('r., p. or a text in quotes', token);
    this.#require('.');
    const name = this.#advance();
    const names = token.text === 'r' ? this.#model.request : this.#model.policy;
    const index = names.indexOf(name.text);
    if (index === -1) throw this.#expected(`a field of ${token.text} (${names.join(', ')})`, name);
    if (token.text === 'r') return { kind: 'request', field: index, path: this.#path(), at };
    if (this.#peek().text === '.')
      throw this.#error(this.#peek().at, 'columns of p hold text; there is nothing inside');
    return { kind: 'policy', column: index, at };
  }

  #path(): string[] {
    const path: string[] = [];
    while (this.#take('.')) {
      const name = this.#advance();
      if (name.kind !== 'name') throw this.#expected('the name of an attribute', name);
      if (forbiddenAttributes.has(name.text)) throw this.#error(name.at, `${name.text} is not an attribute`);
      path.push(name.text);
      if (path.length > MAX_ATTRIBUTE_DEPTH) {
        throw this.#error(name.at, `attributes are nested at most ${MAX_ATTRIBUTE_DEPTH} deep`);
      }
    }
    return path;
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { kind: 'end', text: 'the end', at: this.#source.text.length };
  }

  #advance(): Token {
    const token = this.#peek();
    this.#next++;
    return token;
  }

  #take(text: string): boolean {
    const token = this.#peek();
    if (token.kind === 'text' || token.kind === 'end' || token.text !== text) return false;
    this.#next++;
    return true;
  }

  #require(text: string): void {
    if (!this.#take(text)) throw this.#expected(text, this.#peek());
  }

  #expected(what: string, found: Token): Error {
    return this.#error(found.at, `expected ${what}, found ${found.text}`);
  }

  #error(at: number, message: string): Error {
    return matcherError(this.#source, at, message);
  }
}
