// One slice per device: what it serves, what it may reach on peers, and the rules and addresses those need. Nothing
// else of the fleet goes onto a device that can be stolen.
import { attributeSources } from '../bundle/conditions.ts';
import type { SliceAttribute } from '../bundle/conditions.ts';
import type { Slice, SliceBreakGlass, SliceDeny, SliceGrant, SliceInterface } from '../bundle/slice.ts';
import { policyErrors } from '../errors.ts';
import { MAX_FLEET_DEVICES } from '../limits.ts';
import { attributePath } from '../engine/attributes.ts';
import { readsDocument } from '../engine/casbin-request.ts';
import { parseModelFile } from '../engine/casbin/model-file.ts';
import { indexCatalogue, memberSet, type Catalogue, type CatalogueInterface, type Ordered } from './catalogue.ts';
import { PeerRecords } from './peer-records.ts';
import { placeText } from './repository.ts';
import { attributesRead, type RuleConditions } from './resolve-conditions.ts';
import type { BreakGlassProfile, Deny, Device, Grant, Interface, Repository, Waiver } from './repository.ts';
import { openUntilOf } from './waiver.ts';
import { firewallFor } from './build-firewall.ts';
import { selfTestVectors, strangerTo } from './self-test.ts';

/** Slices by device id. A pure function of the repository: the same commit gives the same bytes. */
export function buildSlices(repository: Repository): Map<string, Slice> {
  const build = startBuild(repository);
  const stranger = strangerTo(new Set(repository.devices.map(({ id }) => id)));
  return new Map(
    repository.devices.map((device) => {
      const slice = buildSlice(build, device);
      return [device.id, { ...slice, selfTest: selfTestVectors(slice, stranger) }];
    }),
  );
}

/** The slices of some devices without their self-test vectors: to ask, not to publish. */
export function slicesToAsk(repository: Repository, devices: ReadonlySet<string>): Map<string, Slice> {
  const build = startBuild(repository);
  return new Map(
    repository.devices
      .filter(({ id }) => devices.has(id))
      .map((device) => [device.id, { ...buildSlice(build, device), selfTest: [] }]),
  );
}

/** What the slices of one repository share. */
interface Build {
  readonly repository: Repository;
  readonly catalogue: Catalogue;
  readonly peers: PeerRecords;
}

function startBuild(repository: Repository): Build {
  if (repository.devices.length > MAX_FLEET_DEVICES) {
    const message = `${repository.devices.length} devices in the inventory, at most ${MAX_FLEET_DEVICES} are compiled`;
    throw policyErrors.error('POLICY_FLEET_TOO_LARGE', message);
  }
  return { repository, catalogue: indexCatalogue(repository), peers: new PeerRecords(repository.devices) };
}

function buildSlice({ repository, catalogue, peers }: Build, device: Device): Omit<Slice, 'selfTest'> {
  const views = catalogue.interfacesOf(device.id).map((entry) => viewFrom(entry, device.id));
  const grants = inOrder(views, ({ of }) => of.grants).flatMap(([grant, view]) => grantFor(grant, view));
  const interfaces = views.flatMap((view) => interfacesFor(view, repository.waivers));
  const denies = inOrder(views, ({ of }) => of.denies).flatMap(([deny, view]) => denyFor(deny, view));
  // Only who serves an interface is asked about requests to it.
  const breakGlass = inOrder(
    views.filter(({ serves }) => serves),
    ({ of }) => of.breakGlass,
  ).flatMap(([entry]) => breakGlassFor(entry, device.id));
  const served = interfaces.filter((entry) => entry.device === device.id);
  const named = namedBy(device, [...grants, ...denies, ...breakGlass], interfaces);
  // Where nobody holds a grant yet, who asks is what observing is to find out.
  if (served.some((entry) => entry.observeUntil !== undefined))
    peers.neighboursOf(device).forEach((id) => named.add(id));
  const models = new Set(served.map((entry) => entry.casbin));
  const packages = new Set(served.map((entry) => entry.rego));
  const rego = repository.rego
    .filter(({ name }) => packages.has(name))
    .map(({ name, wasm, data, at }) => ({ name, wasm, data, place: placeText(at) }));
  const casbin = repository.casbin.filter((model) => models.has(model.name));
  const every = rego.length > 0 || casbin.some(({ model, files }) => readsDocument(requestFields(model, files.model)));
  const attributes = attributesFor(repository, [...grants, ...denies], every);
  return {
    format: 1,
    trustDomain: repository.trustDomain,
    device: device.id,
    devices: peers.of(device, named),
    interfaces,
    grants,
    denies,
    ...(breakGlass.length === 0 ? {} : { breakGlass }),
    ...(attributes.length === 0 ? {} : { attributes }),
    ...firewallFor(catalogue, device),
    casbin: casbin.map(({ name, model, policy, files }) => ({ name, model, policy, place: `${files.model}:1` })),
    ...(rego.length === 0 ? {} : { rego }),
  };
}

/** An interface and its rules as one device sees them. */
interface View {
  readonly device: string;
  readonly of: CatalogueInterface;
  readonly serves: boolean;
  /** Operations that grants open to the device on others that serve it. */
  readonly granted: ReadonlySet<string>;
}

function viewFrom(of: CatalogueInterface, device: string): View {
  const own = of.grants.filter(({ rule }) => memberSet(rule.subjects).has(device));
  return {
    device,
    of,
    serves: memberSet(of.entry.devices).has(device),
    granted: new Set(own.flatMap(({ rule }) => rule.operations)),
  };
}

/** Rules of all views in the order of the repository. */
function inOrder<R>(views: readonly View[], rulesOf: (view: View) => readonly Ordered<R>[]): [R, View][] {
  return views
    .flatMap((view) => rulesOf(view).map(({ rule, order }) => ({ rule, order, view })))
    .sort((a, b) => a.order - b.order)
    .map(({ rule, view }) => [rule, view]);
}

/** The lint has parsed it before anything is built. */
const requestFields = (model: string, file: string): readonly string[] => parseModelFile(model, file).request;

/**
 * The schema of what the rules read, as far as the repository declares it; the engine knows the built-in ones. `every`
 * where a Rego package or a Casbin model sees all that a request says.
 */
function attributesFor(
  { attributes }: Repository,
  rules: readonly { readonly conditions?: RuleConditions | undefined }[],
  every: boolean,
): SliceAttribute[] {
  const read = new Set(rules.flatMap(({ conditions }) => attributesRead(conditions ?? {})));
  return attributeSources.flatMap((source) =>
    [...attributes[source].values()].filter((schema) => every || read.has(attributePath(schema))).sort(byName),
  );
}

/**
 * One for each device that serves the interface, in their order. As server a device needs every subject of the grant; as
 * client only that it is one itself.
 */
function grantFor({ at, ...rule }: Grant, { device, of, serves }: View): SliceGrant[] {
  const place = placeText(at('id'));
  const isSubject = memberSet(rule.subjects).has(device);
  const servers = isSubject ? of.entry.devices : serves ? [device] : [];
  return servers.flatMap((server) => {
    if (server !== device) return [{ ...rule, subjects: [device], device: server, place }];
    const subjects = othersOf(rule.subjects, device);
    // Which workload of a peer speaks cannot be seen from here.
    const { workload: _, ...seen } = rule;
    return subjects.length === 0 ? [] : [{ ...seen, subjects, device, place }];
  });
}

/** A device needs no grant to reach itself, so it is never its own subject. */
function othersOf(subjects: string[], device: string): string[] {
  return memberSet(subjects).has(device) ? subjects.filter((subject) => subject !== device) : subjects;
}

function breakGlassFor({ at, ...rule }: BreakGlassProfile, device: string): SliceBreakGlass[] {
  const subjects = othersOf(rule.subjects, device);
  return subjects.length === 0 ? [] : [{ ...rule, subjects, device, place: placeText(at('id')) }];
}

/**
 * As client a device needs only the denies that name it, about operations it sees. In a deny an empty list means
 * everyone or everything, so a list that narrowing would empty leaves the deny out instead.
 */
function denyFor(deny: Deny, { device, of, serves, granted }: View): SliceDeny[] {
  const { at, subjects, ...rule } = deny;
  const place = placeText(at('id'));
  const everyone = subjects === 'all';
  const everything = rule.operations.length === 0;
  const operations = rule.operations.filter((name) => granted.has(name));
  const concerns =
    granted.size > 0 && (everything || operations.length > 0) && (everyone || memberSet(subjects).has(device));
  const servers = concerns ? of.entry.devices : serves ? [device] : [];
  return servers.map((server) =>
    server === device
      ? { ...rule, subjects: everyone ? [] : [...subjects], device, place }
      : { ...rule, operations, subjects: everyone ? [] : [device], device: server, place },
  );
}

/** Own interfaces complete; those of peers with the operations that a grant gives, without Casbin model and Rego package. */
function interfacesFor({ device, of, serves, granted }: View, waivers: readonly Waiver[]): SliceInterface[] {
  const { devices, at, operations: all, ...written } = of.entry;
  const entry = { ...written, ...deathOf(of.entry, waivers) };
  const place = placeText(at('name'));
  const operations = [...all].sort(byName);
  const { casbin: _, rego: __, ...narrowed } = entry;
  const seen = operations.filter(({ name }) => granted.has(name));
  const servers = seen.length > 0 ? devices : serves ? [device] : [];
  return servers.map((server) =>
    server === device
      ? { ...entry, device, operations, place }
      : { ...narrowed, device: server, operations: seen, place },
  );
}

/** Without a waiver nothing fails open, whatever is written; lint says so. */
function deathOf(entry: Interface, waivers: readonly Waiver[]): Pick<SliceInterface, 'onEnforcerDeath' | 'openUntil'> {
  const openUntil = openUntilOf(entry, waivers);
  if (openUntil !== undefined) return { onEnforcerDeath: 'open', openUntil };
  return { onEnforcerDeath: entry.onEnforcerDeath === 'open' ? 'closed' : entry.onEnforcerDeath };
}

function namedBy(
  device: Device,
  rules: readonly { readonly device: string; readonly subjects: readonly string[] }[],
  interfaces: readonly SliceInterface[],
): Set<string> {
  const named = new Set([device.id]);
  for (const entry of interfaces) named.add(entry.device);
  for (const rule of rules) {
    named.add(rule.device);
    for (const subject of rule.subjects) named.add(subject);
  }
  return named;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
