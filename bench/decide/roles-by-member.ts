// Roles of every member of every domain, through other roles too: for engines that are told them.
import type { Link } from './corpus.ts';

/** By `domain member`; without the member itself. */
export function rolesByMember(links: readonly Link[]): ReadonlyMap<string, readonly string[]> {
  const direct = Map.groupBy(links, ({ member, dom }) => `${dom} ${member}`);
  const closed = new Map<string, readonly string[]>();
  for (const [key, [first]] of direct) {
    const names = [first?.member ?? ''];
    for (const name of names) {
      for (const { role } of direct.get(`${first?.dom} ${name}`) ?? []) if (!names.includes(role)) names.push(role);
    }
    closed.set(key, names.slice(1));
  }
  return closed;
}
