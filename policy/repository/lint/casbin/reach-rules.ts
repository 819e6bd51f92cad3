// Lines that no request of the inventory can match. Only what has to hold for a match is looked at (the terms of the
// top-level "and"), and a term that is not understood counts as one that can hold.
import { compilePattern, isPatternFunction } from '../../../engine/casbin/pattern.ts';
import type { Expression } from '../../../engine/casbin/matcher-syntax.ts';
import type { ModelFile } from '../../../engine/casbin/model-file.ts';
import type { Report } from '../../problems.ts';
import type { Repository } from '../../repository.ts';
import { MAX_LINT_COMPARISONS } from '../../../limits.ts';
import { conjuncts, wholeField } from './matcher-terms.ts';
import type { ScannedLine } from './policy-scan.ts';
import { canBeObject, canStartWith, objectsOf, questionsOf, type Question } from './questions.ts';
import type { RoleGraph } from './role-graph.ts';

export interface ReachInput {
  /** Folder of the model. */
  readonly name: string;
  readonly model: ModelFile;
  readonly lines: readonly ScannedLine[];
  readonly expression: Expression;
  readonly roles: ReadonlyMap<string, RoleGraph>;
  readonly repository: Repository;
}

/** A test that a request has to pass: which column it reads and whether some request of a question could pass. */
interface Need {
  readonly column: number;
  readonly field: 'sub' | 'dom' | 'obj' | 'act';
  readonly canHold: (question: Question, value: string, allow: boolean) => boolean;
  /** Role look-ups that fail for the whole inventory are reported as CASBIN_ROLE_UNHELD. */
  readonly isRole: boolean;
}

/** Over a model and policy that compile. */
export function lintReach(input: ReachInput, problems: Report): void {
  const { model, repository, name } = input;
  const lines = input.lines.filter(({ kind }) => kind === 'p');
  const questions = questionsOf(name, repository);
  const needs = conjuncts(input.expression).flatMap((term) => needOf(term, input));
  // Without the last line the whole policy would mean something else.
  if (questions.length === 0 || needs.length === 0 || lines.length < 2) return;
  if (lines.length * questions.length * needs.length > MAX_LINT_COMPARISONS) {
    const place = lines[0]?.place ?? { file: name };
    const message = `${lines.length} lines and ${questions.length} granted operations were not compared`;
    problems.add('CASBIN_ANALYSIS_CUT', { file: place.file }, message);
    return;
  }
  const effect = model.policy.indexOf('eft');
  for (const line of lines) {
    const allow = effect === -1 || line.values[effect]?.text !== 'deny';
    const holds = (need: Need, question: Question): boolean =>
      need.canHold(question, line.values[need.column]?.text ?? '', allow);
    if (questions.some((question) => needs.every((need) => holds(need, question)))) continue;
    const never = needs.filter((need) => !questions.some((question) => holds(need, question)));
    report(line, never, questions, problems);
  }
}

function report(line: ScannedLine, never: readonly Need[], questions: readonly Question[], problems: Report): void {
  const [first] = never;
  if (first === undefined) {
    problems.add('CASBIN_LINE_UNREACHABLE', line.place, 'no granted operation has all that this line asks for at once');
    return;
  }
  if (never.every(({ isRole }) => isRole)) return;
  const need = never.find(({ isRole }) => !isRole) ?? first;
  const value = line.values[need.column];
  if (value === undefined) return;
  const cased =
    need.field === 'obj'
      ? undefined
      : questions
          .flatMap((question) => [...question[need.field as 'sub' | 'dom' | 'act']])
          .find((known) => known !== value.text && known.toLowerCase() === value.text.toLowerCase());
  if (cased !== undefined)
    problems.add('CASBIN_VALUE_CASE', value.place, `${value.text} is written ${cased} elsewhere`);
  else {
    const message = `no granted request of an interface with this model has ${need.field} ${value.text}`;
    problems.add('CASBIN_LINE_UNREACHABLE', value.place, message);
  }
}

function needOf(term: Expression, { model, roles }: ReachInput): Need[] {
  const fieldName = (index: number | undefined): Need['field'] | undefined => {
    const name = model.request[index ?? -1];
    return name === 'sub' || name === 'dom' || name === 'obj' || name === 'act' ? name : undefined;
  };
  if (term.kind === 'equal') {
    const { left, right } = term;
    const field = fieldName(wholeField(left) ?? wholeField(right));
    const policy = left.kind === 'policy' ? left : right;
    if (field === undefined || policy.kind !== 'policy') return [];
    const canHold: Need['canHold'] = (question, value) =>
      field === 'obj' ? canBeObject(question, value) : question[field].has(value);
    return [{ column: policy.column, field, canHold, isRole: false }];
  }
  if (term.kind !== 'call') return [];
  const [value, pattern, domain] = term.values;
  const field = fieldName(wholeField(value));
  if (field === undefined || pattern?.kind !== 'policy') return [];
  const graph = roles.get(term.name);
  if (graph !== undefined) {
    if (field === 'obj' || domain !== undefined) return [];
    const held = new WeakMap<Question, ReadonlySet<string>>();
    const canHold: Need['canHold'] = (question, role) => {
      let names = held.get(question);
      if (names === undefined) held.set(question, (names = holders(question[field], graph)));
      return names.has(role);
    };
    return [{ column: pattern.column, field, canHold, isRole: true }];
  }
  if (!isPatternFunction(term.name)) return [];
  const match = patternTest(term.name);
  const canHold: Need['canHold'] = (question, text, allow) => {
    const values = field === 'obj' ? objectsOf(question) : question[field];
    if (values !== undefined) return [...values].some((candidate) => match(text, candidate, allow));
    if (term.name !== 'keyMatch') return true;
    return text.endsWith('*') ? canStartWith(question, text.slice(0, -1)) : canBeObject(question, text);
  };
  return [{ column: pattern.column, field, canHold, isRole: false }];
}

/** Every name that one of the members is or has. */
function holders(members: ReadonlySet<string>, graph: RoleGraph): ReadonlySet<string> {
  return new Set([...members].flatMap((member) => [member, ...graph.rolesOf(member, '').keys()]));
}

function patternTest(name: string): (pattern: string, value: string, allow: boolean) => boolean {
  const compiled = new Map<string, ReturnType<typeof compilePattern>>();
  return (pattern, value, allow) => {
    let found = compiled.get(pattern);
    if (found === undefined)
      compiled.set(pattern, (found = compilePattern(name, pattern, (message) => new Error(message))));
    return allow ? found.exact(value) : found.wide(value);
  };
}
