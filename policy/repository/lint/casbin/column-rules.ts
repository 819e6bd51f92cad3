// The columns of the lines, each as what the matcher makes of it: a pattern of some function, or text.
import { CodedError, type Place } from '../../../../runtime/errors.ts';
import { parseExpression, valuesOf, type Expression } from '../../../engine/casbin/matcher-syntax.ts';
import type { ModelFile } from '../../../engine/casbin/model-file.ts';
import { isPatternFunction } from '../../../engine/casbin/pattern.ts';
import type { Report } from '../../problems.ts';
import { lintAttributes } from './attribute-rules.ts';
import type { Attributes } from '../../repository.ts';
import { isConstant } from './matcher-rules.ts';
import { columnsOf, termsOf } from './matcher-terms.ts';
import { looksLikePattern, patternFindings } from './pattern-rules.ts';
import type { ScannedLine, ScannedValue } from './policy-scan.ts';

export function lintColumns(
  lines: readonly ScannedLine[],
  expression: Expression,
  model: ModelFile,
  attributes: Attributes,
  problems: Report,
): void {
  const patterns = patternColumns(expression);
  const effect = model.policy.indexOf('eft');
  const compared = comparedColumns(expression);
  const rules = new Set(
    termsOf(expression).flatMap(({ term }) => (term.kind === 'call' && term.name === 'eval' ? columnsOf(term) : [])),
  );
  lintLiteralPatterns(expression, model, problems);
  for (const { kind, values } of lines) {
    if (kind !== 'p') continue;
    const allow = effect === -1 || values[effect]?.text !== 'deny';
    for (const { column, name, positive } of patterns) {
      const value = values[column];
      if (value === undefined) continue;
      for (const { rule, message } of patternFindings(name, value.text, allow && positive)) {
        problems.add(rule, value.place, message);
      }
    }
    for (const column of rules) {
      const value = values[column];
      if (value !== undefined) lintRule(value, model, attributes, problems);
    }
    for (const column of compared) {
      const value = values[column];
      if (value === undefined || !looksLikePattern(value.text)) continue;
      const message = `"${value.text}" is compared with ==, where a wildcard is plain text`;
      problems.add('CASBIN_WILDCARD_LITERAL', value.place, message);
    }
  }
}

/** A rule that eval finds in a column: the matcher's language, and the commonest of its faults. */
function lintRule(
  { text, place, quotes = 0 }: ScannedValue,
  model: ModelFile,
  attributes: Attributes,
  problems: Report,
): void {
  const placeAt = (offset: number): Place => ({ ...place, column: (place.column ?? 1) + quotes + offset });
  try {
    const expression = parseExpression(model, { text, placeAt });
    lintAttributes(expression, model, attributes, placeAt, problems);
    for (const { term } of termsOf(expression)) {
      if (!isConstant(valuesOf(term))) continue;
      problems.add('CASBIN_MATCHER_CONSTANT', place, 'the answer of this comparison never changes');
    }
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    problems.add('CASBIN_RULE', error.place ?? place, error.message);
  }
}

function patternColumns(expression: Expression): { column: number; name: string; positive: boolean }[] {
  const seen = new Set<string>();
  return termsOf(expression).flatMap(({ term, positive }) => {
    const pattern = term.kind === 'call' ? term.values[1] : undefined;
    if (term.kind !== 'call' || !isPatternFunction(term.name)) return [];
    if (pattern?.kind !== 'policy' || seen.has(`${term.name} ${pattern.column}`)) return [];
    seen.add(`${term.name} ${pattern.column}`);
    return [{ column: pattern.column, name: term.name, positive }];
  });
}

/** Columns that are only ever compared as text or looked up as a role. */
function comparedColumns(expression: Expression): number[] {
  const terms = termsOf(expression).map(({ term }) => term);
  const matched = new Set(
    terms.flatMap((term) =>
      term.kind === 'call' && (isPatternFunction(term.name) || term.name === 'eval') ? columnsOf(term) : [],
    ),
  );
  return [...new Set(terms.flatMap(columnsOf))].filter((column) => !matched.has(column));
}

/** Patterns written in the matcher itself. */
export function lintLiteralPatterns(expression: Expression, { matcher }: ModelFile, problems: Report): void {
  for (const { term, positive } of termsOf(expression)) {
    if (term.kind !== 'call') continue;
    const pattern = term.values[1];
    if (pattern?.kind !== 'text') continue;
    for (const { rule, message } of patternFindings(term.name, pattern.text, positive)) {
      problems.add(rule, matcher.placeAt(pattern.at), message);
    }
  }
}
