// Who has which role, directly or through other roles, closed once when compiled: a look-up in a set instead of a walk
// without a visited set (fault 16). Cycles are harmless here. Chains deeper than the reference follows are refused.
import { engineErrors } from '../errors.ts';
import { MAX_ROLE_DEPTH, MAX_ROLE_PAIRS } from '../limits.ts';
import type { RoleLine } from './policy-file.ts';

export interface RoleClosure {
  /** True for equal names too, also of names that no line mentions, as in the reference. */
  readonly linked: (member: string, role: string, domain: string) => boolean;
  /** Every role of `member` without itself; undefined when it has none. */
  readonly rolesOf: (member: string, domain: string) => ReadonlySet<string> | undefined;
}

export function closeRoles(lines: readonly RoleLine[], file: string): RoleClosure {
  const direct = new Map<string, Map<string, RoleLine[]>>();
  for (const line of lines) {
    const members = entry(direct, line.domain, () => new Map<string, RoleLine[]>());
    entry(members, line.member, () => []).push(line);
  }
  const closed = new Map<string, Map<string, ReadonlySet<string>>>();
  let pairs = 0;
  for (const [domain, members] of direct) {
    const roles = new Map<string, ReadonlySet<string>>();
    for (const member of members.keys()) {
      const reached = reach(member, members, file);
      pairs += reached.size;
      if (pairs > MAX_ROLE_PAIRS) {
        throw engineErrors.error('ENGINE_CASBIN_TOO_LARGE', `roles expand to more than ${MAX_ROLE_PAIRS} pairs`, {
          place: { file },
        });
      }
      roles.set(member, reached);
    }
    closed.set(domain, roles);
  }
  const rolesOf = (member: string, domain: string): ReadonlySet<string> | undefined => closed.get(domain)?.get(member);
  return {
    linked: (member, role, domain) => member === role || (rolesOf(member, domain)?.has(role) ?? false),
    rolesOf,
  };
}

/** Breadth first, so that the depth found is the shortest one. */
function reach(start: string, members: ReadonlyMap<string, readonly RoleLine[]>, file: string): ReadonlySet<string> {
  const reached = new Set<string>();
  let front = [start];
  for (let depth = 1; front.length > 0; depth++) {
    const next: string[] = [];
    for (const { role, line } of front.flatMap((member) => members.get(member) ?? [])) {
      if (role === start || reached.has(role)) continue;
      if (depth > MAX_ROLE_DEPTH) {
        throw engineErrors.error(
          'ENGINE_CASBIN_TOO_LARGE',
          `${start} reaches ${role} only over more than ${MAX_ROLE_DEPTH} roles, where casbin stops looking`,
          { place: { file, line } },
        );
      }
      reached.add(role);
      next.push(role);
    }
    front = next;
  }
  return reached;
}

function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
