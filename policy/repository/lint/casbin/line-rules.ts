// Faults of single lines of policy.csv: type, columns, effect, quotes.
import { MAX_CASBIN_COLUMN_LENGTH, MAX_CASBIN_LINES } from '../../../engine/limits.ts';
import { nearest } from '../../nearest.ts';
import type { Report } from '../../problems.ts';
import { isErrorRule } from '../../rules.ts';
import type { ModelShape } from './model-rules.ts';
import type { ScannedLine, ScannedValue } from './policy-scan.ts';

/** Reports every fault; gives the lines without an error. */
export function lintLines(
  lines: readonly ScannedLine[],
  shape: ModelShape,
  file: string,
  problems: Report,
): ScannedLine[] {
  const last = lines.at(-1);
  if (last !== undefined && last.line > MAX_CASBIN_LINES) {
    problems.add('CASBIN_REFUSED', last.place, `more than ${MAX_CASBIN_LINES} lines`);
    return [];
  }
  if (!lines.some(({ kind }) => kind === 'p')) {
    problems.add('CASBIN_POLICY_EMPTY', { file }, 'the policy has no p line');
  }
  return lines.filter((line) => {
    const faults = [...faultsOf(line, shape)];
    for (const [rule, { place, text }] of faults) problems.add(rule, place, text);
    return !faults.some(([rule]) => isErrorRule(rule));
  });
}

type Fault = readonly [Parameters<Report['add']>[0], ScannedValue];

function* faultsOf(line: ScannedLine, shape: ModelShape): Iterable<Fault> {
  if (line.quote !== undefined) {
    yield ['CASBIN_QUOTE', line.quote];
    return;
  }
  for (const value of line.values) {
    const wrong = textFault(value.text);
    if (wrong !== undefined) yield [wrong.rule, { place: value.place, text: wrong.message }];
  }
  for (const { text, place } of line.values) {
    if (text.includes('$$')) yield ['CASBIN_CACHE_KEY', { place, text: `"${text}" holds $$` }];
  }
  const expected = expectedColumns(line, shape);
  if (expected === 'unknown-type') {
    const known = ['p', ...shape.roles.keys()];
    const near = nearest(line.kind, known);
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    const text = `unknown line type "${line.kind}": the model defines ${known.join(', ')}${hint}`;
    yield ['CASBIN_LINE_TYPE', { place: line.place, text }];
    return;
  }
  if (expected === undefined) return;
  if (line.values.length !== expected.count) {
    const text = `${line.kind} has ${expected.count} columns in the model${expected.names}, this line has ${line.values.length}`;
    yield ['CASBIN_COLUMN_COUNT', { place: line.place, text }];
  }
  if (line.kind !== 'p') return;
  const priority = line.values[shape.policy?.indexOf('priority') ?? -1];
  if (priority !== undefined && !/^(0|-?[1-9][0-9]{0,8})$/.test(priority.text)) {
    yield ['CASBIN_PRIORITY', { place: priority.place, text: `priority "${priority.text}": expected a whole number` }];
  }
  const effect = line.values[shape.policy?.indexOf('eft') ?? -1];
  if (effect !== undefined && effect.text !== 'allow' && effect.text !== 'deny') {
    yield ['CASBIN_EFFECT_TYPO', { place: effect.place, text: `effect "${effect.text}": expected allow or deny` }];
  }
}

function expectedColumns(
  { kind }: ScannedLine,
  { policy, roles, rolesComplete }: ModelShape,
): { count: number; names: string } | 'unknown-type' | undefined {
  if (kind === 'p')
    return policy === undefined ? undefined : { count: policy.length, names: ` (${policy.join(', ')})` };
  const arity = roles.get(kind);
  if (arity !== undefined) return { count: arity, names: '' };
  return rolesComplete ? 'unknown-type' : undefined;
}

function textFault(text: string): { rule: Fault[0]; message: string } | undefined {
  if (text === '') return { rule: 'CASBIN_COLUMN_EMPTY', message: 'an empty column' };
  const wrong = (message: string) => ({ rule: 'CASBIN_COLUMN_TEXT', message }) as const;
  if (text.length > MAX_CASBIN_COLUMN_LENGTH)
    return wrong(`a column is longer than ${MAX_CASBIN_COLUMN_LENGTH} characters`);
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text)) return wrong('a control character');
  const count = (character: string): number => text.split(character).length;
  if (count('(') !== count(')'))
    return wrong('round brackets do not pair up: node-casbin would join this column with the next');
  if (/\s#/.test(text)) return { rule: 'CASBIN_COMMENT_INLINE', message: `"${text}": only whole lines are comments` };
  return undefined;
}

/** Lines whose effect the model never looks at. */
export function lintIgnoredEffects(lines: readonly ScannedLine[], shape: ModelShape, problems: Report): void {
  const effect = shape.model?.effect;
  const column = shape.policy?.indexOf('eft') ?? -1;
  if (effect === 'deny-override') {
    const place = shape.definition('e')?.placeAt(0);
    if (place !== undefined) problems.add('CASBIN_DEFAULT_ALLOW', place, 'whatever no line denies is allowed');
  }
  if (column === -1) return;
  for (const { kind, values } of lines) {
    const value = kind === 'p' ? values[column] : undefined;
    if (value === undefined) continue;
    if (effect === 'allow-override' && value.text === 'deny') {
      problems.add('CASBIN_DENY_IGNORED', value.place, 'the effect of the model never looks at deny');
    }
    if (effect === 'deny-override' && value.text === 'allow') {
      problems.add('CASBIN_ALLOW_IGNORED', value.place, 'the effect of the model never looks at allow');
    }
  }
}
