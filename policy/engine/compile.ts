// Compiles a slice into what decide() walks: hash maps by interface, subject and operation, tries for paths, closures
// for conditions. Every name a rule uses has to exist: a deny that names nothing would silently deny nothing.
import type { Slice, SliceBreakGlass, SliceDeny, SliceGrant, SliceInterface, SliceOperation } from '../bundle/slice.ts';
import { casbinFields, type CasbinDocument, readsDocument } from './casbin-request.ts';
import { type CompiledSource, recompileCasbin } from './casbin/recompile.ts';
import {
  type AttributeSchemas,
  attributeSchemas,
  compileConditions,
  compileDenyConditions,
  type Condition,
} from './conditions.ts';
import { engineErrors, placeOf, sliceError } from './errors.ts';
import { compileHttp } from './http-operation.ts';
import { compileModbus } from './modbus-operation.ts';
import { compileMqtt } from './mqtt-operation.ts';
import { compileNamed } from './named-operation.ts';
import { strictlyInside } from './operation-contains.ts';
import type { MatchOperation } from './operation-match.ts';
import { compileInput, type RegoQuestion } from './rego/input-document.ts';
import { compileRego, type RegoVerdict } from './rego/rego-package.ts';
import type { Binding, Obligation, Operation } from './request.ts';
import type { SafetyClass } from './state-table.ts';
import { compileTls } from './tls-operation.ts';
import { compileLimit, type UseLimit } from './usage.ts';

/** A rule as decisions and explanations name it. */
export interface NamedRule {
  readonly rule: string;
  readonly place: string;
}

export interface CompiledGrant extends NamedRule {
  readonly binding: Binding;
  readonly conditions: readonly Condition[];
  /** Asked last, and only of a grant that would open. */
  readonly limit: UseLimit | undefined;
  readonly obligations: readonly Obligation[] | undefined;
}

export interface CompiledOperation {
  readonly name: string;
  readonly class: SafetyClass;
  readonly island: boolean;
  /** Sensitive operations, by index, that make a request sensitive which reaches this normal one too. */
  readonly sensitiveRivals: ReadonlySet<number>;
  readonly grants: ReadonlyMap<string, readonly CompiledGrant[]>;
}

export type CompiledModel = NamedRule &
  CompiledSource & {
    /** Absent for a model that asks for texts alone. */
    readonly documentOf: ((question: RegoQuestion) => CasbinDocument) | undefined;
  };
export type CompiledRego = NamedRule & { readonly ask: (question: RegoQuestion) => RegoVerdict };

export interface CompiledInterface {
  readonly name: string;
  readonly device: string;
  readonly observeUntil: number | undefined;
  readonly operations: readonly CompiledOperation[];
  readonly match: MatchOperation;
  /** The requests that an operation stands for, when they are few; undefined when nobody can name them all. */
  readonly requestsOf: (operation: Operation) => readonly Operation[] | undefined;
  readonly denies: CompiledDenies;
  readonly casbin: CompiledModel | undefined;
  readonly rego: CompiledRego | undefined;
}

export interface CompiledDeny extends NamedRule {
  /** Empty for one that always matches. */
  readonly conditions: readonly Condition[];
}

export interface DenySet {
  readonly everybody: readonly CompiledDeny[];
  readonly bySubject: ReadonlyMap<string, readonly CompiledDeny[]>;
}

export interface CompiledDenies {
  /** Denies of every operation, named or not. */
  readonly every: DenySet;
  /** Denies of one operation, by its index. */
  readonly byOperation: ReadonlyMap<number, DenySet>;
}

export interface CompiledPolicy {
  /** Interfaces by name; several devices can serve one of the same name. */
  readonly interfaces: ReadonlyMap<string, readonly CompiledInterface[]>;
  readonly device: string;
  /** By name, for the next bundle. */
  readonly models: ReadonlyMap<string, CompiledModel>;
}

/** What did not change since `before` is not compiled again; `before` stays as it is. */
export function compilePolicy(slice: Slice, before?: CompiledPolicy): CompiledPolicy {
  const schemas = attributeSchemas(slice.attributes ?? [], 'schema');
  const models = compileModels(slice, schemas, before);
  const narrowing: Narrowing = { models, packages: compilePackages(slice, schemas) };
  const grants = groupBy(slice.grants, (grant) => interfaceKey(grant.interface, grant.device));
  const denies = groupBy(slice.denies, (deny) => interfaceKey(deny.interface, deny.device));
  const keys = new Set<string>();
  const interfaces = new Map<string, CompiledInterface[]>();
  for (const entry of slice.interfaces) {
    const key = interfaceKey(entry.name, entry.device);
    if (keys.has(key)) throw sliceError(entry.place, `interface ${entry.name} of ${entry.device} appears twice`);
    keys.add(key);
    const compiled = compileInterface(entry, grants.get(key) ?? [], denies.get(key) ?? [], narrowing, schemas);
    interfaces.set(entry.name, [...(interfaces.get(entry.name) ?? []), compiled]);
  }
  for (const rule of slice.breakGlass ?? []) requireOperations(slice, rule);
  for (const rule of [...slice.grants, ...slice.denies]) {
    if (keys.has(interfaceKey(rule.interface, rule.device))) continue;
    throw sliceError(
      rule.place,
      `${rule.id} names interface ${rule.interface} of ${rule.device}, which is not in the bundle`,
    );
  }
  return { interfaces, device: slice.device, models };
}

/** Nobody sees the requests of a plain port, so nothing can be opened for some of them. */
function requireOperations({ interfaces }: Slice, { id, interface: name, device, operations, place }: SliceBreakGlass) {
  const found = interfaces.find((entry) => entry.name === name && entry.device === device);
  if (found === undefined || found.protocol === 'port') {
    throw sliceError(place, `break-glass ${id} names ${name} of ${device}, which is no interface with requests here`);
  }
  const missing = operations.find((operation) => found.operations.every((known) => known.name !== operation));
  if (missing !== undefined) throw sliceError(place, `${id} names operation ${missing}, which ${name} does not have`);
}

/** Ids hold no slash. */
function interfaceKey(name: string, device: string): string {
  return `${device}/${name}`;
}

/** What an interface may name to narrow its grants. */
interface Narrowing {
  readonly models: ReadonlyMap<string, CompiledModel>;
  readonly packages: ReadonlyMap<string, CompiledRego>;
}

function compileInterface(
  entry: SliceInterface,
  grants: readonly SliceGrant[],
  denies: readonly SliceDeny[],
  { models, packages }: Narrowing,
  schemas: AttributeSchemas,
): CompiledInterface {
  const indexes = new Map<string, number>();
  for (const [index, operation] of entry.operations.entries()) {
    if (indexes.has(operation.name)) throw sliceError(entry.place, `operation ${operation.name} appears twice`);
    if (operation.protocol !== entry.protocol) {
      throw sliceError(
        entry.place,
        `operation ${operation.name} is ${operation.protocol}, the interface ${entry.protocol}`,
      );
    }
    indexes.set(operation.name, index);
  }
  const operationIndex = (name: string, rule: { id: string; place: string }): number => {
    const index = indexes.get(name);
    if (index !== undefined) return index;
    throw sliceError(rule.place, `${rule.id} names operation ${name}, which ${entry.name} does not have`);
  };
  const granted = compileGrants(entry.operations.length, grants, operationIndex, schemas);
  if (entry.protocol === 'port') for (const grant of grants) requireJudgedOnce(grant);
  const casbin = entry.casbin === undefined ? undefined : models.get(entry.casbin);
  if (entry.casbin !== undefined && casbin === undefined) {
    throw sliceError(entry.place, `Casbin model ${entry.casbin} is not in the bundle`);
  }
  const rego = entry.rego === undefined ? undefined : packages.get(entry.rego);
  if (entry.rego !== undefined && rego === undefined) {
    throw sliceError(entry.place, `Rego package ${entry.rego} is not in the bundle`);
  }
  const named = compileNamed(entry);
  const match = compileMatch(entry);
  return {
    name: entry.name,
    device: entry.device,
    observeUntil: entry.observeUntil,
    operations: entry.operations.map((operation, index) => ({
      name: operation.name,
      class: operation.class,
      island: operation.island,
      sensitiveRivals: sensitiveRivals(operation, entry),
      grants: granted[index] ?? new Map(),
    })),
    match: (operation, subject) =>
      operation.protocol === 'named' ? named.match(operation.name) : match(operation, subject),
    requestsOf: (operation) => (operation.protocol === 'named' ? named.requestsOf(operation.name) : [operation]),
    denies: compileDenies(denies, operationIndex, schemas),
    casbin,
    rego,
  };
}

/** On a plain port nobody sees the requests, so nothing can be counted or done with each. */
function requireJudgedOnce({ id, rate, uses, obligations, place }: SliceGrant): void {
  const found = Object.entries({ rate, uses, obligations }).find(([, value]) => value !== undefined)?.[0];
  if (found !== undefined) throw sliceError(place, `${id} has ${found}, which nobody can keep on a plain port`);
}

function sensitiveRivals(operation: SliceOperation, entry: SliceInterface): ReadonlySet<number> {
  const rivals = entry.operations.flatMap((other, index) =>
    operation.class === 'normal' && other.class === 'sensitive' && !strictlyInside(operation, other, entry.place)
      ? [index]
      : [],
  );
  return new Set(rivals);
}

function compileMatch(entry: SliceInterface): MatchOperation {
  const of = <P extends SliceOperation['protocol']>(protocol: P) =>
    entry.operations.map((operation) =>
      operation.protocol === protocol ? (operation as Extract<SliceOperation, { protocol: P }>) : undefined,
    );
  switch (entry.protocol) {
    case 'http':
      return compileHttp(entry, of('http'));
    case 'modbus':
      return compileModbus(of('modbus'));
    case 'mqtt':
      return compileMqtt(entry, of('mqtt'));
    case 'tls':
      return compileTls(of('tls'));
    case 'port': {
      const all = entry.operations.map((_, index) => index);
      return ({ protocol }) => {
        const sure = protocol === 'port' ? all : [];
        return { kind: 'matched', sure, possible: () => sure };
      };
    }
  }
}

type OperationIndex = (name: string, rule: { id: string; place: string }) => number;

function compileGrants(
  count: number,
  grants: readonly SliceGrant[],
  operationIndex: OperationIndex,
  schemas: AttributeSchemas,
): readonly Map<string, CompiledGrant[]>[] {
  const operations = Array.from({ length: count }, () => new Map<string, CompiledGrant[]>());
  // What asks for nothing in return comes first: a point that cannot fulfil an obligation needs none of it.
  const freest = grants.toSorted((a, b) => (a.obligations?.length ?? 0) - (b.obligations?.length ?? 0));
  for (const grant of freest) {
    const compiled: CompiledGrant = {
      rule: `grant:${grant.id}`,
      place: grant.place,
      binding: grant.binding,
      conditions: compileConditions(grant, schemas),
      limit: compileLimit(grant),
      obligations: grant.obligations,
    };
    for (const name of new Set(grant.operations)) {
      const subjects = operations[operationIndex(name, grant)];
      for (const subject of new Set(grant.subjects)) {
        subjects?.set(subject, [...(subjects.get(subject) ?? []), compiled]);
      }
    }
  }
  return operations;
}

/** While it is filled. */
interface OpenDenySet {
  readonly everybody: CompiledDeny[];
  readonly bySubject: Map<string, CompiledDeny[]>;
}

const openDenySet = (): OpenDenySet => ({ everybody: [], bySubject: new Map() });

function compileDenies(
  denies: readonly SliceDeny[],
  operationIndex: OperationIndex,
  schemas: AttributeSchemas,
): CompiledDenies {
  const every = openDenySet();
  const byOperation = new Map<number, OpenDenySet>();
  for (const deny of denies) {
    const rule: CompiledDeny = {
      rule: `deny:${deny.id}`,
      place: deny.place,
      conditions: compileDenyConditions(deny, schemas),
    };
    if (deny.operations.length === 0) addDeny(every, deny.subjects, rule);
    for (const name of new Set(deny.operations)) {
      const index = operationIndex(name, deny);
      const set = byOperation.get(index) ?? openDenySet();
      byOperation.set(index, set);
      addDeny(set, deny.subjects, rule);
    }
  }
  return { every, byOperation };
}

function addDeny(set: OpenDenySet, subjects: readonly string[], rule: CompiledDeny): void {
  if (subjects.length === 0) addRule(set.everybody, rule);
  for (const subject of new Set(subjects)) {
    const rules = set.bySubject.get(subject) ?? [];
    set.bySubject.set(subject, rules);
    addRule(rules, rule);
  }
}

/** One that always matches stands alone: nothing else needs to be asked. */
function addRule(rules: CompiledDeny[], rule: CompiledDeny): void {
  if (rules[0]?.conditions.length === 0) return;
  if (rule.conditions.length === 0) rules.length = 0;
  rules.push(rule);
}

function compileModels(
  slice: Slice,
  schemas: AttributeSchemas,
  before: CompiledPolicy | undefined,
): Map<string, CompiledModel> {
  const inputOf = compileInput(schemas);
  const models = new Map<string, CompiledModel>();
  for (const { name, model, policy, place } of slice.casbin) {
    if (models.has(name)) throw sliceError(place, `Casbin model ${name} appears twice`);
    const modelFile = `casbin/${name}/model.conf`;
    const source = { model, policy, modelFile, policyFile: `casbin/${name}/policy.csv` };
    const compiled = recompileCasbin(source, before?.models.get(name));
    const foreign = compiled.request.filter((field) => !casbinFields.has(field));
    if (foreign.length > 0) {
      throw engineErrors.error(
        'ENGINE_CASBIN_UNSUPPORTED',
        `request field ${foreign.join(', ')}: known are ${[...casbinFields].join(', ')}`,
        { place: placeOf(modelFile) },
      );
    }
    const documentOf = readsDocument(compiled.request) ? inputOf : undefined;
    models.set(name, { rule: `casbin:${name}`, place, source, model: compiled, documentOf });
  }
  return models;
}

function compilePackages({ rego = [] }: Slice, schemas: AttributeSchemas): Map<string, CompiledRego> {
  const inputOf = compileInput(schemas);
  const packages = new Map<string, CompiledRego>();
  for (const { name, wasm, data, place } of rego) {
    if (packages.has(name)) throw sliceError(place, `Rego package ${name} appears twice`);
    const compiled = compileRego({ name, wasm: Buffer.from(wasm, 'base64'), data, place });
    packages.set(name, { rule: `rego:${name}`, place, ask: (question) => compiled.decide(inputOf(question)) });
  }
  return packages;
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
