// Second stage of reading: the entries of all files joined, every reference looked up, every selector turned into
// device ids. Problems are reported at the word that is wrong.
import type { Place } from '../../runtime/errors.ts';
import { pathNormalisations } from '../bundle/path-normalisations.ts';
import type { SliceOperation } from '../bundle/slice.ts';
import type { InventoryIndex } from '../fleet/inventory-index.ts';
import type { InterfaceEntry } from './format/interfaces.ts';
import type { WorkloadEntry } from './format/inventory.ts';
import type { MqttOperationEntry } from './format/mqtt.ts';
import { minutesOf } from './format/break-glass.ts';
import { casesOf } from './format/tests.ts';
import type { SelectorOrAll } from './format/scalars.ts';
import { denyConditions, grantConditions } from './resolve-conditions.ts';
import { nearest } from './nearest.ts';
import type { Problems } from './problems.ts';
import type { Files, Kind } from './read-files.ts';
import type {
  At,
  Attributes,
  BreakGlassProfile,
  Deny,
  Device,
  Grant,
  Interface,
  Invariant,
  Network,
  PolicyTest,
  Waiver,
  Workload,
} from './repository.ts';

/** What lookups need; grows as the stages go on. */
export interface Resolver {
  readonly problems: Problems;
  readonly broken: ReadonlySet<Kind>;
  readonly devices: ReadonlyMap<string, Device>;
  readonly index: InventoryIndex;
}

/** `at` of one entry of a list in a file: `entryAt(file, 'grants', 3)('operations', 0)`. */
export function entryAt(file: { placeOf(path: (string | number)[]): Place }, ...prefix: (string | number)[]): At {
  return (...path) => file.placeOf([...prefix, ...path]);
}

/** Keeps the first entry of each id and reports the others. */
export function unique<T extends { readonly at: At }>(
  entries: readonly T[],
  keyOf: (entry: T) => string,
  key: string,
  problems: Problems,
): Map<string, T> {
  const kept = new Map<string, T>();
  for (const entry of entries) {
    const id = keyOf(entry);
    const first = kept.get(id);
    if (first === undefined) {
      kept.set(id, entry);
      continue;
    }
    const place = first.at(key);
    problems.add('POLICY_ID_DUPLICATE', entry.at(key), `${id} is already defined at ${place.file}:${place.line ?? 1}`);
  }
  return kept;
}

/** Reports an unknown name, unless the kind that would define it has a file that could not be read. */
export function unknown(
  resolver: Resolver,
  kind: Kind,
  what: string,
  name: string,
  known: Iterable<string>,
  place: Place,
): void {
  if (resolver.broken.has(kind)) return;
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  resolver.problems.add('POLICY_REFERENCE_UNKNOWN', place, `unknown ${what} ${name}${hint}`);
}

export function readNetworks(files: Files): Network[] {
  return files.inventory.flatMap((file) =>
    file.value.networks.map((network, index) => ({ ...network, at: entryAt(file, 'networks', index) })),
  );
}

export function readDevices(files: Files): Device[] {
  return files.inventory.flatMap((file) =>
    file.value.devices.map((device, index) => ({
      id: device.id,
      labels: device.labels,
      interfaces: device.interfaces.map(({ mac, ...rest }) => (mac === undefined ? rest : { ...rest, mac })),
      workloads: device.workloads.map(workloadOf),
      at: entryAt(file, 'devices', index),
    })),
  );
}

function workloadOf({ name, uid, cgroup, interface: veth }: WorkloadEntry): Workload {
  return {
    name,
    ...(uid === undefined ? {} : { uid }),
    ...(cgroup === undefined ? {} : { cgroup }),
    ...(veth === undefined ? {} : { interface: veth }),
  };
}

/** Reports devices that do not have the workload: there a rule about it would be about nothing. */
export function checkWorkload(
  resolver: Resolver,
  workload: string | undefined,
  devices: readonly string[],
  place: Place,
): void {
  if (workload === undefined) return;
  for (const id of devices) {
    const known = (resolver.devices.get(id)?.workloads ?? []).map(({ name }) => name);
    if (!known.includes(workload)) unknown(resolver, 'inventory', `workload of ${id}:`, workload, known, place);
  }
}

export function resolveInterfaces(
  files: Files,
  resolver: Resolver,
  models: ReadonlySet<string>,
  packages: ReadonlySet<string>,
): Interface[] {
  return files.interfaces.flatMap((file) =>
    file.value.interfaces.map((entry, index) => {
      const at = entryAt(file, 'interfaces', index);
      if (entry.casbin !== undefined && !models.has(entry.casbin)) {
        unknown(resolver, 'casbin', 'Casbin model', entry.casbin, models, at('casbin'));
      }
      if (entry.rego !== undefined && !packages.has(entry.rego)) {
        unknown(resolver, 'rego', 'Rego package', entry.rego, packages, at('rego'));
      }
      const on = entry.device === undefined ? (entry.devices ?? { labels: {} }) : [entry.device];
      const devices = chooseDevices(on, resolver, entry.device === undefined ? at('devices') : at('device'));
      return {
        name: entry.name,
        devices,
        protocol: entry.protocol,
        transport: entry.transport,
        port: entry.port,
        operations: operationsOf(entry),
        ...normaliseOf(entry),
        ...(entry.casbin === undefined ? {} : { casbin: entry.casbin }),
        ...(entry.rego === undefined ? {} : { rego: entry.rego }),
        onEnforcerDeath: entry.onEnforcerDeath,
        auditDurable: entry.audit.durable,
        ...samplingOf(entry),
        ...('onDeny' in entry && entry.onDeny === 'close' ? { onDeny: entry.onDeny } : {}),
        ...(entry.observe === undefined ? {} : { observeUntil: entry.observe.until }),
        at,
      };
    }),
  );
}

/** In the order of the steps, so that the order in which they are written changes no bundle. */
function normaliseOf(entry: InterfaceEntry): Pick<Interface, 'normalise'> {
  const terms = entry.protocol === 'http' ? entry.normalise : undefined;
  return terms === undefined ? {} : { normalise: pathNormalisations.filter((term) => terms.includes(term)) };
}

function samplingOf(entry: InterfaceEntry): Pick<Interface, 'allowsSampled' | 'auditClasses'> {
  if (entry.protocol === 'port') return {};
  if (entry.protocol !== 'http') {
    const { classes = {} } = entry.audit;
    return Object.keys(classes).length === 0 ? {} : { auditClasses: classes };
  }
  const { allows, classes } = entry.audit;
  const level = allows ?? classes?.request ?? 'all';
  if (level === 'all') return {};
  return { allowsSampled: level === 'counted' ? 0 : level.sample };
}

function operationsOf(entry: InterfaceEntry): SliceOperation[] {
  switch (entry.protocol) {
    case 'http':
      return Object.entries(entry.operations).map(([name, operation]) => ({
        name,
        protocol: 'http',
        methods: operation.methods,
        paths: operation.paths,
        ...(operation.hosts === undefined ? {} : { hosts: operation.hosts }),
        ...(operation.headers === undefined ? {} : { headers: operation.headers }),
        ...(operation.maxBodyBytes === undefined ? {} : { maxBodyBytes: operation.maxBodyBytes }),
        class: operation.class ?? entry.class,
        island: operation.island,
      }));
    case 'modbus':
      return Object.entries(entry.operations).map(([name, operation]) => ({
        name,
        protocol: 'modbus',
        functionCodes: operation.functions,
        units: operation.units,
        addresses: operation.addresses,
        ...(operation.values === undefined ? {} : { values: operation.values }),
        ...(operation.maxQuantity === undefined ? {} : { maxQuantity: operation.maxQuantity }),
        ...(operation.maxChangePerMinute === undefined ? {} : { maxChangePerMinute: operation.maxChangePerMinute }),
        class: operation.class ?? entry.class,
        island: operation.island,
      }));
    case 'mqtt':
      return Object.entries(entry.operations).map(([name, operation]) =>
        mqttOperationOf(name, operation, operation.class ?? entry.class),
      );
    case 'tls':
      return Object.entries(entry.operations).map(([name, operation]) => ({
        name,
        protocol: 'tls',
        names: operation.names,
        class: operation.class ?? entry.class,
        island: operation.island,
      }));
    case 'port':
      return Object.entries(entry.operations).map(([name, operation]) => ({
        name,
        protocol: 'port',
        class: operation.class ?? entry.class,
        island: operation.island,
      }));
  }
}

/** Who may connect does so under its own name, and under those listed besides. */
function mqttOperationOf(
  name: string,
  { actions, topics = [], clientIds, maxQos, maxPayloadBytes, json, maxKeepAliveSeconds, ...rest }: MqttOperationEntry,
  safety: SliceOperation['class'],
): SliceOperation {
  const ids = actions.includes('connect') ? [...new Set(['{device}', ...(clientIds ?? [])])] : clientIds;
  return {
    ...rest,
    name,
    protocol: 'mqtt',
    actions,
    topics,
    ...(ids === undefined ? {} : { clientIds: ids }),
    ...(maxQos === undefined ? {} : { maxQos }),
    ...(maxPayloadBytes === undefined ? {} : { maxPayloadBytes }),
    ...(json === undefined ? {} : { json }),
    ...(maxKeepAliveSeconds === undefined ? {} : { maxKeepAliveSeconds }),
    class: safety,
  };
}

export function resolveGrants(
  files: Files,
  resolver: Resolver,
  interfaces: ReadonlyMap<string, Interface>,
  attributes: Attributes,
): Grant[] {
  return files.grants.flatMap((file) =>
    file.value.grants.map((entry, index) => {
      const at = entryAt(file, 'grants', index);
      checkOperations(resolver, interfaces, entry.interface, entry.operations, at);
      const subjects = chooseDevices(entry.subjects, resolver, at('subjects'));
      checkWorkload(resolver, entry.workload, subjects, at('workload'));
      return {
        id: entry.id,
        subjects,
        interface: entry.interface,
        operations: entry.operations,
        binding: entry.binding,
        conditions: grantConditions(entry.conditions, { resolver, attributes, at }),
        ...periodOf(entry),
        ...(entry.rate === undefined ? {} : { rate: { count: entry.rate.count, perSeconds: entry.rate.per / 1_000 } }),
        ...(entry.uses === undefined ? {} : { uses: entry.uses }),
        ...(entry.obligations === undefined ? {} : { obligations: entry.obligations }),
        ...(entry.workload === undefined ? {} : { workload: entry.workload }),
        at,
      };
    }),
  );
}

export function resolveDenies(
  files: Files,
  resolver: Resolver,
  interfaces: ReadonlyMap<string, Interface>,
  attributes: Attributes,
): Deny[] {
  return files.grants.flatMap((file) =>
    file.value.denies.map((entry, index) => {
      const at = entryAt(file, 'denies', index);
      const operations = entry.operations === 'all' ? [] : entry.operations;
      checkOperations(resolver, interfaces, entry.interface, operations, at);
      const subjects = entry.subjects === 'all' ? 'all' : chooseDevices(entry.subjects, resolver, at('subjects'));
      const conditions =
        entry.conditions === undefined
          ? undefined
          : denyConditions(entry.conditions, entry.assume, { resolver, attributes, at });
      return {
        id: entry.id,
        subjects,
        interface: entry.interface,
        operations,
        ...(conditions === undefined ? {} : { conditions }),
        ...periodOf(entry),
        at,
      };
    }),
  );
}

export function resolveBreakGlass(
  files: Files,
  resolver: Resolver,
  interfaces: ReadonlyMap<string, Interface>,
): BreakGlassProfile[] {
  return files.breakGlass.flatMap((file) =>
    file.value.profiles.map(({ maxDuration, ...entry }, index) => {
      const at = entryAt(file, 'profiles', index);
      checkOperations(resolver, interfaces, entry.interface, entry.operations, at);
      const subjects = chooseDevices(entry.subjects, resolver, at('subjects'));
      return { ...entry, subjects, maxMinutes: minutesOf(maxDuration), at };
    }),
  );
}

export function periodOf({ notBefore, until }: { notBefore?: number | undefined; until?: number | undefined }): {
  notBefore?: number;
  until?: number;
} {
  return { ...(notBefore === undefined ? {} : { notBefore }), ...(until === undefined ? {} : { until }) };
}

export function resolveWaivers(
  files: Files,
  resolver: Resolver,
  grants: ReadonlyMap<string, Grant>,
  interfaces: ReadonlyMap<string, Interface>,
): Waiver[] {
  return files.waivers.flatMap((file) =>
    file.value.waivers.map((entry, index) => {
      const at = entryAt(file, 'waivers', index);
      const { grant, interface: name, at: excuses, ...rest } = entry;
      if (name !== undefined) {
        if (!interfaces.has(name))
          unknown(resolver, 'interfaces', 'interface', name, interfaces.keys(), at('interface'));
        return { ...rest, interface: name, at };
      }
      if (grant === undefined) return { ...rest, ...(excuses === undefined ? {} : { excuses }), at };
      if (!grants.has(grant)) unknown(resolver, 'grants', 'grant', grant, grants.keys(), at('grant'));
      return { ...rest, grant, at };
    }),
  );
}

export function resolveTests(
  files: Files,
  resolver: Resolver,
  interfaces: ReadonlyMap<string, Interface>,
): PolicyTest[] {
  return files.tests.flatMap((file) =>
    file.value.tests.flatMap((entry, index) =>
      casesOf(entry).map((test) => {
        const rows = test.row === undefined ? [] : ['rows', test.row];
        const at = entryAt(file, 'tests', index, ...rows);
        const found = interfaces.get(test.when.interface);
        if (found !== undefined) checkTestTarget(test.when, found, resolver, at);
        else {
          const place = at('when', 'interface');
          unknown(resolver, 'interfaces', 'interface', test.when.interface, interfaces.keys(), place);
        }
        return { ...test, at };
      }),
    ),
  );
}

export function resolveInvariants(
  files: Files,
  resolver: Resolver,
  interfaces: ReadonlyMap<string, Interface>,
): Invariant[] {
  return files.tests.flatMap((file) =>
    file.value.invariants.flatMap((entry, index): Invariant[] => {
      const kind = entry.never === undefined ? 'always' : 'never';
      const scope = entry[kind];
      if (scope === undefined) return [];
      const at = entryAt(file, 'invariants', index, kind);
      checkOperations(
        resolver,
        interfaces,
        scope.interface,
        Array.isArray(scope.operations) ? scope.operations : [],
        at,
      );
      const subjects = scope.subjects === 'all' ? 'all' : chooseDevices(scope.subjects, resolver, at('subjects'));
      return [{ ...scope, name: entry.name, kind, subjects, at }];
    }),
  );
}

function checkTestTarget(
  when: { readonly [protocol in Interface['protocol']]?: unknown } & { device?: string | undefined },
  found: Interface,
  resolver: Resolver,
  at: At,
): void {
  if (when.device !== undefined && !found.devices.includes(when.device)) {
    unknown(
      resolver,
      'inventory',
      `device with interface ${found.name}:`,
      when.device,
      found.devices,
      at('when', 'device'),
    );
  }
  if (when.device === undefined && found.devices.length > 1) {
    const message = `${found.name} is on ${found.devices.length} devices; expected device: <id> beside it`;
    resolver.problems.add('POLICY_FORMAT', at('when', 'interface'), message);
  }
  if (when[found.protocol] === undefined) {
    const message = `${found.name} speaks ${found.protocol}; expected ${found.protocol}: beside the interface`;
    resolver.problems.add('POLICY_FORMAT', at('when', 'interface'), message);
  }
}

function checkOperations(
  resolver: Resolver,
  interfaces: ReadonlyMap<string, Interface>,
  name: string,
  operations: readonly string[],
  at: At,
): void {
  const found = interfaces.get(name);
  if (found === undefined) {
    unknown(resolver, 'interfaces', 'interface', name, interfaces.keys(), at('interface'));
    return;
  }
  const known = found.operations.map((operation) => operation.name);
  operations.forEach((operation, index) => {
    if (known.includes(operation)) return;
    unknown(resolver, 'interfaces', `operation of ${name}`, operation, known, at('operations', index));
  });
}

/** Device ids that a selector chooses, sorted. Empty only with a problem reported, or with devices that did not parse. */
export function chooseDevices(selector: SelectorOrAll, resolver: Resolver, place: Place): string[] {
  const chosen = resolver.index.choose(selector);
  if (selector === 'all') return chosen;
  if (Array.isArray(selector)) {
    const missing = selector.filter((id) => !resolver.devices.has(id));
    for (const id of missing) unknown(resolver, 'inventory', 'device', id, resolver.devices.keys(), place);
    return chosen;
  }
  if (chosen.length === 0 && !resolver.broken.has('inventory')) {
    const written = Object.entries(selector.labels)
      .map(([name, value]) => `${name}: ${value}`)
      .join(', ');
    resolver.problems.add('POLICY_SELECTOR_EMPTY', place, `no device of the inventory has labels {${written}}`);
  }
  return chosen;
}
