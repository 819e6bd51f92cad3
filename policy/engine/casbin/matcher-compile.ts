// Turns the matcher into closures over a request and a policy line. Patterns are compiled once per line, roles are
// closed once; nothing is interpreted or generated as source when a request is judged.
import { engineErrors } from '../errors.ts';
import { parseMatcher, matcherError, type Expression, type Value } from './matcher-syntax.ts';
import type { ModelFile } from './model-file.ts';
import { compilePattern, isPatternFunction, patternFunctions, type Pattern } from './pattern.ts';
import type { PolicyFile, PolicyLine } from './policy-file.ts';
import type { RoleClosure } from './role-closure.ts';

export interface CompiledLine extends PolicyLine {
  /** The reading of each pattern call that this line's effect asks for, in the order of the calls. */
  readonly patterns: readonly ((value: string) => boolean)[];
}

export type LineTest = (request: readonly string[], line: CompiledLine) => boolean;

export interface CompiledMatcher {
  readonly expression: Expression;
  readonly test: LineTest;
  readonly lines: readonly CompiledLine[];
  /** Request fields that have to be IP addresses. */
  readonly addressFields: readonly number[];
}

type Reader = (request: readonly string[], line: CompiledLine) => string;

/** A call with a pattern: which function, where the pattern comes from, and whether a match helps the line to match. */
interface PatternCall {
  readonly name: string;
  readonly pattern: Value;
  readonly positive: boolean;
}

interface Compilation {
  readonly model: ModelFile;
  readonly roles: ReadonlyMap<string, RoleClosure>;
  readonly calls: PatternCall[];
  readonly addressFields: Set<number>;
}

export function compileMatcher(
  model: ModelFile,
  policy: PolicyFile,
  roles: ReadonlyMap<string, RoleClosure>,
  policyFile: string,
): CompiledMatcher {
  const expression = parseMatcher(model);
  if (!readsPolicy(expression)) {
    throw matcherError(
      model.matcher,
      0,
      'the matcher never looks at p, so no line of the policy could decide anything',
    );
  }
  const compilation: Compilation = { model, roles, calls: [], addressFields: new Set() };
  const test = compile(expression, true, compilation);
  const cache = new Map<string, Pattern>();
  const lines = policy.lines.map((line) => ({
    ...line,
    patterns: compilation.calls.map((call) => linePattern(call, line, cache, model, policyFile)),
  }));
  return { expression, test, lines, addressFields: [...compilation.addressFields] };
}

function linePattern(
  call: PatternCall,
  line: PolicyLine,
  cache: Map<string, Pattern>,
  model: ModelFile,
  policyFile: string,
): (value: string) => boolean {
  const { name, pattern: source } = call;
  const text =
    source.kind === 'policy' ? (line.values[source.column] ?? '') : source.kind === 'text' ? source.text : '';
  // Function names hold no colon, so the key is unambiguous.
  const key = `${name}:${text}`;
  let pattern = cache.get(key);
  if (pattern === undefined) {
    pattern = compilePattern(name, text, (message) =>
      source.kind === 'policy'
        ? engineErrors.error('ENGINE_CASBIN_POLICY', message, { place: { file: policyFile, line: line.line } })
        : matcherError(model.matcher, source.at, message),
    );
    cache.set(key, pattern);
  }
  return call.positive === line.allow ? pattern.exact : pattern.wide;
}

function compile(expression: Expression, positive: boolean, compilation: Compilation): LineTest {
  switch (expression.kind) {
    case 'and': {
      const tests = expression.terms.map((term) => compile(term, positive, compilation));
      return (request, line) => tests.every((test) => test(request, line));
    }
    case 'or': {
      const tests = expression.terms.map((term) => compile(term, positive, compilation));
      return (request, line) => tests.some((test) => test(request, line));
    }
    case 'not': {
      const test = compile(expression.term, !positive, compilation);
      return (request, line) => !test(request, line);
    }
    case 'equal': {
      const { left, right } = expression;
      if (left.kind === 'number' && right.kind === 'number') {
        const equal = left.number === right.number;
        return () => equal;
      }
      const [readLeft, readRight] = [reader(left), reader(right)];
      return (request, line) => readLeft(request, line) === readRight(request, line);
    }
    case 'in': {
      const read = reader(expression.value);
      const members = expression.list.map(reader);
      return (request, line) => {
        const value = read(request, line);
        return members.some((member) => member(request, line) === value);
      };
    }
    case 'call':
      return compileCall(expression, positive, compilation);
  }
}

function compileCall(
  call: Extract<Expression, { kind: 'call' }>,
  positive: boolean,
  compilation: Compilation,
): LineTest {
  const { model } = compilation;
  const arity = model.roles.get(call.name);
  if (arity !== undefined) return compileRole(call, arity, compilation);
  if (!isPatternFunction(call.name)) {
    const known = [...model.roles.keys(), ...patternFunctions].join(', ');
    throw matcherError(model.matcher, call.at, `unknown function ${call.name}; known here are ${known}`);
  }
  const [value, pattern] = call.values;
  if (value === undefined || pattern === undefined || call.values.length !== 2) {
    throw matcherError(model.matcher, call.at, `${call.name} takes a value and a pattern`);
  }
  if (pattern.kind === 'request') {
    throw matcherError(model.matcher, pattern.at, 'a pattern comes from the policy, never from the request');
  }
  if (call.name === 'ipMatch') {
    if (value.kind !== 'request') throw matcherError(model.matcher, value.at, 'the address comes from the request');
    compilation.addressFields.add(value.field);
  }
  const index = compilation.calls.push({ name: call.name, pattern, positive }) - 1;
  const read = reader(value);
  return (request, line) => line.patterns[index]?.(read(request, line)) === true;
}

function compileRole(call: Extract<Expression, { kind: 'call' }>, arity: number, compilation: Compilation): LineTest {
  const { model } = compilation;
  if (call.values.length !== arity) {
    throw matcherError(
      model.matcher,
      call.at,
      `${call.name} is defined with ${arity} columns, this call has ${call.values.length}`,
    );
  }
  const closure = compilation.roles.get(call.name);
  if (closure === undefined) throw new Error(`role ${call.name} is not closed`);
  const [member, role, domain] = call.values.map(reader);
  if (member === undefined || role === undefined) throw new Error('a role call has at least two values');
  if (domain === undefined) return (request, line) => closure.linked(member(request, line), role(request, line), '');
  return (request, line) => closure.linked(member(request, line), role(request, line), domain(request, line));
}

function reader(value: Value): Reader {
  switch (value.kind) {
    case 'request': {
      const { field } = value;
      return (request) => present(request[field]);
    }
    case 'policy': {
      const { column } = value;
      return (_request, line) => present(line.values[column]);
    }
    case 'text': {
      const { text } = value;
      return () => text;
    }
    case 'number':
      break;
  }
  throw new Error('the parser lets numbers stand only beside numbers');
}

/** Lengths are checked where requests and lines come in; a hole here would be our own fault, never an equal value. */
function present(value: string | undefined): string {
  if (value === undefined) throw new Error('a value is missing');
  return value;
}

function readsPolicy(expression: Expression): boolean {
  const isPolicy = (value: Value): boolean => value.kind === 'policy';
  switch (expression.kind) {
    case 'and':
    case 'or':
      return expression.terms.some(readsPolicy);
    case 'not':
      return readsPolicy(expression.term);
    case 'equal':
      return isPolicy(expression.left) || isPolicy(expression.right);
    case 'in':
      return isPolicy(expression.value) || expression.list.some(isPolicy);
    case 'call':
      return expression.values.some(isPolicy);
  }
}
