// The matcher's language: text compared, looked up and matched, joined by && || ! and brackets. A recursive descent
// parser that gives a typed tree; what the reference would coerce, guess or crash on is an error with line and column.
//
//   or      = and { "||" and }
//   and     = unary { "&&" unary }          (a comparison binds tighter than &&)
//   unary   = "!" unary | compare
//   compare = value [ ("==" | "!=") value | "in" "(" value { "," value } ")" ] | call | "(" or ")"
//   value   = "r." name | "p." name | text in quotes | number
//   call    = name "(" value { "," value } ")"
import { engineErrors } from '../errors.ts';
import { MAX_MATCHER_DEPTH } from '../limits.ts';
import type { ModelFile, MatcherSource } from './model-file.ts';

export type Value =
  | { readonly kind: 'request'; readonly field: number; readonly at: number }
  | { readonly kind: 'policy'; readonly column: number; readonly at: number }
  | { readonly kind: 'text'; readonly text: string; readonly at: number }
  | { readonly kind: 'number'; readonly number: number; readonly at: number };

export type Expression =
  | { readonly kind: 'or' | 'and'; readonly terms: readonly Expression[] }
  | { readonly kind: 'not'; readonly term: Expression }
  | { readonly kind: 'equal'; readonly left: Value; readonly right: Value }
  | { readonly kind: 'in'; readonly value: Value; readonly list: readonly Value[] }
  | { readonly kind: 'call'; readonly name: string; readonly values: readonly Value[]; readonly at: number };

interface Token {
  readonly kind: 'name' | 'text' | 'number' | 'mark' | 'end';
  readonly text: string;
  readonly at: number;
}

const tokenPattern = /\s+|[A-Za-z_][A-Za-z0-9_]*|\d+(?:\.\d+)?|"[^"\\]*"|'[^'\\]*'|&&|\|\||==|!=|[!().,]/y;

export function parseMatcher(model: ModelFile): Expression {
  return new MatcherParser(model).parse();
}

export function matcherError(source: MatcherSource, at: number, message: string): Error {
  return engineErrors.error('ENGINE_CASBIN_MATCHER', message, { place: source.placeAt(at) });
}

function tokens(source: MatcherSource): Token[] {
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
  if (first >= '0' && first <= '9') return 'number';
  return /[A-Za-z_]/.test(first) ? 'name' : 'mark';
}

class MatcherParser {
  readonly #model: ModelFile;
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(model: ModelFile) {
    this.#model = model;
    this.#tokens = tokens(model.matcher);
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
    if (this.#depth >= MAX_MATCHER_DEPTH) {
      throw matcherError(this.#model.matcher, this.#peek().at, `nested deeper than ${MAX_MATCHER_DEPTH}`);
    }
    this.#depth++;
    const expression = this.#take('!') ? this.#negated() : this.#comparison();
    this.#depth--;
    return expression;
  }

  /** In the reference `!a == b` means `(!a) == b`, which nobody wants: after `!` only a call or brackets may stand. */
  #negated(): Expression {
    const token = this.#peek();
    const call = token.kind === 'name' && this.#tokens[this.#next + 1]?.text === '(';
    if (token.text !== '(' && token.text !== '!' && !call) throw this.#expected('a function or ( after !', token);
    return { kind: 'not', term: this.#unary() };
  }

  #comparison(): Expression {
    const token = this.#peek();
    if (this.#take('(')) {
      const inner = this.#or();
      this.#require(')');
      return inner;
    }
    if (token.kind === 'name' && this.#tokens[this.#next + 1]?.text === '(') return this.#call();
    const left = this.#value();
    if (this.#take('==')) return this.#equal(left, this.#value());
    if (this.#take('!=')) return { kind: 'not', term: this.#equal(left, this.#value()) };
    if (this.#take('in')) return { kind: 'in', value: this.#text(left), list: this.#list().map((v) => this.#text(v)) };
    throw this.#expected('==, != or in: a value alone is neither true nor false', this.#peek());
  }

  #equal(left: Value, right: Value): Expression {
    if ((left.kind === 'number') !== (right.kind === 'number')) {
      const at = left.kind === 'number' ? left.at : right.at;
      throw matcherError(this.#model.matcher, at, 'a number is never equal to text here: put it in quotes');
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
    if (value.kind !== 'number') return value;
    throw matcherError(this.#model.matcher, value.at, 'expected text: put the number in quotes');
  }

  #value(): Value {
    const token = this.#advance();
    const { at } = token;
    if (token.kind === 'text') return { kind: 'text', text: token.text.slice(1, -1), at };
    if (token.kind === 'number') return { kind: 'number', number: Number(token.text), at };
    if (token.kind !== 'name') throw this.#expected('a value such as r.sub or "text"', token);
    if (token.text !== 'r' && token.text !== 'p') throw this.#expected('r., p. or a text in quotes', token);
    this.#require('.');
    const name = this.#advance();
    const names = token.text === 'r' ? this.#model.request : this.#model.policy;
    const index = names.indexOf(name.text);
    if (index === -1) throw this.#expected(`a field of ${token.text} (${names.join(', ')})`, name);
    if (this.#peek().text === '.') {
      throw matcherError(this.#model.matcher, this.#peek().at, 'fields hold text; there is nothing inside them');
    }
    return token.text === 'r' ? { kind: 'request', field: index, at } : { kind: 'policy', column: index, at };
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { kind: 'end', text: 'the end', at: this.#model.matcher.text.length };
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
    return matcherError(this.#model.matcher, found.at, `expected ${what}, found ${found.text}`);
  }
}
