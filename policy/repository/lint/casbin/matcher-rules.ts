// Faults and dangerous shapes of the matcher.
import { CodedError } from '../../../../runtime/errors.ts';
import { parseMatcher, valuesOf, type Expression, type Value } from '../../../engine/casbin/matcher-syntax.ts';
import type { ModelFile } from '../../../engine/casbin/model-file.ts';
import { isPatternFunction, patternFunctions } from '../../../engine/casbin/pattern.ts';
import { nearest } from '../../nearest.ts';
import type { Report } from '../../problems.ts';
import { columnsOf, termsOf, wholeField } from './matcher-terms.ts';
import { lintLiteralPatterns } from './column-rules.ts';
import type { ModelShape } from './model-rules.ts';
import { lintAttributes } from './attribute-rules.ts';
import type { Attributes } from '../../repository.ts';

/** The parsed matcher, or undefined where it is not one (reported). `compiles`: the engine takes the model alone. */
export function lintMatcher(
  shape: ModelShape,
  compiles: boolean,
  attributes: Attributes,
  problems: Report,
): Expression | undefined {
  const { model } = shape;
  if (model === undefined) return undefined;
  lintPrecedence(model, problems);
  const unknownNames = lintNames(model, problems);
  const expression = parse(model, unknownNames, problems);
  if (expression === undefined || unknownNames) return undefined;
  if (!readsPolicy(expression)) {
    const message = 'the matcher never looks at p, so no line could decide anything';
    problems.add('CASBIN_MATCHER_IGNORES_POLICY', model.matcher.placeAt(0), message);
    return undefined;
  }
  if (!compiles) {
    lintCalls(expression, model, problems);
    lintLiteralPatterns(expression, model, problems);
    return undefined;
  }
  lintShapes(expression, model, problems);
  lintUnread(expression, shape, model, problems);
  lintAttributes(expression, model, attributes, model.matcher.placeAt, problems);
  return expression;
}

function parse(model: ModelFile, reported: boolean, problems: Report): Expression | undefined {
  try {
    return parseMatcher(model);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    if (!reported) problems.add('CASBIN_MATCHER_SYNTAX', error.place ?? model.matcher.placeAt(0), error.message);
    return undefined;
  }
}

/** Every unknown field and function by its own place; the parser would stop at the first. */
function lintNames({ matcher, request, policy, roles }: ModelFile, problems: Report): boolean {
  const text = withoutTexts(matcher.text);
  let found = false;
  for (const match of text.matchAll(/\b([rp])\s*\.\s*([A-Za-z_]\w*)/g)) {
    const [, side = '', name = ''] = match;
    const known = side === 'r' ? request : policy;
    if (known.includes(name)) continue;
    found = true;
    const near = nearest(name, known);
    const hint = near === undefined ? '' : `; did you mean ${side}.${near}?`;
    const place = matcher.placeAt(match.index + match[0].length - name.length);
    problems.add('CASBIN_MATCHER_FIELD', place, `${side} has no field ${name} (${known.join(', ')})${hint}`);
  }
  for (const match of text.matchAll(/(?<![\w.])([A-Za-z_]\w*)\s*\(/g)) {
    const [, name = ''] = match;
    if (name === 'in' || name === 'eval' || roles.has(name) || isPatternFunction(name)) continue;
    found = true;
    const known = [...roles.keys(), ...patternFunctions];
    const near = nearest(name, known);
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    const message = `unknown function ${name}; known here are ${known.join(', ')}${hint}`;
    problems.add('CASBIN_MATCHER_FUNCTION', matcher.placeAt(match.index), message);
  }
  return found;
}

/** Quoted texts blanked out, so that offsets stay. */
function withoutTexts(text: string): string {
  return text.replaceAll(/"[^"]*"|'[^']*'/g, (quoted) => `"${' '.repeat(quoted.length - 2)}"`);
}

/** Every call that does not compile; what none of these is remains CASBIN_REFUSED (../casbin.ts). */
function lintCalls(expression: Expression, model: ModelFile, problems: Report): void {
  for (const { term } of termsOf(expression)) {
    if (term.kind !== 'call') continue;
    const wrong = (at: number, message: string): void => {
      problems.add('CASBIN_MATCHER_CALL', model.matcher.placeAt(at), message);
    };
    const { name, values, at } = term;
    const arity = model.roles.get(name);
    const [value, pattern] = values;
    if (arity !== undefined) {
      if (values.length !== arity)
        wrong(at, `${name} is defined with ${arity} columns, this call has ${values.length}`);
    } else if (value === undefined || pattern === undefined || values.length !== 2) {
      wrong(at, `${name} takes a value and a pattern`);
    } else if (pattern.kind === 'request') {
      wrong(pattern.at, `${name}: a pattern comes from the policy, never from the request; the value stands first`);
    } else if (name === 'ipMatch' && value.kind !== 'request') {
      wrong(value.at, 'the address comes from the request');
    }
  }
}

function readsPolicy(expression: Expression): boolean {
  return termsOf(expression).some(({ term }) => columnsOf(term).length > 0);
}

/** `a && b || c` at one depth of brackets, which && decides before ||. */
function lintPrecedence({ matcher }: ModelFile, problems: Report): void {
  const marks: { and: boolean; or: number | undefined }[] = [{ and: false, or: undefined }];
  const report = (): void => {
    const level = marks.pop();
    if (level === undefined || !level.and || level.or === undefined) return;
    const message = '&& and || without brackets: && is decided first';
    problems.add('CASBIN_MATCHER_PRECEDENCE', matcher.placeAt(level.or), message);
  };
  for (const match of withoutTexts(matcher.text).matchAll(/[()]|&&|\|\|/g)) {
    const level = marks.at(-1);
    if (match[0] === '(') marks.push({ and: false, or: undefined });
    else if (match[0] === ')') report();
    else if (level !== undefined && match[0] === '&&') level.and = true;
    else if (level !== undefined) level.or ??= match.index;
  }
  while (marks.length > 0) report();
}

function lintShapes(expression: Expression, model: ModelFile, problems: Report): void {
  const place = (values: readonly Value[]) => model.matcher.placeAt(values[0]?.at ?? 0);
  const allowsByLine = model.effect !== 'deny-override';
  for (const { term, positive } of termsOf(expression)) {
    const values = valuesOf(term);
    if (isConstant(values)) {
      problems.add('CASBIN_MATCHER_CONSTANT', place(values), 'the answer of this comparison never changes');
    }
    const crossed = crossing(values, model);
    if (crossed !== undefined) problems.add('CASBIN_MATCHER_CROSSED', place(values), crossed);
    if (!positive && allowsByLine && columnsOf(term).length > 0) {
      const what = term.kind === 'call' ? term.name : 'an unequal value';
      const message = `a negated match (${what}): an allow line opens everything but what it names`;
      problems.add('CASBIN_MATCHER_NEGATION', place(values), message);
    }
  }
  lintBypass(expression, model, problems);
}

export function isConstant(values: readonly Value[]): boolean {
  const [first, ...rest] = values;
  if (first === undefined) return false;
  if (values.every((value) => value.kind !== 'request' && value.kind !== 'policy')) return true;
  const same = (value: Value): boolean =>
    (wholeField(value) !== undefined && wholeField(value) === wholeField(first)) ||
    (value.kind === 'policy' && first.kind === 'policy' && value.column === first.column);
  return rest.length > 0 && rest.every(same);
}

/** `r.obj == p.act` where r has act and p has obj. */
function crossing(values: readonly Value[], model: ModelFile): string | undefined {
  const [left, right] = values;
  const whole = wholeField(left) ?? wholeField(right);
  const column = [left, right].find((value) => value?.kind === 'policy');
  if (whole === undefined || column?.kind !== 'policy') return undefined;
  const field = model.request[whole] ?? '';
  const other = model.policy[column.column] ?? '';
  if (field === other || !model.policy.includes(field) || !model.request.includes(other)) return undefined;
  return `r.${field} is compared with p.${other}, and p has a column ${field}`;
}

/** A branch of || that never looks at p, beside one that does. */
function lintBypass(expression: Expression, model: ModelFile, problems: Report): void {
  if (expression.kind === 'not') lintBypass(expression.term, model, problems);
  if (expression.kind !== 'or' && expression.kind !== 'and') return;
  for (const branch of expression.terms) {
    const first = termsOf(branch)[0];
    const bypasses = expression.kind === 'or' && !readsPolicy(branch);
    if (!bypasses) lintBypass(branch, model, problems);
    else if (first !== undefined && !isConstant(valuesOf(first.term))) {
      const place = model.matcher.placeAt(valuesOf(first.term)[0]?.at ?? 0);
      problems.add('CASBIN_MATCHER_BYPASS', place, 'this branch holds for every line, whatever the line says');
    }
  }
}

/** Fields, columns and roles that the matcher never reads. */
function lintUnread(expression: Expression, shape: ModelShape, model: ModelFile, problems: Report): void {
  const terms = termsOf(expression).map(({ term }) => term);
  const values = terms.flatMap(valuesOf);
  const fields = new Set(values.flatMap((value) => (value.kind === 'request' ? [value.field] : [])));
  const columns = new Set(terms.flatMap(columnsOf));
  const placeOf = (key: string, index: number) => {
    const definition = shape.definition(key);
    const parts = definition?.text.split(',') ?? [];
    const before = parts.slice(0, index).reduce((length, part) => length + part.length + 1, 0);
    return definition?.placeAt(before + Math.max(0, parts[index]?.search(/\S/) ?? 0)) ?? model.matcher.placeAt(0);
  };
  // What the rules of an eval read is only in the lines.
  const evaluates = terms.some((term) => term.kind === 'call' && term.name === 'eval');
  for (const [index, name] of model.request.entries()) {
    if (fields.has(index) || evaluates) continue;
    problems.add('CASBIN_REQUEST_FIELD_UNUSED', placeOf('r', index), `the matcher never reads r.${name}`);
  }
  for (const [index, name] of model.policy.entries()) {
    if (columns.has(index) || name === 'eft' || index === model.priority) continue;
    problems.add('CASBIN_POLICY_COLUMN_UNUSED', placeOf('p', index), `the matcher never reads p.${name}`);
  }
  const called = new Set(terms.flatMap((term) => (term.kind === 'call' ? [term.name] : [])));
  for (const [name, definition] of shape.roleDefinitions) {
    if (called.has(name)) continue;
    problems.add('CASBIN_ROLE_UNUSED', definition.place, `the matcher never calls ${name}`);
  }
}
