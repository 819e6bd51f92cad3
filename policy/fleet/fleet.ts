// A whole fleet's rules compiled at once: one shared set for each distinct selector, and for each device the rules that
// concern it. The expansion of each rule to pairs of devices is never made: 1,000 rules over 10,000 devices are hundreds
// of millions of pairs, and a few hundred thousand entries here.
//   const fleet = compileFleet(devices, rules);
//   const { sets, holders, peers } = fleet.put({ id: 'plc-7', labels: { site: 's2' }, interfaces: [] });
import { canonicalJson } from '../../runtime/canonical-json.ts';
import type { SliceDevice } from '../bundle/slice.ts';
import { policyErrors } from '../errors.ts';
import { MAX_FLEET_DEVICES, MAX_FLEET_MEMBERS, MAX_FLEET_RULES } from '../limits.ts';
import { indexInventory } from './inventory-index.ts';
import { labelKey, labelsOf, selectorKey, selects, type SelectorOrAll } from './selector.ts';
import { setName, type SharedSet } from './shared-set.ts';

/** A grant, deny or break-glass profile says who may reach whom; a packet rule only whom it is for. */
export interface FleetRule {
  readonly id: string;
  /** Devices that serve the interface, or that hold the packet rule. */
  readonly servers: SelectorOrAll;
  /** Its subjects; absent for packet rules, and for denies of everyone. */
  readonly clients?: SelectorOrAll;
}

/** `server` and `client` of a rule with clients; `holder` of one without. */
export type Role = 'server' | 'client' | 'holder';

/** One rule as it concerns a device. */
export interface PlanEntry {
  readonly rule: FleetRule;
  readonly role: Role;
  /** The other side: clients of a server, servers of a client; the device itself may be among them and is no peer of itself. */
  readonly peers?: SharedSet;
}

export interface SetDelta {
  readonly selector: SelectorOrAll;
  /** Its name so far; another selector that chooses the same devices may go on under it. */
  readonly before: string;
  readonly after: string;
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** What one change of the inventory means; ids are sorted. */
export interface FleetDelta {
  readonly sets: readonly SetDelta[];
  /** Devices with another plan: a set that they hold changed, or the list of their rules. */
  readonly holders: readonly string[];
  /** Devices whose plan is as before, and that know the changed device's labels and addresses. */
  readonly peers: readonly string[];
}

export interface Fleet {
  /** By name; selectors that choose the same devices are one set. */
  sets(): ReadonlyMap<string, SharedSet>;
  /** Rules that concern a device in the order they were given, a rule's `server` before its `client`; empty for a device that is not there. */
  plan(id: string): readonly PlanEntry[];
  /** Adds a device, or replaces its labels and addresses. Throws POLICY_FLEET_TOO_LARGE and changes nothing. */
  put(device: SliceDevice): FleetDelta;
  /** No delta for a device that is not there. */
  remove(id: string): FleetDelta;
}

/** Most that is compiled; beyond it is refused, never cut short. */
export interface FleetBounds {
  readonly devices: number;
  readonly rules: number;
  /** Of all distinct selectors together. */
  readonly members: number;
}

const fleetBounds: FleetBounds = {
  devices: MAX_FLEET_DEVICES,
  rules: MAX_FLEET_RULES,
  members: MAX_FLEET_MEMBERS,
};

/** Throws POLICY_FLEET_TOO_LARGE beyond the bounds; devices and rules have different ids. */
export function compileFleet(
  devices: Iterable<SliceDevice>,
  rules: readonly FleetRule[],
  bounds: FleetBounds = fleetBounds,
): Fleet {
  return new CompiledFleet([...devices], rules, bounds);
}

const nothing: FleetDelta = { sets: [], holders: [], peers: [] };

interface Member {
  readonly id: string;
  device: SliceDevice;
  sets: readonly LiveSet[];
  /** Among all devices, by id. */
  place: number;
}

/** A rule's two entries are shared by all devices that it concerns. */
interface Entry extends PlanEntry {
  /** Place in every plan. */
  readonly order: number;
}

class LiveSet implements SharedSet {
  readonly selector: SelectorOrAll;
  /** Sorted by id. */
  list: Member[];
  /** What each member has in its plan because it is one. */
  readonly entries: Entry[] = [];
  /** Sets whose members hold this one, or know its members: the other sides of its rules. */
  readonly counterparts = new Set<LiveSet>();
  #name: string | undefined;

  constructor(selector: SelectorOrAll, list: Member[]) {
    this.selector = selector;
    this.list = list;
  }

  get members(): readonly string[] {
    return this.list.map(({ id }) => id);
  }

  get name(): string {
    return (this.#name ??= setName(this.members));
  }

  add(member: Member): void {
    this.list.splice(placeOf(this.list, member.id), 0, member);
    this.#name = undefined;
  }

  delete(member: Member): void {
    this.list.splice(placeOf(this.list, member.id), 1);
    this.#name = undefined;
  }
}

/** First place whose id is not smaller. */
function placeOf(list: readonly Member[], id: string): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle]?.id ?? '') < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

class CompiledFleet implements Fleet {
  readonly #members = new Map<string, Member>();
  /** The same by id. */
  readonly #sorted: Member[];
  readonly #told = new Told();
  readonly #sets = new Map<string, LiveSet>();
  /** Where a device finds the selectors that may choose it: by id, and by the rarest label of each. */
  readonly #ofAll: LiveSet[] = [];
  readonly #byId = new Map<string, LiveSet[]>();
  readonly #byLabel = new Map<string, LiveSet[]>();
  readonly #bounds: FleetBounds;
  #memberships = 0;

  constructor(devices: readonly SliceDevice[], rules: readonly FleetRule[], bounds: FleetBounds) {
    this.#bounds = bounds;
    atMost(bounds.devices, devices.length, 'devices in the inventory');
    atMost(bounds.rules, rules.length, 'rules');
    const index = indexInventory(devices);
    for (const device of devices) {
      this.#members.set(device.id, { id: device.id, device, sets: [], place: 0 });
    }
    this.#sorted = index.ids.flatMap((id) => this.#members.get(id) ?? []);
    this.#number(0);
    const setOf = (selector: SelectorOrAll): LiveSet => {
      const key = selectorKey(selector);
      const known = this.#sets.get(key);
      if (known !== undefined) return known;
      const ids = index.choose(selector);
      this.#count(ids.length);
      const set = new LiveSet(
        selector,
        ids.flatMap((id) => this.#members.get(id) ?? []),
      );
      this.#sets.set(key, set);
      this.#listSelector(set, (name, value) => index.countOf(name, value));
      return set;
    };
    for (const [order, rule] of rules.entries()) this.#addRule(rule, order * 2, setOf);
    this.#listSets();
  }

  sets(): ReadonlyMap<string, SharedSet> {
    return new Map([...this.#sets.values()].map(({ name, members }) => [name, { name, members }]));
  }

  plan(id: string): readonly PlanEntry[] {
    return planOf(this.#members.get(id)?.sets ?? []);
  }

  put(device: SliceDevice): FleetDelta {
    const known = this.#members.get(device.id);
    if (known !== undefined && canonicalJson(known.device) === canonicalJson(device)) return nothing;
    const wanted = this.#setsOf(device);
    if (known === undefined) atMost(this.#bounds.devices, this.#members.size + 1, 'devices in the inventory');
    this.#count(wanted.length - (known?.sets.length ?? 0));
    const member = known ?? { id: device.id, device, sets: [], place: 0 };
    if (known === undefined) {
      this.#members.set(device.id, member);
      const place = placeOf(this.#sorted, device.id);
      this.#sorted.splice(place, 0, member);
      this.#number(place);
    }
    member.device = device;
    return this.#move(member, wanted, known === undefined);
  }

  remove(id: string): FleetDelta {
    const member = this.#members.get(id);
    if (member === undefined) return nothing;
    this.#count(-member.sets.length);
    const delta = this.#move(member, [], true);
    this.#members.delete(id);
    this.#sorted.splice(member.place, 1);
    this.#number(member.place);
    return delta;
  }

  /** Gives the devices from a place on their places. */
  #number(from: number): void {
    for (let place = from; place < this.#sorted.length; place += 1) {
      const member = this.#sorted[place];
      if (member !== undefined) member.place = place;
    }
  }

  #addRule(rule: FleetRule, order: number, setOf: (selector: SelectorOrAll) => LiveSet): void {
    const servers = setOf(rule.servers);
    if (rule.clients === undefined) {
      servers.entries.push({ rule, role: 'holder', order });
      return;
    }
    const clients = setOf(rule.clients);
    servers.entries.push({ rule, role: 'server', peers: clients, order });
    clients.entries.push({ rule, role: 'client', peers: servers, order: order + 1 });
    servers.counterparts.add(clients);
    clients.counterparts.add(servers);
  }

  #listSelector(set: LiveSet, countOf: (name: string, value: string) => number): void {
    const { selector } = set;
    if (selector === 'all') {
      this.#ofAll.push(set);
    } else if (Array.isArray(selector)) {
      for (const id of new Set(selector)) append(this.#byId, id, set);
    } else {
      const [rarest] = labelsOf(selector).sort((a, b) => countOf(...a) - countOf(...b));
      if (rarest === undefined) this.#ofAll.push(set);
      else append(this.#byLabel, labelKey(...rarest), set);
    }
  }

  #setsOf(device: SliceDevice): LiveSet[] {
    const labelled = Object.entries(device.labels)
      .flatMap(([name, value]) => this.#byLabel.get(labelKey(name, value)) ?? [])
      .filter(({ selector }) => selects(selector, device));
    return [...this.#ofAll, ...(this.#byId.get(device.id) ?? []), ...labelled];
  }

  #listSets(): void {
    const sets = new Map<Member, LiveSet[]>();
    for (const set of this.#sets.values()) for (const member of set.list) append(sets, member, set);
    for (const [member, list] of sets) member.sets = list;
  }

  /** Takes a device from the sets that it was in to those that choose it now. */
  #move(member: Member, wanted: readonly LiveSet[], appearsOrGoes: boolean): FleetDelta {
    const before = new Set(member.sets);
    const after = new Set(wanted);
    const changed = [...before.symmetricDifference(after)];
    const sets = changed.map((set): SetDelta => {
      const name = set.name;
      const isAdded = after.has(set);
      if (isAdded) set.add(member);
      else set.delete(member);
      const ids = [member.id];
      return {
        selector: set.selector,
        before: name,
        after: set.name,
        added: isAdded ? ids : [],
        removed: isAdded ? [] : ids,
      };
    });
    const told = this.#told;
    told.begin(this.#sorted.length);
    if (appearsOrGoes || changed.length > 0) told.tell(member);
    for (const set of changed) told.tellCounterparts(set);
    const holders = told.take(this.#sorted);
    told.tell(member);
    for (const set of before.intersection(after)) told.tellCounterparts(set);
    const peers = told.take(this.#sorted);
    member.sets = wanted;
    return { sets, holders, peers };
  }

  #count(more: number): void {
    atMost(this.#bounds.members, this.#memberships + more, 'members of all sets together');
    this.#memberships += more;
  }
}

/** Whom a change is told: in rounds, and nobody in two rounds of one change, however many of its sets changed. */
class Told {
  /** Number of the round that last met the device at each place; all of earlier changes are below `#firstRound`. */
  #met = new Uint32Array(0);
  #firstRound = 1;
  #round = 1;

  /** Of a fleet with so many devices. */
  begin(devices: number): void {
    if (this.#met.length < devices || this.#round > 2 ** 31) {
      this.#met = new Uint32Array(devices * 2);
      this.#round = 1;
    }
    this.#firstRound = ++this.#round;
  }

  tell({ place }: Member): void {
    if ((this.#met[place] ?? 0) < this.#firstRound) this.#met[place] = this.#round;
  }

  tellCounterparts(set: LiveSet): void {
    for (const other of set.counterparts) for (const member of other.list) this.tell(member);
  }

  /** Sorted ids of the round; the next one begins. */
  take(all: readonly Member[]): string[] {
    const ids: string[] = [];
    for (let place = 0; place < all.length; place += 1) {
      if (this.#met[place] === this.#round) ids.push(all[place]?.id ?? '');
    }
    this.#round += 1;
    return ids;
  }
}

/** A set is met once, so no entry comes twice. */
function planOf(sets: readonly LiveSet[]): Entry[] {
  return sets.flatMap(({ entries }) => entries).sort((a, b) => a.order - b.order);
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function atMost(bound: number, found: number, what: string): void {
  if (found <= bound) return;
  throw policyErrors.error('POLICY_FLEET_TOO_LARGE', `${found} ${what}, at most ${bound} are compiled`);
}
