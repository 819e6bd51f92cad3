// The build that catalogue.ts has to agree with: every rule expanded to every device that serves its interface, and each
// device looks at all of them. Quadratic in devices; for tests.
import { attributeSources } from '../../bundle/conditions.ts';
import type { SliceAttribute } from '../../bundle/conditions.ts';
import type { Slice, SliceBreakGlass, SliceDeny, SliceDevice, SliceGrant, SliceInterface } from '../../bundle/slice.ts';
import type { SliceFirewallRule } from '../../bundle/firewall.ts';
import { attributePath } from '../../engine/attributes.ts';
import { readsDocument } from '../../engine/casbin-request.ts';
import { parseModelFile } from '../../engine/casbin/model-file.ts';
import { placeText } from '../repository.ts';
import { attributesRead, type RuleConditions } from '../resolve-conditions.ts';
import type { BreakGlassProfile, Deny, Device, Grant, Interface, Repository } from '../repository.ts';

/** Slices by device id, without self-test vectors. */
export function naiveSlices(repository: Repository): Map<string, Omit<Slice, 'selfTest'>> {
  const catalogue = expandCatalogue(repository);
  return new Map(repository.devices.map((device) => [device.id, buildSlice(repository, catalogue, device)]));
}

/** Interfaces and rules with the device they concern: an interface on three devices counts three times. */
interface Catalogue {
  readonly interfaces: readonly SliceInterface[];
  readonly grants: readonly SliceGrant[];
  readonly denies: readonly SliceDeny[];
  readonly breakGlass: readonly SliceBreakGlass[];
}

function expandCatalogue(repository: Repository): Catalogue {
  const byName = new Map(repository.interfaces.map((entry) => [entry.name, entry]));
  const devicesOf = (name: string): readonly string[] => byName.get(name)?.devices ?? [];
  return {
    interfaces: repository.interfaces.flatMap((entry) => entry.devices.map((device) => sliceInterface(entry, device))),
    grants: repository.grants.flatMap((grant) =>
      devicesOf(grant.interface).flatMap((device) => sliceGrant(grant, device)),
    ),
    denies: repository.denies.flatMap((deny) => devicesOf(deny.interface).map((device) => sliceDeny(deny, device))),
    breakGlass: repository.breakGlass.flatMap((entry) =>
      devicesOf(entry.interface).flatMap((device) => sliceBreakGlass(entry, device)),
    ),
  };
}

function buildSlice(repository: Repository, catalogue: Catalogue, device: Device): Omit<Slice, 'selfTest'> {
  const grants = catalogue.grants.flatMap((grant) => grantFor(grant, device.id));
  const interfaces = interfacesFor(catalogue, grants, device.id);
  const denies = catalogue.denies.flatMap((deny) => denyFor(deny, device.id, interfaces));
  // Only who serves an interface is asked about requests to it.
  const breakGlass = catalogue.breakGlass.filter((entry) => entry.device === device.id);
  const served = interfaces.filter((entry) => entry.device === device.id);
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
    devices: devicesFor(repository, device, [...grants, ...denies, ...breakGlass], interfaces),
    interfaces,
    grants,
    denies,
    ...(breakGlass.length === 0 ? {} : { breakGlass }),
    ...(attributes.length === 0 ? {} : { attributes }),
    firewall: firewallFor(repository, device.id),
    ...reflexesFor(repository, device),
    casbin: casbin.map(({ name, model, policy, files }) => ({ name, model, policy, place: `${files.model}:1` })),
    ...(rego.length === 0 ? {} : { rego }),
  };
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

/** As server a device needs every subject of the grant; as client only that it is one itself. */
function grantFor(grant: SliceGrant, device: string): SliceGrant[] {
  const { workload: _, ...seen } = grant;
  if (grant.device === device) return [seen];
  if (!grant.subjects.includes(device)) return [];
  return [{ ...grant, subjects: [device] }];
}

/**
 * As client a device needs only the denies that name it, about operations it sees. In a deny an empty list means
 * everyone or everything, so a list that narrowing would empty leaves the deny out instead.
 */
function denyFor(deny: SliceDeny, device: string, interfaces: readonly SliceInterface[]): SliceDeny[] {
  if (deny.device === device) return [deny];
  const seen = interfaces.find((entry) => entry.device === deny.device && entry.name === deny.interface);
  const operations = deny.operations.filter((name) => seen?.operations.some((operation) => operation.name === name));
  const everyone = deny.subjects.length === 0;
  const everything = deny.operations.length === 0;
  if (seen === undefined || (!everything && operations.length === 0)) return [];
  if (!everyone && !deny.subjects.includes(device)) return [];
  return [{ ...deny, subjects: everyone ? [] : [device], operations }];
}

/** Own interfaces complete; those of peers with the operations that a grant gives, without Casbin model and Rego package. */
function interfacesFor(catalogue: Catalogue, grants: readonly SliceGrant[], device: string): SliceInterface[] {
  return catalogue.interfaces.flatMap((entry) => {
    if (entry.device === device) return [entry];
    const granted = new Set(
      grants
        .filter((grant) => grant.device === entry.device && grant.interface === entry.name)
        .flatMap((grant) => grant.operations),
    );
    if (granted.size === 0) return [];
    const { casbin: _, rego: __, ...rest } = entry;
    return [{ ...rest, operations: entry.operations.filter((operation) => granted.has(operation.name)) }];
  });
}

function devicesFor(
  repository: Repository,
  device: Device,
  rules: readonly { readonly device: string; readonly subjects: readonly string[] }[],
  interfaces: readonly SliceInterface[],
): SliceDevice[] {
  const named = new Set([
    device.id,
    ...interfaces.map((entry) => entry.device),
    ...rules.flatMap((rule) => [rule.device, ...rule.subjects]),
  ]);
  const networks = new Set(device.interfaces.map((card) => card.network));
  return repository.devices
    .filter((candidate) => named.has(candidate.id))
    .map((candidate) => ({
      id: candidate.id,
      labels: candidate.labels,
      interfaces: sharedInterfaces(candidate, networks),
    }));
}

/** Of a peer only the addresses on networks both are on; all of them when there is none, for routed sites. */
function sharedInterfaces(device: Device, networks: ReadonlySet<string>): SliceDevice['interfaces'] {
  const shared = device.interfaces.filter((card) => networks.has(card.network));
  return shared.length > 0 ? shared : device.interfaces;
}

function firewallFor(repository: Repository, device: string): SliceFirewallRule[] {
  return repository.firewall
    .filter((rule) => rule.devices.includes(device))
    .map((entry) => {
      const { devices: _, at, written: _w, ...rule } = entry;
      return { ...rule, place: placeText(at('id')) };
    });
}

/** Workloads, traps and island mode, where there are any. */
function reflexesFor({ traps, island }: Repository, device: Device): object {
  const workloads = device.workloads.map((entry, index) => ({
    ...entry,
    place: placeText(device.at('workloads', index)),
  }));
  const mine = traps.filter((trap) => trap.devices.includes(device.id));
  const own = island.find((entry) => entry.devices.includes(device.id));
  return {
    ...(workloads.length > 0 && { workloads }),
    ...(mine.length > 0 && {
      traps: mine.map((trap) => ({
        id: trap.id,
        transport: trap.transport,
        ports: trap.ports,
        blockSeconds: trap.blockSeconds,
        place: placeText(trap.at()),
      })),
    }),
    ...(own !== undefined && { island: { leaseSeconds: own.leaseSeconds, place: placeText(own.at()) } }),
  };
}

function sliceInterface(entry: Interface, device: string): SliceInterface {
  const { devices: _, at, operations, ...rest } = entry;
  return { ...rest, device, operations: [...operations].sort(byName), place: placeText(at('name')) };
}

/** A device needs no grant to reach itself, so it is never its own subject. */
function sliceGrant(grant: Grant, device: string): SliceGrant[] {
  const { at, ...rest } = grant;
  const subjects = grant.subjects.filter((subject) => subject !== device);
  return subjects.length === 0 ? [] : [{ ...rest, subjects, device, place: placeText(at('id')) }];
}

function sliceBreakGlass(entry: BreakGlassProfile, device: string): SliceBreakGlass[] {
  const { at, ...rest } = entry;
  const subjects = entry.subjects.filter((subject) => subject !== device);
  return subjects.length === 0 ? [] : [{ ...rest, subjects, device, place: placeText(at('id')) }];
}

function sliceDeny(deny: Deny, device: string): SliceDeny {
  const { at, subjects, ...rest } = deny;
  return { ...rest, subjects: subjects === 'all' ? [] : [...subjects], device, place: placeText(at('id')) };
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
