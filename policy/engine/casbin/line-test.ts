// Closures over a request and a line of the policy. Nothing is interpreted or generated as source when a request is judged.
import { engineErrors } from '../errors.ts';
import { readAddress } from './address.ts';
import { type Literal, type Reading, readingOf } from './literals.ts';
import type { Lines } from './lines.ts';
import { type Atom, type Expression, matcherError, type Order, type Value } from './matcher-syntax.ts';
import type { ModelFile, TextSource } from './model-file.ts';
import { isPatternFunction, patternFunctions } from './pattern.ts';
import { isPlain, type RequestShape } from './request-shape.ts';
import { NO_TEXT, type Texts } from './texts.ts';
import type { CasbinAttributes, CasbinValue, Scalar } from './value.ts';

/** A request while it is judged. */
export interface Asked {
  readonly values: readonly CasbinValue[];
  /** Numbers of the texts in bare fields that are looked up. */
  readonly numbers: Readonly<Uint32Array>;
  readonly lines: Lines;
}

export type LineTest = (asked: Asked, line: number) => boolean;
export type Read = (asked: Asked, line: number) => Scalar;
export type ReadNumber = (asked: Asked, line: number) => number;

/** A call with a pattern: which function, and where the pattern comes from. */
export interface PatternCall {
  readonly name: string;
  readonly value: Value;
  readonly pattern: Extract<Value, { kind: 'policy' | 'text' }>;
  readonly reading: 'exact' | 'wide';
}

/** `eval(p.column)`, and in which reading the rule is asked. */
export interface RuleCall {
  readonly column: number;
  readonly reading: Reading;
}

/** What the literals of one reading need of each line, and where their texts stand. */
export interface Compilation {
  readonly model: ModelFile;
  readonly source: TextSource;
  readonly reading: Reading;
  readonly texts: Texts;
  readonly shape: RequestShape;
  readonly patterns: PatternCall[];
  /** Absent inside a rule: a rule holds no rules, and its patterns are texts. */
  readonly rules: RuleCall[] | undefined;
  /** Columns that have to hold numbers. */
  readonly numericColumns: Set<number>;
  /** Compiles the pattern of a text, which is the same for every line. */
  readonly pattern: (call: PatternCall, text: string) => (value: string) => boolean;
}

/** A whole expression, for what has no index: rules, and matchers with too many ways to come true. */
export function compileExpression(expression: Expression, compilation: Compilation, negated = false): LineTest {
  switch (expression.kind) {
    case 'not':
      return compileExpression(expression.term, compilation, !negated);
    case 'and':
    case 'or': {
      const tests = expression.terms.map((term) => compileExpression(term, compilation, negated));
      return (expression.kind === 'or') === negated
        ? (asked, line) => tests.every((test) => test(asked, line))
        : (asked, line) => tests.some((test) => test(asked, line));
    }
    case 'equal':
    case 'order':
    case 'in':
    case 'truth':
    case 'call':
      return compileLiteral({ atom: expression, negated }, compilation);
  }
}

export function compileLiteral(literal: Literal, compilation: Compilation): LineTest {
  const reading = readingOf(literal, compilation.reading);
  const test = compileAtom(literal.atom, reading, compilation);
  return literal.negated ? (asked, line) => !test(asked, line) : test;
}

function compileAtom(atom: Atom, reading: Reading, compilation: Compilation): LineTest {
  switch (atom.kind) {
    case 'equal':
      return compileEqual(atom.left, atom.right, reading, compilation);
    case 'order':
      return compileOrder(atom, reading, compilation);
    case 'in': {
      const tests = atom.list.map((member) => compileEqual(atom.value, member, reading, compilation));
      return (asked, line) => tests.some((test) => test(asked, line));
    }
    case 'truth': {
      const read = reader(atom.value, compilation);
      return reading === 'sure'
        ? (asked, line) => read(asked, line) === true
        : (asked, line) => read(asked, line) !== false;
    }
    case 'call':
      return compileCall(atom, reading, compilation);
  }
}

function compileEqual(left: Value, right: Value, reading: Reading, compilation: Compilation): LineTest {
  useTogether(left, right, compilation);
  const [readLeft, readRight] = [reader(left, compilation), reader(right, compilation)];
  if (reading === 'sure') {
    return (asked, line) => {
      const value = readLeft(asked, line);
      return value !== undefined && value === readRight(asked, line);
    };
  }
  return (asked, line) => {
    const value = readLeft(asked, line);
    const other = readRight(asked, line);
    return value === other || value === undefined || other === undefined || typeof value !== typeof other;
  };
}

/** A bare field is what it is compared with. */
function useTogether(left: Value, right: Value, { shape, source }: Compilation): void {
  for (const [value, other] of [
    [left, right],
    [right, left],
  ] as const) {
    if (value.kind !== 'request' || value.path.length > 0) continue;
    shape.use(value.field, other.kind === 'number' || other.kind === 'boolean' ? other.kind : 'text', source, value.at);
  }
}

const orders: Record<Order, (left: number, right: number) => boolean> = {
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};

function compileOrder(atom: Extract<Atom, { kind: 'order' }>, reading: Reading, compilation: Compilation): LineTest {
  const unknown = reading === 'possible';
  const holds = orders[atom.order];
  const [left, right] = [atom.left, atom.right].map((value) => numberReader(value, compilation));
  if (left === undefined || right === undefined) throw new Error('an order has two sides');
  return (asked, line) => {
    const value = left(asked, line);
    const other = right(asked, line);
    return value === undefined || other === undefined ? unknown : holds(value, other);
  };
}

function numberReader(value: Value, compilation: Compilation): (asked: Asked, line: number) => number | undefined {
  if (value.kind === 'policy') {
    const { column } = value;
    compilation.numericColumns.add(column);
    return (asked, line) => finite(Number(asked.lines.text(line, column)));
  }
  if (value.kind === 'request' && value.path.length === 0) {
    compilation.shape.use(value.field, 'number', compilation.source, value.at);
  }
  const read = reader(value, compilation);
  return (asked, line) => finite(read(asked, line));
}

const finite = (value: Scalar): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;

function compileCall(call: Extract<Atom, { kind: 'call' }>, reading: Reading, compilation: Compilation): LineTest {
  const { model, source } = compilation;
  if (model.roles.has(call.name)) return compileRole(call, reading, compilation);
  if (call.name === 'eval') return compileRule(call, reading, compilation);
  if (!isPatternFunction(call.name)) {
    const known = [...model.roles.keys(), ...patternFunctions, 'eval'].join(', ');
    throw matcherError(source, call.at, `unknown function ${call.name}; known here are ${known}`);
  }
  const [value, pattern] = call.values;
  if (value === undefined || pattern === undefined || call.values.length !== 2) {
    throw matcherError(source, call.at, `${call.name} takes a value and a pattern`);
  }
  if (pattern.kind !== 'policy' && pattern.kind !== 'text') {
    throw matcherError(source, pattern.at, 'a pattern comes from the policy, never from the request');
  }
  if (call.name === 'ipMatch' && value.kind !== 'request') {
    throw matcherError(source, value.at, 'the address comes from the request');
  }
  return compilePatternCall(
    { name: call.name, value, pattern, reading: reading === 'sure' ? 'exact' : 'wide' },
    reading,
    compilation,
  );
}

function compilePatternCall(call: PatternCall, reading: Reading, compilation: Compilation): LineTest {
  const { value, pattern } = call;
  const bare = value.kind === 'request' && value.path.length === 0;
  if (bare) {
    const use = call.name === 'ipMatch' ? 'address' : 'text';
    compilation.shape.use(value.field, use, compilation.source, value.at);
  }
  const read = reader(value, compilation);
  const unknown = reading === 'possible';
  // An address that is none is unknown; bare fields were looked at when the request came.
  const isKnown =
    call.name === 'ipMatch' && !bare
      ? (text: Scalar): text is string => typeof text === 'string' && readAddress(text) !== undefined
      : (text: Scalar): text is string => typeof text === 'string';
  if (pattern.kind === 'text') {
    const matches = compilation.pattern(call, pattern.text);
    return (asked, line) => {
      const text = read(asked, line);
      return isKnown(text) ? matches(text) : unknown;
    };
  }
  if (compilation.rules === undefined) {
    throw matcherError(compilation.source, pattern.at, 'a pattern inside a rule is a text in quotes');
  }
  const index = compilation.patterns.push(call) - 1;
  return (asked, line) => {
    const text = read(asked, line);
    return isKnown(text) ? asked.lines.pattern(line, index)(text) : unknown;
  };
}

function compileRule(call: Extract<Atom, { kind: 'call' }>, reading: Reading, compilation: Compilation): LineTest {
  const { source, rules } = compilation;
  const [rule] = call.values;
  if (rule?.kind !== 'policy' || call.values.length !== 1) {
    throw matcherError(
      source,
      call.at,
      'eval takes a column of p: the rule is part of the policy, never of the request',
    );
  }
  if (rules === undefined) throw matcherError(source, call.at, 'a rule holds no eval');
  const index = rules.push({ column: rule.column, reading }) - 1;
  return (asked, line) => {
    return asked.lines.rule(line, index)(asked, line);
  };
}

function compileRole(call: Extract<Atom, { kind: 'call' }>, reading: Reading, compilation: Compilation): LineTest {
  const { model, source, shape } = compilation;
  const arity = model.roles.get(call.name);
  if (call.values.length !== arity) {
    throw matcherError(
      source,
      call.at,
      `${call.name} is defined with ${arity} columns, this call has ${call.values.length}`,
    );
  }
  for (const value of call.values) {
    if (value.kind === 'request' && value.path.length === 0) shape.use(value.field, 'text', source, value.at);
  }
  const index = roleIndex(model, call.name);
  const [member, role] = call.values.map((value) => reader(value, compilation));
  const [memberNumber, roleNumber, domainNumber] = call.values.map((value) => textNumberReader(value, compilation));
  if (member === undefined || role === undefined || memberNumber === undefined || roleNumber === undefined) {
    throw new Error('a role call has at least two values');
  }
  const texts = call.values.map((value) => reader(value, compilation));
  const unknown = reading === 'possible';
  const bare = call.values.every((value) => value.kind !== 'request' || value.path.length === 0);
  const linked: LineTest = (asked, line) =>
    asked.lines.roles[index]?.linked(
      memberNumber(asked, line),
      roleNumber(asked, line),
      domainNumber === undefined ? NO_TEXT : domainNumber(asked, line),
    ) === true || member(asked, line) === role(asked, line);
  if (bare) return linked;
  return (asked, line) => (texts.some((read) => typeof read(asked, line) !== 'string') ? unknown : linked(asked, line));
}

export const roleIndex = (model: ModelFile, name: string): number => [...model.roles.keys()].indexOf(name);

/** The number of a value's text: of a row, of a field looked up before, or looked up now. */
export function textNumberReader(value: Value, compilation: Compilation): ReadNumber {
  switch (value.kind) {
    case 'policy': {
      const { column } = value;
      return (asked, line) => asked.lines.number(line, column);
    }
    case 'request': {
      const { field, path } = value;
      if (path.length === 0) {
        compilation.shape.lookUp(field);
        return (asked) => asked.numbers[field] ?? NO_TEXT;
      }
      const read = reader(value, compilation);
      return (asked, line) => {
        const text = read(asked, line);
        return typeof text === 'string' ? asked.lines.texts.numberOf(text) : NO_TEXT;
      };
    }
    case 'text': {
      const number = compilation.texts.add(value.text);
      return () => number;
    }
    case 'number':
    case 'boolean':
      throw new Error('the parser lets only texts be members and roles');
  }
}

function reader(value: Value, compilation: Compilation): Read {
  switch (value.kind) {
    case 'request': {
      const { field, path } = value;
      if (path.length === 0) return (asked) => scalar(asked.values[field]);
      compilation.shape.use(field, 'attributes', compilation.source, value.at);
      return (asked) => {
        const value = scalar(path.reduce<CasbinValue | undefined>(attributeOf, asked.values[field]));
        return typeof value !== 'string' || isPlain(value) ? value : undefined;
      };
    }
    case 'policy': {
      const { column } = value;
      return (asked, line) => asked.lines.text(line, column);
    }
    case 'text': {
      const { text } = value;
      return () => text;
    }
    case 'number': {
      const { number } = value;
      return () => number;
    }
    case 'boolean': {
      const { boolean } = value;
      return () => boolean;
    }
  }
}

function attributeOf(value: CasbinValue | undefined, name: string): CasbinValue | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name) ? (value as CasbinAttributes)[name] : undefined;
}

/** Unknown: what is missing, has parts, is no number or an empty text. */
function scalar(value: CasbinValue | undefined): Scalar {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return typeof value === 'boolean' ? value : typeof value === 'number' ? finite(value) : undefined;
}

/** Checks what the numeric readings assume of a line. */
export function numericColumn(text: string, line: number, file: string): void {
  if (/^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?$/.test(text)) return;
  throw engineErrors.error(
    'ENGINE_CASBIN_POLICY',
    `"${text}": expected a number, the matcher compares it with <, <=, > or >=`,
    {
      place: { file, line },
    },
  );
}
