// What is left of the policy when its engine fails: which subject may use which operation of class `safety`, by which binding.
// Made when a bundle is activated, so that nothing has to be worked out then. Whatever needs the engine to be judged is not in
// it: grants with conditions or a number of uses, interfaces with a model or a package, and all that any deny could reach.
import type { Slice, SliceDeny, SliceGrant } from '../../policy/bundle/index.ts';
import { type AccessRequest, type Binding, type NamedOperations, rowOf } from '../../policy/engine/index.ts';

interface Entry {
  readonly rule: string;
  readonly place: string;
  readonly binding: Binding;
  readonly operation: string;
  /** Marked for island mode. */
  readonly island: boolean;
  readonly notBefore: number;
  readonly until: number;
}

export interface SafetyEntry {
  readonly rule: string;
  readonly place: string;
  readonly operation: string;
}

export interface SafetyTable {
  /**
   * The grant that lets the subject do what is asked, or undefined. `named`: which named operations the request surely and
   * possibly is; matching it is all that is asked of the engine.
   */
  allows(request: AccessRequest, named: NamedOperations | undefined): SafetyEntry | undefined;
  /** Whether a grant here might ever let the subject do something of class `safety` on the interface, whatever its conditions. */
  mayServe(subject: string, interfaceName: string): boolean;
}

const key = (interfaceName: string, subject: string): string => `${interfaceName}/${subject}`;

export function compileSafetyTable(slice: Slice): SafetyTable {
  const entries = new Map<string, Entry[]>();
  const denies = new Map<string, SliceDeny[]>();
  const holders = new Set<string>();
  const own = slice.interfaces.filter(({ device }) => device === slice.device);
  for (const service of own) {
    const safety = new Map(
      service.operations.filter((operation) => operation.class === 'safety').map(({ name, island }) => [name, island]),
    );
    const about = <T extends SliceGrant | SliceDeny>(rules: readonly T[]): T[] =>
      rules.filter((rule) => rule.interface === service.name && rule.device === slice.device);
    denies.set(service.name, about(slice.denies));
    for (const grant of about(slice.grants)) {
      const operations = grant.operations.filter((name) => safety.has(name));
      if (operations.length === 0) continue;
      for (const subject of grant.subjects) holders.add(key(service.name, subject));
      if (service.casbin !== undefined || service.rego !== undefined || !isPlain(grant)) continue;
      for (const subject of grant.subjects) {
        const known = entries.get(key(service.name, subject)) ?? [];
        entries.set(key(service.name, subject), known);
        for (const operation of operations) known.push(entryOf(grant, operation, safety.get(operation) === true));
      }
    }
  }
  return {
    mayServe: (subject, interfaceName) => subject !== '' && holders.has(key(interfaceName, subject)),
    allows({ subject, resource, context }, named) {
      if (subject.id === '' || named === undefined) return undefined;
      const time = context.timeFloor ?? context.time;
      const admission = rowOf(subject.state, context.island === true).safety;
      if (admission === 'no') return undefined;
      const isDenied = (denies.get(resource.interface) ?? []).some((deny) => reaches(deny, subject.id, named));
      if (isDenied) return undefined;
      return entries.get(key(resource.interface, subject.id))?.find(
        (entry) =>
          named.sure.includes(entry.operation) &&
          (admission === 'yes' || entry.island) &&
          (entry.binding === subject.binding || (entry.binding === 'ip' && subject.binding === 'port+mac+ip')) &&
          entry.notBefore <= time &&
          // Without a time that somebody vouches for, any end may have come.
          (context.timeFloor === undefined ? time < entry.until : entry.until === Infinity),
      );
    },
  };
}

/** Nothing but a rate, which other requests may have taken, and obligations that a record fulfils. */
function isPlain({ conditions, uses, obligations = [] }: SliceGrant): boolean {
  const recorded = obligations.every(({ id }) => id === 'log' || id === 'notification');
  return Object.keys(conditions).length === 0 && uses === undefined && recorded;
}

const entryOf = ({ id, place, binding, notBefore, until }: SliceGrant, operation: string, island: boolean): Entry => ({
  rule: `grant:${id}`,
  place,
  binding,
  operation,
  island,
  notBefore: notBefore ?? -Infinity,
  until: until ?? Infinity,
});

/** Whatever its conditions and its dates: only the engine knows whether it spares the request. */
function reaches({ subjects, operations }: SliceDeny, subject: string, { possible }: NamedOperations): boolean {
  const isAbout = subjects.length === 0 || subjects.includes(subject);
  return isAbout && (operations.length === 0 || operations.some((name) => possible.includes(name)));
}
