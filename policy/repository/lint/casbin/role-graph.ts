// Who has which role over the g lines of one role definition, with the length of the shortest chain.
import type { ScannedLine } from './policy-scan.ts';

export interface RoleGraph {
  /** Every role of `member` without itself, with the links to it and the line that made the last one. */
  readonly rolesOf: (member: string, domain: string) => ReadonlyMap<string, { depth: number; by: ScannedLine }>;
}

/** `lines` are of one role definition and have its columns. */
export function roleGraph(lines: readonly ScannedLine[]): RoleGraph {
  const direct = Map.groupBy(lines, ({ values }) => key(values[0]?.text, values[2]?.text));
  const closed = new Map<string, ReadonlyMap<string, { depth: number; by: ScannedLine }>>();
  const none: ReadonlyMap<string, { depth: number; by: ScannedLine }> = new Map();
  return {
    rolesOf: (member, domain) => {
      const name = key(member, domain);
      if (!direct.has(name)) return none;
      let found = closed.get(name);
      if (found === undefined) closed.set(name, (found = reach(member, domain, direct)));
      return found;
    },
  };
}

function reach(
  start: string,
  domain: string,
  direct: ReadonlyMap<string, readonly ScannedLine[]>,
): ReadonlyMap<string, { depth: number; by: ScannedLine }> {
  const reached = new Map<string, { depth: number; by: ScannedLine }>();
  let front = [start];
  for (let depth = 1; front.length > 0; depth++) {
    const next: string[] = [];
    for (const by of front.flatMap((member) => direct.get(key(member, domain)) ?? [])) {
      const role = by.values[1]?.text ?? '';
      if (role === start || reached.has(role)) continue;
      reached.set(role, { depth, by });
      next.push(role);
    }
    front = next;
  }
  return reached;
}

/** Columns hold no line feed. */
export const key = (name = '', domain = ''): string => `${domain}\n${name}`;
