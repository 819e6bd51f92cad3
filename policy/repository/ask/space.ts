// Every request that an interface can be asked, as cells: one request for each set of requests that no rule can tell
// apart. The engine answers each of them; nothing here decides anything.
import type { Slice, SliceInterface } from '../../bundle/slice.ts';
import type { Asked, Operation } from '../../engine/index.ts';
import { attributePath } from '../../engine/attributes.ts';
import type { SliceEngine } from '../decide.ts';
import { givenDefaults } from '../format/tests.ts';
import { changesSomething, operationCells } from './operation-cells.ts';
import { requestOf, whenOf, type Question } from './question.ts';
import { readsDocument } from '../../engine/casbin-request.ts';
import { definition } from './casbin-lines.ts';
import { notAllLists } from './attribute-cells.ts';
import { notEnumerated, surroundingsOf, type Narrowing, type Rule, type Surroundings } from './surroundings.ts';

/** Subjects that get the same answers, the first of them in the cells. */
export interface SubjectGroup {
  readonly subject: string;
  readonly members: readonly string[];
  readonly surroundings: readonly Surroundings[];
  readonly operations: readonly Operation[];
}

export interface Space {
  readonly interface: string;
  readonly device: string;
  readonly groups: readonly SubjectGroup[];
  /** Number of requests in it. */
  readonly cells: number;
  /** Requests that no cell stands for, in words; empty when the cells stand for all of them. */
  readonly gaps: readonly string[];
}

export interface SpaceOptions {
  /** Device ids of the inventory that may ask. */
  readonly subjects: readonly string[];
  /** Also a device that nobody knows. */
  readonly strangers: boolean;
  /** Milliseconds since the epoch: requests from then on. */
  readonly now: number;
  readonly narrowing?: Narrowing;
}

/** An id that the inventory does not hold. */
export function strangerTo(known: Iterable<string>): string {
  const ids = new Set(known);
  let name = 'a-device-nobody-knows';
  while (ids.has(name)) name += '-x';
  return name;
}

/**
 * `slices`: the same device's, of one policy or of several that are to be compared; cells tell apart whatever any of
 * them tells apart. The first has to hold the interface.
 */
export function spaceOf(
  engine: SliceEngine,
  slices: readonly Slice[],
  name: string,
  device: string,
  options: SpaceOptions,
): Space {
  const here = (rule: { readonly interface: string; readonly device: string }): boolean =>
    rule.interface === name && rule.device === device;
  const entries = slices.flatMap(({ interfaces }) =>
    interfaces.filter((entry) => entry.name === name && entry.device === device),
  );
  const grants = slices.map((slice) => slice.grants.filter(here));
  const denies = slices.map((slice) => slice.denies.filter(here));
  const textIsRead = entries.some(readsText);
  const granted = new Set(grants.flat().flatMap((grant) => grant.operations));
  // Without a grant nothing is open, whatever a model says.
  const read = entries.filter(readsText).flatMap((entry) => entry.operations.filter(({ name }) => granted.has(name)));
  const all = entries.flatMap((entry) => entry.operations);
  const unasked = new Set<string>();
  const readNames = new Set(read.map((entry) => entry.name));
  const operationsOf = (subject: string): readonly Operation[] => {
    const { cells: instances, gaps } = operationCells(entries[0]?.protocol ?? 'port', all, read, subject);
    for (const gap of gaps) unasked.add(gap);
    return endsOfEach(instances, (operation) =>
      operationKey(engine, slices, whenOf(name, device, operation), subject, readNames),
    );
  };
  const ownIsRead = entries.some(({ protocol }) => protocol === 'mqtt');
  const shared = ownIsRead ? undefined : operationsOf('');
  const schemas = [
    ...new Map(
      slices.flatMap(({ attributes = [] }) => attributes).map((entry) => [attributePath(entry), entry]),
    ).values(),
  ];
  const observeUntil = entries.flatMap((entry) => entry.observeUntil ?? []);
  const rulesOf = rulesBySubject([...grants, ...denies]);
  const isGranted = new Set(grants.flat().flatMap(({ subjects }) => subjects));
  // A model knows its subjects by name, and operations of MQTT may be about the subject's own topics.
  const namesOf = (subject: string): string =>
    JSON.stringify([rulesOf.get(subject) ?? '', (textIsRead || ownIsRead) && isGranted.has(subject) ? subject : '']);
  const candidates = [...options.subjects, ...(options.strangers ? [strangerTo(options.subjects)] : [])];
  const groups = [...Map.groupBy(candidates, namesOf).values()].map((members): SubjectGroup => {
    const [subject = ''] = members;
    const open = grants.flat().filter(({ subjects }) => subjects.includes(subject));
    const closed = denies.flat().filter(({ subjects }) => subjects.length === 0 || subjects.includes(subject));
    // Who holds no grant is let through by an observe mode at most, and that asks no condition.
    const rules = { grants: open, denies: open.length === 0 ? [] : closed };
    return {
      subject,
      members,
      surroundings: surroundingsOf(rules, schemas, options.now, observeUntil, options.narrowing ?? {}),
      operations: shared ?? operationsOf(subject),
    };
  });
  const cells = groups.reduce((sum, { surroundings, operations }) => sum + surroundings.length * operations.length, 0);
  const packages = entries.flatMap((entry) => entry.rego ?? []);
  const models = slices
    .flatMap(({ casbin }) => casbin)
    .filter((model) => entries.some((entry) => entry.casbin === model.name));
  const readers = [
    ...packages.map((rego) => `the Rego package ${rego}`),
    ...models
      .filter(({ model }) => readsDocument(definition(model, 'r')))
      .map((model) => `the Casbin model ${model.name}`),
  ];
  const gaps = [
    ...unasked,
    ...new Set(readers.map((reader) => `${reader} reads every attribute of a request; only samples are asked`)),
    ...new Set([...grants.flat(), ...denies.flat()].flatMap(gapsOfRule)),
  ];
  return { interface: name, device, groups, cells, gaps };
}

/** Those that the subject is asked with; of one that the space does not hold, those of its first. */
export function operationsFor({ groups }: Space, subject: string): readonly Operation[] {
  return (groups.find(({ members }) => members.includes(subject)) ?? groups[0])?.operations ?? [];
}

/** Which rules name a subject, by their places, for all that some rule names. */
function rulesBySubject(lists: readonly (readonly { readonly subjects: readonly string[] }[])[]): Map<string, string> {
  const rules = new Map<string, string>();
  for (const [place, list] of lists.entries()) {
    for (const [index, { subjects }] of list.entries()) {
      for (const subject of subjects) rules.set(subject, `${rules.get(subject) ?? ''} ${place}.${index}`);
    }
  }
  return rules;
}

/** Of the instances that are the same operations the first and the last, which lie at the ends of ranges. */
function endsOfEach(instances: readonly Operation[], keyOf: (operation: Operation) => string): Operation[] {
  const groups = Map.groupBy(instances, keyOf);
  return [...groups.values()].flatMap((group) =>
    group.length < 3 ? group : [...group.slice(0, 1), ...group.slice(-1)],
  );
}

/** What tells an operation from another: which named ones it is, and its text where that is read. */
function operationKey(
  engine: SliceEngine,
  slices: readonly Slice[],
  when: Question['when'],
  subject: string,
  read: ReadonlySet<string>,
): string {
  const { request } = requestOf({ given: { ...givenDefaults, subject, time: 0 }, when });
  const named = slices.map((slice) => engine.operationsOf(slice, request));
  const isRead = named.some((names) => names?.sure.some((name) => read.has(name)));
  return JSON.stringify([named, changesSomething(request.operation), isRead ? request.operation : '']);
}

/** Whether something besides the operations' own patterns decides by path, register or unit. */
function readsText(entry: SliceInterface): boolean {
  return entry.casbin !== undefined || entry.rego !== undefined;
}

function gapsOfRule(rule: Rule): string[] {
  return [
    ...notEnumerated(rule).map((name) => `values of the condition ${name} of ${rule.id} are not enumerated`),
    ...notAllLists([rule]).map((path) => `not every list of ${path} in ${rule.id} is asked`),
  ];
}

/** One request of a space; `question` writes it down as a test would. */
export interface Cell extends Asked {
  readonly question: () => Question;
  readonly members: readonly string[];
}

/** Visits every cell, the most usual circumstances of each operation first, until the visitor says stop. */
export function forEachCell(space: Space, visit: (cell: Cell) => 'stop' | undefined): void {
  for (const { subject, members, surroundings, operations } of space.groups) {
    const bases = surroundings.map((given) => ({
      given: { ...given, subject },
      asked: requestOf({
        given: { ...givenDefaults, ...given, subject },
        when: { interface: space.interface, device: space.device, port: true },
      }),
    }));
    for (const operation of operations) {
      for (const { given, asked } of bases) {
        const { request, freshness } = asked;
        const question = (): Question => ({ given, when: whenOf(space.interface, space.device, operation) });
        if (visit({ request: { ...request, operation }, freshness, question, members }) === 'stop') return;
      }
    }
  }
}
