// Who has which role, directly or through other roles, closed when compiled: a look-up in a short sorted list instead of
// a walk without a visited set (fault 16). Cycles are harmless here. Chains deeper than the reference follows are refused.
// A copy shares what a delta does not change.
import { engineErrors } from '../errors.ts';
import { MAX_ROLE_DEPTH, MAX_ROLE_PAIRS } from '../limits.ts';
import { NO_ENTRY, NumberTable } from './number-table.ts';
import { NO_TEXT, type Texts } from './texts.ts';

/** Marks what one change has copied already and may therefore write to. */
export type Edit = object;

interface Holder {
  readonly edit: Edit;
  readonly name: number;
  readonly domain: number;
  /** Direct roles and direct members, as often as lines say so. */
  readonly roles: number[];
  readonly members: number[];
  /** Every role reached, ascending; undefined while it has to be closed anew. */
  reach: Uint32Array | undefined;
  /** The same with itself, what members that have no other role share; made when first asked for. */
  withSelf: Uint32Array | undefined;
  /** Links to the role farthest away. */
  depth: number;
}

const nothing = new Uint32Array(0);

export class Roles {
  readonly #table: NumberTable;
  readonly #holders: (Holder | undefined)[];
  /** The closures again, by the holder's index: what a request looks at, without the rest. */
  readonly #reaches: Uint32Array[];
  readonly #key = new Uint32Array(2);
  #open: Set<number> = new Set();
  #pairs: number;

  private constructor(table: NumberTable, holders: (Holder | undefined)[], reaches: Uint32Array[], pairs: number) {
    this.#table = table;
    this.#holders = holders;
    this.#reaches = reaches;
    this.#pairs = pairs;
  }

  static empty(): Roles {
    return new Roles(new NumberTable(2), [undefined], [nothing], 0);
  }

  copy(): Roles {
    return new Roles(this.#table.copy(), this.#holders.slice(), this.#reaches.slice(), this.#pairs);
  }

  /** Roles of `member` without itself, by number, ascending. */
  rolesOf(member: number, domain: number): Uint32Array {
    return this.#reaches[this.#indexOf(member, domain)] ?? nothing;
  }

  /** False for what no line mentions; equal names are the caller's to see. */
  linked(member: number, role: number, domain: number): boolean {
    if (member === NO_TEXT || role === NO_TEXT) return false;
    if (member === role) return true;
    return includes(this.rolesOf(member, domain), role);
  }

  link(member: number, role: number, domain: number, edit: Edit): void {
    this.#held(member, domain, edit).roles.push(role);
    this.#held(role, domain, edit).members.push(member);
    this.#reopen(member, domain, edit);
  }

  /** False when there is no such link. */
  unlink(member: number, role: number, domain: number, edit: Edit): boolean {
    const at = this.#find(member, domain)?.roles.indexOf(role) ?? -1;
    if (at === -1) return false;
    const members = this.#held(role, domain, edit).members;
    this.#held(member, domain, edit).roles.splice(at, 1);
    members.splice(members.indexOf(member), 1);
    this.#reopen(member, domain, edit);
    return true;
  }

  /** After links have changed. Throws ENGINE_CASBIN_TOO_LARGE for chains or closures beyond the limits. */
  close(texts: Texts, file: string): void {
    for (const index of this.#open) this.#reaches[index] = this.#closeHolder(index, 0, texts, file);
    this.#open = new Set();
  }

  /** What a change of its links concerns: the member and everybody below it. */
  #reopen(member: number, domain: number, edit: Edit): void {
    const front = [member];
    for (let name = front.pop(); name !== undefined; name = front.pop()) {
      const index = this.#indexOf(name, domain);
      if (this.#open.has(index)) continue;
      const holder = this.#held(name, domain, edit);
      this.#pairs -= holder.reach?.length ?? 0;
      holder.reach = undefined;
      holder.withSelf = undefined;
      this.#open.add(index);
      // One by one: a role may have more members than a call has arguments.
      for (const below of holder.members) front.push(below);
    }
  }

  #closeHolder(index: number, nested: number, texts: Texts, file: string): Uint32Array {
    const holder = this.#holders[index];
    if (holder === undefined) return nothing;
    if (holder.reach !== undefined) return holder.reach;
    const [only, ...others] = holder.roles;
    if (only === undefined) {
      holder.depth = 0;
      holder.reach = nothing;
      return nothing;
    }
    // One direct role, as most members have: its closure and itself, without a walk.
    if (others.length === 0 && only !== holder.name && nested <= MAX_ROLE_DEPTH) {
      const above = this.#find(only, holder.domain);
      const reach = this.#closeHolder(this.#indexOf(only, holder.domain), nested + 1, texts, file);
      const depth = (above?.depth ?? 0) + 1;
      if (
        above !== undefined &&
        holder.reach === undefined &&
        !includes(reach, holder.name) &&
        depth <= MAX_ROLE_DEPTH
      ) {
        return this.#closed(holder, (above.withSelf ??= withRole(reach, only)), depth, file);
      }
    }
    return holder.reach ?? this.#walk(holder, texts, file);
  }

  /** Breadth first, so that the depth found is the shortest one. */
  #walk(holder: Holder, texts: Texts, file: string): Uint32Array {
    const reached = new Set<number>();
    let front: readonly number[] = [holder.name];
    let depth = 0;
    for (;;) {
      const next: number[] = [];
      for (const name of front) {
        for (const role of this.#find(name, holder.domain)?.roles ?? []) {
          if (role === holder.name || reached.has(role)) continue;
          if (depth >= MAX_ROLE_DEPTH) {
            throw engineErrors.error(
              'ENGINE_CASBIN_TOO_LARGE',
              `${texts.text(holder.name)} reaches ${texts.text(role)} only over more than ${MAX_ROLE_DEPTH} roles, where casbin stops looking`,
              { place: { file } },
            );
          }
          reached.add(role);
          next.push(role);
        }
      }
      if (next.length === 0) break;
      front = next;
      depth++;
    }
    return this.#closed(holder, Uint32Array.from(reached).sort(), depth, file);
  }

  #closed(holder: Holder, reach: Uint32Array, depth: number, file: string): Uint32Array {
    this.#pairs += reach.length;
    if (this.#pairs > MAX_ROLE_PAIRS) {
      throw engineErrors.error('ENGINE_CASBIN_TOO_LARGE', `roles expand to more than ${MAX_ROLE_PAIRS} pairs`, {
        place: { file },
      });
    }
    holder.reach = reach;
    holder.depth = depth;
    return reach;
  }

  #indexOf(name: number, domain: number): number {
    this.#key[0] = name;
    this.#key[1] = domain;
    return this.#table.get(this.#key);
  }

  #find(name: number, domain: number): Holder | undefined {
    return this.#holders[this.#indexOf(name, domain)];
  }

  /** The holder, made or copied so that this edit may write to it. */
  #held(name: number, domain: number, edit: Edit): Holder {
    const index = this.#indexOf(name, domain);
    const old = this.#holders[index];
    if (old?.edit === edit) return old;
    const holder: Holder =
      old === undefined
        ? { edit, name, domain, roles: [], members: [], reach: nothing, withSelf: undefined, depth: 0 }
        : { ...old, edit, roles: old.roles.slice(), members: old.members.slice() };
    if (index === NO_ENTRY) {
      this.#table.set(this.#key, this.#holders.length);
      this.#holders.push(holder);
      this.#reaches.push(nothing);
    } else {
      this.#holders[index] = holder;
    }
    return holder;
  }
}

function withRole(reach: Uint32Array, role: number): Uint32Array {
  const all = new Uint32Array(reach.length + 1);
  let at = 0;
  while (at < reach.length && (reach[at] ?? 0) < role) at++;
  if (reach[at] === role) return reach;
  all.set(reach.subarray(0, at), 0);
  all[at] = role;
  all.set(reach.subarray(at), at + 1);
  return all;
}

function includes(sorted: Uint32Array, wanted: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === wanted;
}
