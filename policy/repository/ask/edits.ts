// The closed list of changes that `policy explain` looks among for the smallest that flips an answer: of the request,
// and of the policy. Each is one step that a person can take.
import type { Slice } from '../../bundle/slice.ts';
import { casbinFields, casbinRequests } from '../../engine/casbin-request.ts';
import { asNormalised } from '../../engine/path-profile.ts';
import { MAX_CASBIN_EDITS } from '../../limits.ts';
import { placeText, type Deny, type Grant, type Interface, type Repository } from '../repository.ts';
import { casbinLines, definition, withoutLine } from './casbin-lines.ts';
import { defaultBinding, describeOperation, durationText, requestOf, whenOf, type Question } from './question.ts';
import { operationsFor, type Space } from './space.ts';
import { bindings, factValues, freshnesses, stateOrder } from './surroundings.ts';

export interface Edit {
  readonly side: 'request' | 'policy';
  /** In words, as a thing to do. */
  readonly what: string;
  /** `file:line` of what the policy would change; empty for a request. */
  readonly place: string;
  /** Two edits of one aspect exclude each other. */
  readonly aspect: string;
  readonly request: (question: Question) => Question;
  readonly policy: (repository: Repository) => Repository;
}

const same = <T>(value: T): T => value;

export function requestEdits(question: Question, slice: Slice, space: Space): Edit[] {
  const { given, when } = question;
  const rules = [...slice.grants, ...slice.denies].filter(
    (rule) => rule.interface === when.interface && rule.device === when.device,
  );
  const ends = slice.interfaces.flatMap((entry) => entry.observeUntil ?? []);
  const values = factValues(rules, slice.attributes ?? [], given.time, ends);
  const edit = (aspect: string, what: string, changed: Partial<Question['given']>): Edit => ({
    side: 'request',
    what,
    place: '',
    aspect,
    request: (asked) => ({ ...asked, given: { ...asked.given, ...changed } }),
    policy: same,
  });
  const others = <T>(all: readonly T[], current: T): T[] => all.filter((value) => value !== current);
  const attributes = [...new Set(values.attributes.flatMap((set) => Object.keys(set)))].flatMap((name) => {
    const known = new Map(values.attributes.map((set) => [JSON.stringify(set[name]), set[name]]));
    return [...known.values()].map((value): Edit => ({
      ...edit(name, value === undefined ? `${name} is missing` : `${name} is ${JSON.stringify(value)}`, {}),
      request: (asked) => {
        const { [name]: _, ...rest } = asked.given.attributes;
        const changed = value === undefined ? rest : { ...rest, [name]: value };
        return { ...asked, given: { ...asked.given, attributes: changed } };
      },
    }));
  });
  return [
    ...others(stateOrder, given.state).map((state) => edit('state', `the state is ${state}`, { state })),
    ...others(freshnesses, given.freshness).map((freshness) =>
      edit('freshness', `the policy on the edge is ${freshness}`, { freshness }),
    ),
    ...others(bindings, given.binding ?? defaultBinding(when)).map((binding) =>
      edit('binding', `the binding is ${binding}`, { binding }),
    ),
    edit('reduced', given.reduced ? 'the device is not reduced' : 'the device is reduced', { reduced: !given.reduced }),
    ...others(values.attestation, given.attestation).map((attestation) =>
      edit('attestation', `the attestation is ${attestation}`, { attestation }),
    ),
    ...others(values.attestedAgo, given.attestedAgo).map((attestedAgo) =>
      edit('age', `the attestation is ${durationText(attestedAgo)} old`, { attestedAgo }),
    ),
    ...others(values.risk, given.risk).map((risk) => edit('risk', `the risk is ${risk}`, { risk })),
    ...others(values.time, given.time).map((time) =>
      edit('time', `the time is ${new Date(time).toISOString().replace('.000Z', 'Z')}`, { time }),
    ),
    ...attributes,
    ...operationsFor(space, given.subject).map((operation): Edit => {
      const changed = whenOf(when.interface, when.device, operation);
      return {
        ...edit('operation', `it asks for ${describeOperation(changed)}`, {}),
        request: (asked) => ({ ...asked, when: changed }),
      };
    }),
  ];
}

/** Changes of the rules of one interface. `operations`: the named ones that the request surely is. */
export function policyEdits(repository: Repository, question: Question, operations: readonly string[]): Edit[] {
  const entry = repository.interfaces.find(({ name }) => name === question.when.interface);
  if (entry === undefined) return [];
  const edit = (aspect: string, what: string, place: string, policy: Edit['policy']): Edit => ({
    side: 'policy',
    aspect,
    what,
    place,
    request: same,
    policy,
  });
  const here = (rule: Grant | Deny): boolean => rule.interface === entry.name;
  return [
    ...repository.denies
      .filter(here)
      .map((deny) =>
        edit(`deny ${deny.id}`, `remove deny:${deny.id}`, placeText(deny.at('id')), without('denies', deny.id)),
      ),
    ...repository.grants.filter(here).flatMap((grant) => grantEdits(grant, question, operations, edit)),
    ...newRules(entry, question, operations, edit),
    ...operationEdits(entry, operations, edit),
    ...casbinEdits(repository, entry, question, edit),
    ...regoEdits(entry, edit),
  ];
}

type MakeEdit = (aspect: string, what: string, place: string, policy: Edit['policy']) => Edit;

const without =
  (list: 'grants' | 'denies', id: string): Edit['policy'] =>
  (repository) => ({ ...repository, [list]: repository[list].filter((rule) => rule.id !== id) });

const changeGrant =
  (id: string, change: (grant: Grant) => Grant): Edit['policy'] =>
  (repository) => ({
    ...repository,
    grants: repository.grants.map((grant) => (grant.id === id ? change(grant) : grant)),
  });

function grantEdits(grant: Grant, { given, when }: Question, operations: readonly string[], make: MakeEdit): Edit[] {
  const { id, subjects, conditions, until, notBefore } = grant;
  const place = placeText(grant.at('id'));
  const edit = (part: string, what: string, change: (grant: Grant) => Grant): Edit =>
    make(`grant ${id} ${part}`, what, place, changeGrant(id, change));
  const shown = given.binding ?? defaultBinding(when);
  const missing = operations.filter((name) => !grant.operations.includes(name));
  return [
    make(`grant ${id}`, `remove grant:${id}`, place, without('grants', id)),
    ...(subjects.includes(given.subject)
      ? []
      : [
          edit('subjects', `grant:${id} names ${given.subject}`, (old) => ({
            ...old,
            subjects: [...old.subjects, given.subject],
          })),
        ]),
    ...missing.map((name) =>
      edit('operations', `grant:${id} opens ${name}`, (old) => ({ ...old, operations: [...old.operations, name] })),
    ),
    ...(grant.binding === shown
      ? []
      : [edit('binding', `grant:${id} asks for binding ${shown}`, (old) => ({ ...old, binding: shown }))]),
    ...(Object.keys(conditions) as (keyof Grant['conditions'])[]).map((name) =>
      edit(name, `grant:${id} has no condition ${name}`, (old) => {
        const { [name]: _, ...rest } = old.conditions;
        return { ...old, conditions: rest };
      }),
    ),
    ...(until === undefined ? [] : [edit('until', `grant:${id} does not end`, ({ until: _until, ...rest }) => rest)]),
    ...(notBefore === undefined
      ? []
      : [edit('notBefore', `grant:${id} has no start date`, ({ notBefore: _start, ...rest }) => rest)]),
  ];
}

function newRules(entry: Interface, { given, when }: Question, operations: readonly string[], make: MakeEdit): Edit[] {
  const base = { subjects: [given.subject], interface: entry.name, at: entry.at };
  const binding = given.binding ?? defaultBinding(when);
  const place = placeText(entry.at('name'));
  return operations.flatMap((name) => [
    make('new grant', `a new grant opens ${name} to ${given.subject}`, place, (repository) => ({
      ...repository,
      grants: [...repository.grants, { ...base, id: 'a-new-grant', operations: [name], binding, conditions: {} }],
    })),
    make('new deny', `a new deny closes ${name} to ${given.subject}`, place, (repository) => ({
      ...repository,
      denies: [...repository.denies, { ...base, id: 'a-new-deny', operations: [name] }],
    })),
  ]);
}

function operationEdits(entry: Interface, operations: readonly string[], make: MakeEdit): Edit[] {
  const change =
    (name: string, changed: Partial<Interface['operations'][number]>): Edit['policy'] =>
    (repository) => ({
      ...repository,
      interfaces: repository.interfaces.map((candidate) => {
        if (candidate.name !== entry.name) return candidate;
        const all = candidate.operations.map((operation) =>
          operation.name === name ? ({ ...operation, ...changed } as Interface['operations'][number]) : operation,
        );
        return { ...candidate, operations: all };
      }),
    });
  return entry.operations
    .filter(({ name }) => operations.includes(name))
    .flatMap(({ name, class: current, island }) => {
      const place = placeText(entry.at('operations', name));
      return [
        ...(['safety', 'normal', 'sensitive'] as const)
          .filter((other) => other !== current)
          .map((other) => make(`class ${name}`, `${name} is of class ${other}`, place, change(name, { class: other }))),
        make(
          `island ${name}`,
          `${name} is ${island ? 'not ' : ''}for island mode`,
          place,
          change(name, { island: !island }),
        ),
      ];
    });
}

function casbinEdits(repository: Repository, entry: Interface, question: Question, make: MakeEdit): Edit[] {
  const model = repository.casbin.find(({ name }) => name === entry.casbin);
  if (model === undefined) return [];
  const changePolicy =
    (change: (policy: string) => string): Edit['policy'] =>
    (old) => ({
      ...old,
      casbin: old.casbin.map((other) =>
        other.name === model.name ? { ...other, policy: change(other.policy) } : other,
      ),
    });
  const added = allowingLine(model.model, question, entry);
  return [
    ...(added === undefined
      ? []
      : [
          make(
            'new line',
            `add the line "${added}"`,
            model.files.policy,
            changePolicy((policy) => `${policy}\n${added}\n`),
          ),
        ]),
    make('casbin', `${entry.name} does not name casbin:${model.name}`, placeText(entry.at('casbin')), (old) => ({
      ...old,
      interfaces: old.interfaces.map((candidate) => {
        const { casbin: _, ...rest } = candidate;
        return candidate.name === entry.name ? rest : candidate;
      }),
    })),
    ...casbinLines(model)
      .slice(0, MAX_CASBIN_EDITS)
      .map(({ line, text, place }) =>
        make(
          `line ${line}`,
          `remove the line "${text}"`,
          place,
          changePolicy((policy) => withoutLine(policy, line)),
        ),
      ),
  ];
}

function regoEdits(entry: Interface, make: MakeEdit): Edit[] {
  if (entry.rego === undefined) return [];
  const what = `${entry.name} does not name rego:${entry.rego}`;
  return [
    make('rego', what, placeText(entry.at('rego')), (old) => ({
      ...old,
      interfaces: old.interfaces.map((candidate) => {
        const { rego: _, ...rest } = candidate;
        return candidate.name === entry.name ? rest : candidate;
      }),
    })),
  ];
}

/** A line of policy.csv that allows exactly the request, where the model's columns are texts of a request. */
function allowingLine(model: string, question: Question, { normalise }: Interface): string | undefined {
  const columns = definition(model, 'p');
  const asked = columns.filter((name) => name !== 'eft');
  if (asked.length === 0 || !asked.every((name) => casbinFields.has(name))) return undefined;
  const [values, ...others] = casbinRequests(asNormalised(requestOf(question).request, normalise), asked);
  // A request of several registers needs several lines.
  if (values === undefined || others.length > 0) return undefined;
  const line = columns.map((name) => (name === 'eft' ? 'allow' : values[asked.indexOf(name)]));
  const plain = line.filter((value): value is string => typeof value === 'string' && !/[",\n]/.test(value));
  return plain.length === line.length ? `p, ${plain.join(', ')}` : undefined;
}
