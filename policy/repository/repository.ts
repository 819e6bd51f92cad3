// A policy repository after reading: every reference resolved, every selector turned into device ids, every rule with
// the place it was written at. What build, test and publication work on.
import type { Place } from '../../runtime/errors.ts';
import type { AttributeSource, SliceAttribute } from '../bundle/conditions.ts';
import type {
  SliceBreakGlass,
  SliceCasbin,
  SliceDeny,
  SliceDevice,
  SliceGrant,
  SliceInterface,
  SliceOperation,
  SliceRego,
} from '../bundle/slice.ts';
import type { SliceFirewallRule, SliceIsland, SliceMeter, SliceTrap, SliceWorkload } from '../bundle/firewall.ts';
import type { Feed } from './feed.ts';
import type { InvariantScope, TestCase } from './format/tests.ts';
import type { RegoFolder } from './rego/compiler.ts';
import type { RuleId } from './rules.ts';

/** Place of a value inside the entry, e.g. `at('operations', 0)`. */
export type At = (...path: readonly (string | number)[]) => Place;

/** A program of a device: `name` and exactly one of the others. */
export type Workload = Omit<SliceWorkload, 'place'>;

export interface Device extends SliceDevice {
  readonly workloads: readonly Workload[];
  readonly at: At;
}

export interface Network {
  readonly name: string;
  readonly cidrs: readonly string[];
  readonly at: At;
}

/** An interface of the catalogue, on every device its selector chose. */
export interface Interface extends Omit<SliceInterface, 'device' | 'operations' | 'place'> {
  readonly devices: readonly string[];
  readonly operations: readonly SliceOperation[];
  readonly at: At;
}

export interface Grant extends Omit<SliceGrant, 'device' | 'place'> {
  readonly at: At;
}

export interface Deny extends Omit<SliceDeny, 'device' | 'subjects' | 'place'> {
  /** `all`, or device ids; never an empty list. */
  readonly subjects: 'all' | readonly string[];
  readonly at: At;
}

export interface BreakGlassProfile extends Omit<SliceBreakGlass, 'device' | 'place'> {
  readonly at: At;
}

export interface FirewallRule extends Omit<SliceFirewallRule, 'place' | 'until'> {
  readonly devices: readonly string[];
  /** The key that names its peers. */
  readonly written: 'peer' | 'peers' | 'names' | 'feed';
  /** Name of the threat feed that `peers` comes from; it is believed until `feedUntil`. */
  readonly feed?: string;
  readonly feedUntil?: number;
  readonly until?: number;
  readonly at: At;
}

export interface Trap extends Omit<SliceTrap, 'place'> {
  readonly devices: readonly string[];
  readonly at: At;
}

export interface Meter extends Omit<SliceMeter, 'place'> {
  readonly devices: readonly string[];
  readonly at: At;
}

/** How these devices come back from island mode. */
export interface Island extends Omit<SliceIsland, 'place'> {
  readonly devices: readonly string[];
  readonly at: At;
}

export interface ThreatFeed extends Feed {
  readonly name: string;
  readonly path: string;
  /** As feeds.yaml says; absent where it says nothing. */
  readonly expires?: number;
}

export interface CasbinModel extends Omit<SliceCasbin, 'place'> {
  readonly files: { readonly model: string; readonly policy: string };
}

export interface RegoPackage extends Omit<SliceRego, 'place'> {
  readonly folder: RegoFolder;
  /** Of its rule `decision`. */
  readonly at: Place;
}

export interface Waiver {
  readonly id: string;
  readonly rule: RuleId;
  /** The grant it is about, or `excuses`: a file, or one line of it as `file:line`. */
  readonly grant?: string;
  readonly interface?: string;
  readonly excuses?: string;
  readonly owner: string;
  readonly reason: string;
  readonly until: number;
  readonly at: At;
}

/** One question with its expected answer; `at` is that of the row in a table. */
export type PolicyTest = TestCase & { readonly at: At };

/** A statement about every request of a scope. */
export interface Invariant extends Omit<InvariantScope, 'subjects'> {
  readonly name: string;
  readonly kind: 'never' | 'always';
  /** `all` also means devices that nobody knows. */
  readonly subjects: 'all' | readonly string[];
  readonly at: At;
}

/** The schema of schema/*.json, by source and name. */
export type Attributes = Readonly<Record<AttributeSource, ReadonlyMap<string, SliceAttribute>>>;

export interface Repository {
  readonly trustDomain: string;
  readonly softExpiryMs: number;
  readonly hardExpiryMs: number;
  readonly networks: readonly Network[];
  readonly devices: readonly Device[];
  readonly interfaces: readonly Interface[];
  readonly grants: readonly Grant[];
  readonly denies: readonly Deny[];
  readonly breakGlass: readonly BreakGlassProfile[];
  readonly firewall: readonly FirewallRule[];
  readonly traps: readonly Trap[];
  readonly meters: readonly Meter[];
  readonly island: readonly Island[];
  readonly feeds: readonly ThreatFeed[];
  /** What no feed may name, with its place. */
  readonly protectedBlocks: readonly { readonly cidr: string; readonly at: Place }[];
  readonly casbin: readonly CasbinModel[];
  readonly rego: readonly RegoPackage[];
  /** Device id or `*`, then executable path, to accepted digests. */
  readonly referenceValues: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly detections: Readonly<Record<string, string>>;
  readonly playbooks: Readonly<Record<string, string>>;
  readonly tests: readonly PolicyTest[];
  readonly invariants: readonly Invariant[];
  /** Recorded decisions in fixtures/, as written. */
  readonly fixtures: readonly { readonly path: string; readonly text: string }[];
  readonly waivers: readonly Waiver[];
  readonly attributes: Attributes;
  /** Where schema/ declares each attribute, by `source.name`. */
  readonly attributePlaces: ReadonlyMap<string, Place>;
}

/** `file:line`, as a slice carries it. */
export function placeText(place: Place): string {
  return place.line === undefined ? place.file : `${place.file}:${place.line}`;
}
