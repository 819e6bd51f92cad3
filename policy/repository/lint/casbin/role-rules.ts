// Roles of a Casbin policy: chains, cycles, roles nobody has, roles no line uses.
import type { Expression } from '../../../engine/casbin/matcher-syntax.ts';
import type { ModelFile } from '../../../engine/casbin/model-file.ts';
import { MAX_ROLE_DEPTH } from '../../../engine/limits.ts';
import { nearest } from '../../nearest.ts';
import type { Report } from '../../problems.ts';
import { termsOf, wholeField } from './matcher-terms.ts';
import type { ScannedLine } from './policy-scan.ts';
import { key, type RoleGraph } from './role-graph.ts';

interface RoleUse {
  /** Columns of p that hold roles of this definition. */
  readonly columns: ReadonlySet<number>;
  /** The member is r.sub, so the device ids of the inventory are who can have a role. */
  readonly ofSubjects: boolean;
}

export function lintRoles(
  lines: readonly ScannedLine[],
  expression: Expression,
  model: ModelFile,
  graphs: ReadonlyMap<string, RoleGraph>,
  devices: ReadonlySet<string>,
  problems: Report,
): void {
  const groups = Map.groupBy(
    lines.filter(({ kind }) => kind !== 'p'),
    ({ kind }) => kind,
  );
  for (const [name, group] of groups) {
    const graph = graphs.get(name);
    if (graph !== undefined) lintDepth(group, graph, problems);
    lintLinks(group, problems);
    lintCycles(group, problems);
  }
  for (const name of model.roles.keys()) {
    const use = useOf(name, expression, model);
    if (use === undefined) continue;
    const links = groups.get(name) ?? [];
    const policy = lines.filter(({ kind }) => kind === 'p');
    lintReferenced(links, policy, use, problems);
    if (use.ofSubjects) lintHeld(links, policy, use, devices, problems);
  }
}

/** How the matcher calls the definition; undefined when not plainly with (value, p.column). */
function useOf(name: string, expression: Expression, model: ModelFile): RoleUse | undefined {
  const calls = termsOf(expression).flatMap(({ term }) => (term.kind === 'call' && term.name === name ? [term] : []));
  const columns = new Set<number>();
  let ofSubjects = calls.length > 0;
  for (const { values } of calls) {
    const [member, role] = values;
    // A role written in the matcher is used there, and every other shape is not for this rule to understand.
    if (role?.kind !== 'policy') return undefined;
    columns.add(role.column);
    ofSubjects &&= model.request[wholeField(member) ?? -1] === 'sub';
  }
  return calls.length === 0 ? undefined : { columns, ofSubjects };
}

/** One report for each line that makes a chain longer than the engine, and the reference, follow. */
function lintDepth(group: readonly ScannedLine[], graph: RoleGraph, problems: Report): void {
  const reported = new Set<ScannedLine>();
  const members = new Map(group.map(({ values }) => [key(values[0]?.text, values[2]?.text), values]));
  for (const [member, , domain] of members.values()) {
    for (const [role, { depth, by }] of graph.rolesOf(member?.text ?? '', domain?.text ?? '')) {
      if (depth <= MAX_ROLE_DEPTH || reported.has(by)) continue;
      reported.add(by);
      const message = `${member?.text} reaches ${role} only over more than ${MAX_ROLE_DEPTH} roles, where casbin stops looking`;
      problems.add('CASBIN_ROLE_DEPTH', by.place, message);
    }
  }
}

function lintLinks(group: readonly ScannedLine[], problems: Report): void {
  const seen = new Map<string, number>();
  for (const { line, kind, values, place } of group) {
    const [member, role] = values;
    if (member?.text === role?.text) {
      problems.add('CASBIN_ROLE_SELF', place, `${member?.text} has itself as a role`);
    }
    const key = JSON.stringify(values.map(({ text }) => text));
    const first = seen.get(key);
    if (first === undefined) seen.set(key, line);
    else problems.add('CASBIN_LINE_DUPLICATE', place, `the same ${kind} line stands at line ${first} already`);
  }
}

/** Reports the line that closes each cycle, once for every set of roles that have each other. */
function lintCycles(group: readonly ScannedLine[], problems: Report): void {
  const links = Map.groupBy(group, ({ values }) => key(values[0]?.text ?? '', values[2]?.text));
  const state = new Map<string, 'open' | 'done'>();
  for (const start of links.keys()) {
    if (state.has(start)) continue;
    // Depth first without recursion: a chain can be as long as the file.
    const stack = [{ name: start, next: 0 }];
    state.set(start, 'open');
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const line = links.get(top.name)?.[top.next++];
      if (line === undefined) {
        state.set(top.name, 'done');
        stack.pop();
        continue;
      }
      const [member, role, domain] = line.values;
      const target = key(role?.text ?? '', domain?.text);
      if (member?.text === role?.text || state.get(target) === 'done') continue;
      if (state.get(target) === 'open') {
        const from = stack.findIndex(({ name }) => name === target);
        const names = stack.slice(from).map(({ name }) => nameOf(name));
        problems.add('CASBIN_ROLE_CYCLE', line.place, [...names, nameOf(target)].join(' has '));
        continue;
      }
      state.set(target, 'open');
      stack.push({ name: target, next: 0 });
    }
  }
}

const nameOf = (text: string): string => text.slice(text.indexOf('\n') + 1);

/** A role line whose role no p line names, itself or through the roles it has. */
function lintReferenced(
  links: readonly ScannedLine[],
  policy: readonly ScannedLine[],
  { columns }: RoleUse,
  problems: Report,
): void {
  const named = new Set(policy.flatMap(({ values }) => [...columns].map((column) => values[column]?.text ?? '')));
  const useful = new Set(named);
  const byRole = Map.groupBy(links, ({ values }) => values[1]?.text ?? '');
  const front = [...named];
  for (let name = front.pop(); name !== undefined; name = front.pop()) {
    for (const { values } of byRole.get(name) ?? []) {
      const member = values[0]?.text ?? '';
      if (useful.has(member)) continue;
      useful.add(member);
      front.push(member);
    }
  }
  for (const { values, place } of links) {
    const [member, role] = values;
    if (role === undefined || useful.has(role.text) || member?.text === role.text) continue;
    const near = nearest(role.text, named);
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    problems.add('CASBIN_ROLE_UNREFERENCED', place, `no p line names ${role.text} or a role it has${hint}`);
  }
}

/** A p line whose role no device has, directly or through other roles. */
function lintHeld(
  links: readonly ScannedLine[],
  policy: readonly ScannedLine[],
  { columns }: RoleUse,
  devices: ReadonlySet<string>,
  problems: Report,
): void {
  const byMember = Map.groupBy(links, ({ values }) => values[0]?.text ?? '');
  const held = new Set(devices);
  const front = [...devices].filter((device) => byMember.has(device));
  for (let name = front.pop(); name !== undefined; name = front.pop()) {
    for (const { values } of byMember.get(name) ?? []) {
      const role = values[1]?.text ?? '';
      if (held.has(role)) continue;
      held.add(role);
      front.push(role);
    }
  }
  const reported = new Set<string>();
  for (const { values } of policy) {
    for (const column of columns) {
      const role = values[column];
      if (role === undefined || held.has(role.text) || reported.has(role.text)) continue;
      reported.add(role.text);
      const cased = [...held].find((name) => name.toLowerCase() === role.text.toLowerCase());
      if (cased !== undefined) {
        problems.add('CASBIN_VALUE_CASE', role.place, `${role.text} is written ${cased} elsewhere`);
        continue;
      }
      const near = nearest(role.text, held);
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      problems.add('CASBIN_ROLE_UNHELD', role.place, `no device of the inventory is or has ${role.text}${hint}`);
    }
  }
}
