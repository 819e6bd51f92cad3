// Small mistakes that an author could make in a policy, each as a repository that holds it: what the tests of the
// repository should notice. A closed list; firewall rules are left out, because no given/when/then asks a packet,
// and limits of use, because a test asks once.
import type { AttributeTest } from '../../bundle/conditions.ts';
import type { SliceOperation } from '../../bundle/slice.ts';
import { placeText, type Deny, type Grant, type Interface, type Repository } from '../repository.ts';
import { casbinLines, withoutLine } from './casbin-lines.ts';
import { mqttChanges, tlsChanges } from './mqtt-changes.ts';

export interface Mutant {
  /** What was done, in words. */
  readonly what: string;
  /** `file:line` of the rule, operation or line. */
  readonly place: string;
  /** Names of the interfaces whose answers it may change. */
  readonly interfaces: readonly string[];
  readonly repository: Repository;
}

/** A change of one rule: in words, and the rule after it. */
type Change<T> = readonly [what: string, changed: T];
const change = <T>(what: string, changed: T): Change<T> => [what, changed];

export function mutantsOf(repository: Repository): Mutant[] {
  return [
    ...repository.grants.flatMap((grant) => grantMutants(repository, grant)),
    ...repository.denies.flatMap((deny) => denyMutants(repository, deny)),
    ...repository.interfaces.flatMap((entry) => interfaceMutants(repository, entry)),
    ...repository.casbin.flatMap((model) => casbinMutants(repository, model)),
  ];
}

function grantMutants(repository: Repository, grant: Grant): Mutant[] {
  const base = { place: placeText(grant.at('id')), interfaces: [grant.interface] };
  const others = repository.grants.filter((entry) => entry !== grant);
  const mutant = (what: string, changed: Partial<Repository>): Mutant => ({
    ...base,
    what: `grant ${grant.id}: ${what}`,
    repository: { ...repository, ...changed },
  });
  const { id, subjects, interface: name, operations, at } = grant;
  return [
    mutant('dropped', { grants: others }),
    mutant('is a deny', {
      grants: others,
      denies: [...repository.denies, { id, subjects, interface: name, operations, at }],
    }),
    ...[...widerGrants(repository, grant), ...conditionChanges(grant)].map(([what, changed]) =>
      mutant(what, { grants: [...others, changed] }),
    ),
  ];
}

function widerGrants(repository: Repository, grant: Grant): Change<Grant>[] {
  const everybody = repository.devices.map((device) => device.id);
  const { obligations, ...free } = grant;
  const known = repository.interfaces.find((entry) => entry.name === grant.interface)?.operations ?? [];
  return [
    ...(grant.subjects.length < everybody.length
      ? [change('subjects are all devices', { ...grant, subjects: everybody })]
      : []),
    ...(obligations === undefined ? [] : [change('without obligations', free)]),
    ...known
      .filter(({ name }) => !grant.operations.includes(name))
      .map(({ name }): Change<Grant> => [`also opens ${name}`, { ...grant, operations: [...grant.operations, name] }]),
    ...(['svid', 'port+mac+ip', 'ip'] as const)
      .filter((binding) => binding !== grant.binding)
      .map((binding): Change<Grant> => [`binding is ${binding}`, { ...grant, binding }]),
  ];
}

function denyMutants(repository: Repository, deny: Deny): Mutant[] {
  const base = { place: placeText(deny.at('id')), interfaces: [deny.interface] };
  const others = repository.denies.filter((entry) => entry !== deny);
  const mutant = (what: string, changed: Partial<Repository>): Mutant => ({
    ...base,
    what: `deny ${deny.id}: ${what}`,
    repository: { ...repository, ...changed },
  });
  return [
    mutant('dropped', { denies: others }),
    ...[...narrowerDenies(repository, deny), ...conditionChanges(deny)].map(([what, changed]) =>
      mutant(what, { denies: [...others, changed] }),
    ),
    ...flipped(repository, deny).map((grant) =>
      mutant('is a grant', { denies: others, grants: [...repository.grants, grant] }),
    ),
  ];
}

function narrowerDenies(repository: Repository, deny: Deny): Change<Deny>[] {
  const subjects = deny.subjects === 'all' ? repository.devices.map(({ id }) => id) : deny.subjects;
  const without = <T>(list: readonly T[], item: T): T[] => list.filter((entry) => entry !== item);
  return [
    ...(subjects.length < 2 ? [] : subjects).map((id): Change<Deny> => [
      `spares ${id}`,
      { ...deny, subjects: without(subjects, id) },
    ]),
    ...(deny.operations.length < 2 ? [] : deny.operations).map((name): Change<Deny> => [
      `spares ${name}`,
      { ...deny, operations: without(deny.operations, name) },
    ]),
  ];
}

function flipped({ devices, interfaces }: Repository, deny: Deny): Grant[] {
  const entry = interfaces.find(({ name }) => name === deny.interface);
  if (entry === undefined) return [];
  const { id, interface: name, at } = deny;
  const operations =
    deny.operations.length === 0 ? entry.operations.map((operation) => operation.name) : deny.operations;
  const subjects = deny.subjects === 'all' ? devices.map((device) => device.id) : [...deny.subjects];
  const binding = entry.protocol === 'http' ? 'svid' : 'ip';
  return [{ id, subjects, interface: name, operations, binding, conditions: {}, at }];
}

/** Dropped, and shifted by the smallest step. */
function conditionChanges<T extends Grant | Deny>(rule: T): Change<T>[] {
  const { conditions = {} } = rule;
  const changes: Change<T>[] = [];
  const add = (what: string, name: string, value: unknown): void => {
    const { [name as keyof typeof conditions]: _, ...rest } = conditions;
    changes.push([what, { ...rule, conditions: value === undefined ? rest : { ...rest, [name]: value } }]);
  };
  for (const [name, value] of Object.entries(conditions) as [string, unknown][]) {
    if (name !== 'assume') add(`condition ${name} dropped`, name, undefined);
    if (typeof value === 'number') {
      add(`${name} is ${value + 1}`, name, value + 1);
      if (value > 1) add(`${name} is ${value - 1}`, name, value - 1);
    }
  }
  const { timeWindow, attestation, attributes } = conditions;
  if (timeWindow !== undefined) {
    const { fromMinute, toMinute } = timeWindow;
    add('time window begins a minute earlier', 'timeWindow', { fromMinute: (fromMinute + 1_439) % 1_440, toMinute });
    add('time window ends a minute later', 'timeWindow', { fromMinute, toMinute: (toMinute % 1_440) + 1 });
  }
  const weaker = ['none', 'software', 'idevid'].find((name) => attestation?.includes(name) === false);
  if (attestation !== undefined && weaker !== undefined) {
    add(`attestation ${weaker} is good enough`, 'attestation', [...attestation, weaker]);
  }
  for (const [index, test] of (attributes ?? []).entries()) {
    const name = `${test.source}.${test.name}`;
    const others = attributes?.filter((_, at) => at !== index) ?? [];
    add(`condition on ${name} dropped`, 'attributes', others.length === 0 ? undefined : others);
    for (const [what, changed] of widerTests(test)) add(`${name} ${what}`, 'attributes', [...others, changed]);
  }
  const { until, notBefore, ...undated } = rule;
  const dated = undated as unknown as T;
  if (until !== undefined) {
    changes.push(['end date dropped', { ...dated, ...(notBefore === undefined ? {} : { notBefore }) }]);
    changes.push(['ends a day later', { ...rule, until: until + 86_400_000 }]);
  }
  if (notBefore !== undefined) {
    changes.push(['start date dropped', { ...dated, ...(until === undefined ? {} : { until }) }]);
  }
  return changes;
}

function widerTests(test: AttributeTest): Change<AttributeTest>[] {
  const { min, max } = test;
  return [
    ...(min === undefined ? [] : [change(`at least ${min - 1}`, { ...test, min: min - 1 })]),
    ...(max === undefined ? [] : [change(`at most ${max + 1}`, { ...test, max: max + 1 })]),
  ];
}

function interfaceMutants(repository: Repository, entry: Interface): Mutant[] {
  const others = repository.interfaces.filter((candidate) => candidate !== entry);
  const mutant = (what: string, place: string, changed: Interface): Mutant => ({
    what,
    place,
    interfaces: [entry.name],
    repository: { ...repository, interfaces: [...others, changed] },
  });
  const { casbin, ...open } = entry;
  const { rego, ...unread } = entry;
  return [
    ...(casbin === undefined
      ? []
      : [mutant(`${entry.name} does not name its Casbin model`, placeText(entry.at('casbin')), open)]),
    ...(rego === undefined
      ? []
      : [mutant(`${entry.name} does not name its Rego package`, placeText(entry.at('rego')), unread)]),
    ...entry.operations.flatMap((operation) =>
      operationChanges(operation).map(([what, changed]) =>
        mutant(
          `operation ${operation.name} of ${entry.name}: ${what}`,
          placeText(entry.at('operations', operation.name)),
          {
            ...entry,
            operations: entry.operations.map((candidate) => (candidate === operation ? changed : candidate)),
          },
        ),
      ),
    ),
  ];
}

function operationChanges(operation: SliceOperation): Change<SliceOperation>[] {
  const lower: SliceOperation['class'] = operation.class === 'sensitive' ? 'normal' : 'safety';
  return [
    ...(operation.class === 'safety' ? [] : [change(`class is ${lower}`, { ...operation, class: lower })]),
    [`island is ${String(!operation.island)}`, { ...operation, island: !operation.island }],
    ...(operation.protocol === 'http' ? httpChanges(operation) : []),
    ...(operation.protocol === 'modbus' ? modbusChanges(operation) : []),
    ...(operation.protocol === 'mqtt' ? mqttChanges(operation) : []),
    ...(operation.protocol === 'tls' ? tlsChanges(operation) : []),
  ];
}

type Of<P extends SliceOperation['protocol']> = Extract<SliceOperation, { protocol: P }>;

function httpChanges(operation: Of<'http'>): Change<SliceOperation>[] {
  const { hosts, ...anyHost } = operation;
  const { headers, ...anyHeaders } = operation;
  const { maxBodyBytes, ...anyBody } = operation;
  const method = ['GET', 'POST', 'DELETE'].find((name) => !operation.methods.includes(name));
  return [
    ...(method === undefined
      ? []
      : [change(`also ${method}`, { ...operation, methods: [...operation.methods, method] })]),
    ...(hosts === undefined ? [] : [change('any host', anyHost)]),
    ...(headers === undefined ? [] : [change('any headers', anyHeaders)]),
    ...(maxBodyBytes === undefined
      ? []
      : [
          change('any body', anyBody),
          change(`a body of ${maxBodyBytes + 1} bytes`, { ...operation, maxBodyBytes: maxBodyBytes + 1 }),
        ]),
    ...operation.paths.flatMap((path, index) =>
      widerPaths(path).map((wider): Change<SliceOperation> => [
        `${path} is ${wider}`,
        { ...operation, paths: operation.paths.map((other, at) => (at === index ? wider : other)) },
      ]),
    ),
  ];
}

function widerPaths(path: string): string[] {
  const segments = path.split('/').slice(1);
  const last = segments.at(-1) ?? '';
  const parent = segments
    .slice(0, -1)
    .map((segment) => `/${segment}`)
    .join('');
  if (last === '**') return segments.length > 1 ? [`${parent.split('/').slice(0, -1).join('/')}/**`] : [];
  return [...(last === '' || last === '*' ? [] : [`${parent}/*`]), `${parent}/**`];
}

function modbusChanges(operation: Of<'modbus'>): Change<SliceOperation>[] {
  const { addresses, values, units, functionCodes, maxQuantity, maxChangePerMinute } = operation;
  const writing = [6, 5, 16].find((code) => !functionCodes.includes(code));
  const ranged = addresses.flatMap(([from, to], index): Change<SliceOperation>[] =>
    beside([from, to]).map((range) => [
      `addresses ${from}-${to} are ${range.join('-')}`,
      { ...operation, addresses: addresses.map((other, at) => (at === index ? range : other)) },
    ]),
  );
  const { values: _, ...anyValue } = operation;
  const { maxQuantity: __, ...anyQuantity } = operation;
  const { maxChangePerMinute: ___, ...anyChange } = operation;
  return [
    ...ranged,
    ...(values === undefined
      ? []
      : [
          change('any value', anyValue),
          ...beside(values).map((range) => change(`values are ${range.join('-')}`, { ...operation, values: range })),
        ]),
    ...(maxQuantity === undefined
      ? []
      : [
          change('any quantity', anyQuantity),
          change(`at most ${maxQuantity + 1} at once`, { ...operation, maxQuantity: maxQuantity + 1 }),
        ]),
    ...(maxChangePerMinute === undefined
      ? []
      : [
          change('any change', anyChange),
          change(`changes by ${maxChangePerMinute + 1} at most`, {
            ...operation,
            maxChangePerMinute: maxChangePerMinute + 1,
          }),
        ]),
    ...(units.length === 0 ? [] : [change('any unit', { ...operation, units: [] })]),
    ...(writing === undefined
      ? []
      : [change(`also function ${writing}`, { ...operation, functionCodes: [...functionCodes, writing] })]),
  ];
}

/** The range with one more at each end, where there is one. */
function beside([from, to]: readonly [number, number]): [number, number][] {
  return [
    ...(from > 0 ? [[from - 1, to] as [number, number]] : []),
    ...(to < 65_535 ? [[from, to + 1] as [number, number]] : []),
  ];
}

const allowOverride = /e\s*=\s*some\(where \(p\.eft == allow\)\)\s*$/m;
const denyOverride = /e\s*=\s*!some\(where \(p\.eft == deny\)\)\s*$/m;

function casbinMutants(repository: Repository, model: Repository['casbin'][number]): Mutant[] {
  const others = repository.casbin.filter((candidate) => candidate !== model);
  const interfaces = repository.interfaces.filter(({ casbin }) => casbin === model.name).map(({ name }) => name);
  const mutant = (what: string, place: string, changed: Partial<typeof model>): Mutant => ({
    what: `Casbin model ${model.name}: ${what}`,
    place,
    interfaces,
    repository: { ...repository, casbin: [...others, { ...model, ...changed }] },
  });
  const lines = casbinLines(model).flatMap(({ line, text, place }) => {
    const opposite = text.replace(/,\s*(allow|deny)\s*$/, (_, effect) => `, ${effect === 'allow' ? 'deny' : 'allow'}`);
    const changed = model.policy.split('\n').map((raw, index) => (index + 1 === line ? opposite : raw));
    return [
      mutant(`without "${text}"`, place, { policy: withoutLine(model.policy, line) }),
      ...(opposite === text ? [] : [mutant(`"${text}" is "${opposite}"`, place, { policy: changed.join('\n') })]),
    ];
  });
  const swapped = allowOverride.test(model.model)
    ? model.model.replace(allowOverride, 'e = !some(where (p.eft == deny))')
    : model.model.replace(denyOverride, 'e = some(where (p.eft == allow))');
  const effectLine = model.model.split('\n').findIndex((line) => /^\s*e\s*=/.test(line)) + 1;
  return [
    ...lines,
    ...(swapped === model.model
      ? []
      : [mutant('the opposite effect', `${model.files.model}:${effectLine}`, { model: swapped })]),
  ];
}
