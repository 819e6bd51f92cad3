// Which paths the grants of a slice open now: (address of the other side, transport, port), for interfaces this device
// serves and for those it may reach. Coarse on purpose for HTTP and Modbus, whose own enforcement points judge each
// request; exact for plain ports, where nobody looks again.
import type { Slice, SliceDeny, SliceGrant, SliceInterface, SliceOperation } from '../../policy/bundle/index.ts';
import { calendarAt, rowOf } from '../../policy/engine/index.ts';
import type { SubjectState } from '../../policy/engine/index.ts';
import { neighbourhoodOf } from './addresses.ts';
import type { Neighbourhood, PeerAddress } from './addresses.ts';
import type { Family, PlanRelease } from './plan.ts';
import { isUsedHere, unbound } from './workloads.ts';

/** What changes without a new bundle. */
export interface FirewallState {
  /** Raised by one with every plan that could take a right away, so that established flows are judged again. */
  readonly epoch: number;
  /** Version of the bundle that the slice is from; default 0, none. */
  readonly bundle?: number;
  /** Whose it is; every rule's provenance. */
  readonly release?: PlanRelease;
  /** Milliseconds since the epoch, from the trusted clock. */
  readonly now: number;
  /** False while nobody vouches for `now`. Default: it is. */
  readonly timeTrusted?: boolean;
  /** Number of the last signed order that `states` already contains; 0 for none. */
  readonly ordersSequence: number;
  /** State of every device of the slice as the last signed states say; one that is not listed is `unknown` and gets nothing. */
  readonly states: Readonly<Record<string, SubjectState>>;
  /**
   * The engine's answer for a grant on a plain port: its conditions, and what the age of the bundle still admits. Without
   * it a grant whose conditions name attestation or risk stays closed. Time windows and end dates are handled here, by
   * the kernel's own timers.
   */
  readonly conditionsHold?: (grant: SliceGrant, subject: string) => boolean;
}

export interface Opening {
  readonly family: Family;
  readonly peer: string;
  readonly address: string;
  readonly transport: 'tcp' | 'udp';
  readonly port: number;
  readonly interface: string;
  readonly grant: string;
  /** On this device only packets of this workload take it. */
  readonly workload?: string;
  readonly island: boolean;
  /** One of its operations is of class safety. */
  readonly safety: boolean;
  readonly until?: number;
}

/** A path of a grant that a deny closes whole. */
export interface Closed extends Pick<Opening, 'family' | 'address' | 'transport' | 'port'> {
  readonly deny: string;
}

export interface Openings {
  readonly served: readonly Opening[];
  readonly reached: readonly Opening[];
  /** Paths that no grant opens because of denies; none that another grant opens all the same. */
  readonly closedHere: readonly Closed[];
  readonly closedThere: readonly Closed[];
  readonly warnings: readonly string[];
  readonly nextChange?: number;
}

/** What a device in this state may still do: the engine's table (design: decision order, step 2). */
export function stateAdmits(state: SubjectState, operation: Pick<SliceOperation, 'class' | 'island'>): boolean {
  const admission = rowOf(state)[operation.class];
  return admission === 'yes' || (admission === 'island' && operation.island);
}

/** An order holds this device back: it keeps the control plane and what its containment spares, no allow rule, no name service. */
export function isContained(state: SubjectState | undefined): boolean {
  return state !== undefined && rowOf(state).contained;
}

/** Under quarantine this device spares safety operations too, not only those marked for island mode. */
function ownStateAdmits(state: SubjectState | undefined, operation: SliceOperation): boolean {
  if (state === undefined || !isContained(state)) return true;
  return stateAdmits(state, operation) || (state === 'quarantined' && operation.class === 'safety');
}

interface Validity {
  readonly open: boolean;
  /** When the kernel has to close it by itself. */
  readonly until?: number;
  /** When this answer changes next. */
  readonly changesAt?: number;
}

/** Start and end date, days and daily window of a grant at `now`. */
export function validity(grant: Pick<SliceGrant, 'notBefore' | 'until' | 'conditions'>, now: number): Validity {
  const { open, changesAt } = calendarAt({ ...grant.conditions, notBefore: grant.notBefore, until: grant.until }, now);
  if (changesAt === undefined) return { open };
  return open ? { open, until: changesAt, changesAt } : { open, changesAt };
}

/** Opens nothing without a slice. */
export function openingsOf(slice: Slice, state: FirewallState): Openings {
  const neighbourhood = neighbourhoodOf(slice);
  const served: Opening[] = [];
  const reached: Opening[] = [];
  const closedHere: Closed[] = [];
  const closedThere: Closed[] = [];
  const warnings: string[] = [];
  let nextChange: number | undefined;
  const denied = new Map<string, number>();
  for (const deny of slice.denies) {
    const changesAt = denyChangesAt(deny, state.now);
    nextChange = earlier(nextChange, changesAt);
    if (changesAt === undefined || deny.device !== slice.device) continue;
    denied.set(deny.interface, Math.min(changesAt, denied.get(deny.interface) ?? changesAt));
  }
  for (const service of slice.interfaces) {
    for (const grant of slice.grants) {
      if (grant.interface !== service.name || grant.device !== service.device) continue;
      if (grant.workload !== undefined && isUsedHere(slice, grant)) {
        const why = unbound(slice, grant.workload);
        if (why !== undefined) {
          warnings.push(`grant ${grant.id}: workload ${grant.workload} stays out, ${why} (${grant.place})`);
          continue;
        }
      }
      const when = validity(grant, state.now);
      nextChange = earlier(nextChange, when.changesAt);
      if (!when.open) continue;
      // A port that a deny will close is closed by the kernel at that moment, whether or not the enforcer is alive.
      const end = service.protocol === 'port' ? earlier(when.until, denied.get(service.name)) : when.until;
      const until = end === undefined ? {} : { until: end };
      if (service.device === slice.device) {
        for (const subject of grant.subjects.filter((id) => id !== slice.device)) {
          const paths = pathsFrom(slice, service, grant, subject, state, neighbourhood, warnings);
          served.push(...paths.map((path) => ({ ...path, ...until })));
          closedHere.push(...closedBy(slice, service, grant, subject, neighbourhood.peers.get(subject)));
        }
      } else if (grant.subjects.includes(slice.device)) {
        const who = grant.workload === undefined ? until : { ...until, workload: grant.workload };
        reached.push(...pathsTo(slice, service, grant, state, neighbourhood).map((path) => ({ ...path, ...who })));
        closedThere.push(...closedBy(slice, service, grant, slice.device, neighbourhood.peers.get(service.device)));
      }
    }
  }
  return {
    served,
    reached,
    closedHere: withoutOpen(closedHere, served),
    closedThere: withoutOpen(closedThere, reached),
    warnings,
    ...(nextChange === undefined ? {} : { nextChange }),
  };
}

/** The paths of a grant whose operations denies take back one and all. */
function closedBy(
  slice: Slice,
  service: SliceInterface,
  grant: SliceGrant,
  subject: string,
  addresses: readonly PeerAddress[] = [],
): Closed[] {
  const first = service.operations.find((operation) => grant.operations.includes(operation.name));
  if (first === undefined || grantedOperations(slice, service, grant, subject).length > 0) return [];
  const deny = slice.denies.find((entry) => takesBack(entry, service, subject, first.name));
  if (deny === undefined) return [];
  const { transport, port } = service;
  return addresses.map(({ family, text }) => ({ family, address: text, transport, port, deny: deny.id }));
}

const pathKey = ({ address, transport, port }: Pick<Opening, 'address' | 'transport' | 'port'>): string =>
  `${address} ${transport} ${port}`;

function withoutOpen(closed: readonly Closed[], open: readonly Opening[]): Closed[] {
  const paths = new Set(open.map(pathKey));
  return closed.filter((path) => !paths.has(pathKey(path)));
}

/** For good: the deny holds whatever the time and the attributes. */
function takesBack(deny: SliceDeny, service: SliceInterface, subject: string, operation: string): boolean {
  return (
    deny.interface === service.name &&
    deny.device === service.device &&
    isUnconditional(deny) &&
    (deny.subjects.length === 0 || deny.subjects.includes(subject)) &&
    (deny.operations.length === 0 || deny.operations.includes(operation))
  );
}

export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

function denyChangesAt({ conditions, notBefore, until }: SliceDeny, now: number): number | undefined {
  return calendarAt({ ...conditions, notBefore, until }, now).changesAt;
}

/** One that depends on time or attributes closes no path by itself: who judges the requests behind it asks the engine. */
function isUnconditional(deny: SliceDeny): boolean {
  return deny.conditions === undefined && deny.notBefore === undefined && deny.until === undefined;
}

/** Operations of the interface that the grant names and no deny takes back from the subject for good. */
function grantedOperations(
  slice: Slice,
  service: SliceInterface,
  grant: SliceGrant,
  subject: string,
): SliceOperation[] {
  const denied = (operation: string): boolean =>
    slice.denies.some((deny) => takesBack(deny, service, subject, operation));
  return service.operations.filter((operation) => grant.operations.includes(operation.name) && !denied(operation.name));
}

function pathsFrom(
  slice: Slice,
  service: SliceInterface,
  grant: SliceGrant,
  subject: string,
  state: FirewallState,
  neighbourhood: Neighbourhood,
  warnings: string[],
): Opening[] {
  const subjectState = state.states[subject] ?? 'unknown';
  const own = state.states[slice.device];
  const operations = grantedOperations(slice, service, grant, subject).filter(
    (operation) =>
      // Quarantined peers are held back by their own set, so that an order needs no new plan: see containmentSets.
      (subjectState === 'quarantined' || stateAdmits(subjectState, operation)) && ownStateAdmits(own, operation),
  );
  if (operations.length === 0) return [];
  if (service.protocol === 'port' && !(state.conditionsHold?.(grant, subject) ?? !needsEngine(slice, grant))) return [];
  const addresses = neighbourhood.peers.get(subject) ?? [];
  const why = (address: PeerAddress): string | undefined =>
    unproven(grant, address) ?? claimedBy(neighbourhood, subject, address, grant);
  const proven = addresses.filter((address) => why(address) === undefined);
  const [first] = addresses;
  if (proven.length === 0) {
    const reason = first === undefined ? 'the inventory names no address for it' : why(first);
    warnings.push(`grant ${grant.id}: ${subject} stays out, ${reason} (${grant.place})`);
  } else {
    const shared = addresses.flatMap((address) => claimedBy(neighbourhood, subject, address, grant) ?? []);
    warnings.push(
      ...shared.map((text) => `grant ${grant.id}: ${subject} is let in only in part, ${text} (${grant.place})`),
    );
  }
  return proven.map((address) => opening(service, grant, subject, address, operations));
}

/** Whether more than time, which is handled here, decides about a plain port. */
function needsEngine({ denies }: Slice, { conditions, interface: name, device }: SliceGrant): boolean {
  const { timeWindow: _, weekdays: __, ...others } = conditions;
  if (Object.keys(others).length > 0) return true;
  return denies.some((deny) => deny.interface === name && deny.device === device && !isUnconditional(deny));
}

/** Why an address does not prove the subject as the grant's binding wants it; undefined when it does. */
function unproven(grant: SliceGrant, address: PeerAddress): string | undefined {
  if (grant.binding === 'svid') return undefined;
  if (address.interfaces.length === 0) return 'its network is not attached here, so its address cannot be checked';
  if (grant.binding === 'port+mac+ip' && address.mac === undefined) return 'the inventory names no MAC for it';
  return undefined;
}

/** Networks may use the same addresses; where two of them are attached here, an address alone does not say whose it is. */
function claimedBy(
  neighbourhood: Neighbourhood,
  subject: string,
  { text }: PeerAddress,
  { binding }: SliceGrant,
): string | undefined {
  if (binding === 'svid') return undefined;
  const other = ownersOf(neighbourhood)
    .get(text)
    ?.find((device) => device !== subject);
  return other === undefined ? undefined : `its address ${text} is that of ${other || 'this device'} too`;
}

const knownOwners = new WeakMap<Neighbourhood, ReadonlyMap<string, readonly string[]>>();

/** By address, the devices that are believed here with it; this one as an empty id. */
function ownersOf(neighbourhood: Neighbourhood): ReadonlyMap<string, readonly string[]> {
  const known = knownOwners.get(neighbourhood);
  if (known !== undefined) return known;
  const owners = new Map<string, string[]>();
  const add = (text: string, device: string): void => {
    owners.set(text, [...(owners.get(text) ?? []), device]);
  };
  for (const { text } of neighbourhood.own) add(text, '');
  for (const [device, addresses] of neighbourhood.peers) {
    for (const { text, interfaces } of addresses) if (interfaces.length > 0) add(text, device);
  }
  knownOwners.set(neighbourhood, owners);
  return owners;
}

function pathsTo(
  slice: Slice,
  service: SliceInterface,
  grant: SliceGrant,
  state: FirewallState,
  neighbourhood: Neighbourhood,
): Opening[] {
  const peerState = state.states[service.device] ?? 'unknown';
  const operations = grantedOperations(slice, service, grant, slice.device).filter(
    (operation) =>
      (peerState === 'quarantined' || stateAdmits(peerState, operation)) &&
      ownStateAdmits(state.states[slice.device], operation),
  );
  if (operations.length === 0) return [];
  return (neighbourhood.peers.get(service.device) ?? []).map((address) =>
    opening(service, grant, service.device, address, operations),
  );
}

function opening(
  service: SliceInterface,
  grant: SliceGrant,
  peer: string,
  address: PeerAddress,
  operations: readonly SliceOperation[],
): Opening {
  return {
    family: address.family,
    peer,
    address: address.text,
    transport: service.transport,
    port: service.port,
    interface: service.name,
    grant: grant.id,
    island: operations.some((operation) => operation.island),
    safety: operations.some((operation) => operation.class === 'safety'),
  };
}
