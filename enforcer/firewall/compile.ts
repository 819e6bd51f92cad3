// Compiles a bundle's slice, the states of the devices and what this host is into one firewall plan. Pure: the same
// input gives the same plan, byte for byte.
import { proxiedProtocols } from '../../policy/bundle/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { neighbourhoodOf, plainAddress } from './addresses.ts';
import { addBaseSets, peersOf } from './base-sets.ts';
import { families } from './build.ts';
import type { Build, HostConfig, ProxyPorts } from './build.ts';
import { denyChains, generationChains } from './chains.ts';
import { firewallErrors } from './errors.ts';
import { epochSets } from './generation-input.ts';
import { grantSets, observedServices, observedSets } from './grant-sets.ts';
import { MAX_RULES_PER_CHAIN } from './limits.ts';
import { openUntil } from './opened.ts';
import { earlier, isContained, openingsOf } from './openings.ts';
import type { FirewallState } from './openings.ts';
import { packetRules } from './packet-rules.ts';
import { MAX_EPOCH, PROXIED_BIT } from './plan.ts';
import type { Chain, FirewallPlan } from './plan.ts';
import { reflexOf } from './reflex.ts';
import { SetRegistry } from './sets.ts';
import { userMaps } from './user-maps.ts';
import { workloadUsers } from './workloads.ts';

/**
 * The plan for this device. Without a slice (no verified bundle) only loopback and the control plane stay reachable.
 * Throws FIREWALL_TOO_LARGE rather than leave anything out, FIREWALL_ADDRESS for an address it cannot compare.
 */
export function compileFirewall(slice: Slice | undefined, state: FirewallState, host: HostConfig): FirewallPlan {
  if (!Number.isInteger(state.epoch) || state.epoch < 1 || state.epoch > MAX_EPOCH) {
    throw new RangeError(`epoch ${state.epoch} is outside 1 to ${MAX_EPOCH}`);
  }
  const known = slice ?? emptySlice(host.localDeviceId);
  if (known.device !== host.localDeviceId) {
    throw new RangeError(`the slice is for ${known.device}, this device is ${host.localDeviceId}`);
  }
  const warnings: string[] = [];
  const openings = openingsOf(known, state);
  const build: Build = {
    slice: known,
    host,
    base: new SetRegistry(),
    denies: new SetRegistry(),
    generation: new SetRegistry(),
    neighbourhood: neighbourhoodOf(known),
    openings,
    control: host.controlEndpoints.map((endpoint) => ({ ...endpoint, address: plainAddress(endpoint.address).text })),
    contained: isContained(state.states[known.device]),
    proxyPorts: proxyPortsOf(known, host, state, warnings),
    users: workloadUsers(known),
  };
  for (const { cgroup } of build.users) {
    if (cgroup === undefined || host.cgroups?.[cgroup] !== undefined) continue;
    warnings.push(`control group ${cgroup} is not there: what its workloads send is nobody's until it is`);
  }
  const observed = observedServices(build, state.now);
  epochOf(build.generation, state.epoch);
  addBaseSets(build, state.states);
  const rules = packetRules(build, state.now);
  const reflex = reflexOf(build);
  const grants = { 4: grantSets(4, build, state), 6: grantSets(6, build, state) };
  const input = {
    families: { 4: { ...grants[4], ...rules.families[4] }, 6: { ...grants[6], ...rules.families[6] } },
    ...observedSets(build, observed),
    users: userMaps(build, rules),
    ruleChains: [...rules.chains.values()],
    reflex: reflex.rules,
  };
  const denying = [...reflex.chains, ...rules.denyChains.values(), ...denyChains(input)];
  const opening = generationChains(input);
  refuseLongChains([...denying, ...opening]);
  const nextChange = [...observed.map((entry) => entry.wanted.until), ...waiverEnds(known, state)].reduce(
    earlier,
    earlier(openings.nextChange, rules.nextChange),
  );
  return {
    format: 2,
    device: known.device,
    epoch: state.epoch,
    compiledAt: state.now,
    base: build.base.definitions(),
    denies: { sets: build.denies.definitions(), chains: denying },
    generation: { sets: build.generation.definitions(), chains: opening },
    control: [...build.control],
    own: build.neighbourhood.own.map((entry) => entry.text),
    bundle: state.bundle ?? 0,
    ...(state.release === undefined ? {} : { release: state.release }),
    ordersSequence: state.ordersSequence,
    divertedFamilies: families.filter(
      (family) => grants[family].proxied.length > 0 || input.observedProxied.length > 0,
    ),
    peers: peersOf(build),
    places: placesOf(known),
    staged: Object.fromEntries(
      known.firewall.filter((rule) => rule.observe === true).map((rule) => [rule.id, rule.verdict]),
    ),
    warnings: [...openings.warnings, ...rules.warnings, ...warnings],
    ...(nextChange === undefined ? {} : { nextChange }),
  };
}

const waiverEnds = ({ interfaces, device }: Slice, state: FirewallState): (number | undefined)[] =>
  interfaces.map((service) => (service.device === device ? openUntil(service, state) : undefined));

function placesOf(slice: Slice): FirewallPlan['places'] {
  return Object.fromEntries([
    ...slice.firewall.map((rule) => [`firewall:${rule.id}`, rule.place]),
    ...slice.denies.map((deny) => [`deny:${deny.id}`, deny.place]),
    ...slice.grants.map((grant) => [`grant:${grant.id}`, grant.place]),
    ...slice.interfaces.map((entry) => [`interface:${entry.name}`, entry.place]),
    ...(slice.traps ?? []).map((trap) => [`trap:${trap.id}`, trap.place]),
    ...(slice.meters ?? []).map((meter) => [`meter:${meter.id}`, meter.place]),
  ]);
}

/** What tells flows of this plan from older ones; elements, so that a plan can follow another without new rules. */
function epochOf(registry: SetRegistry, epoch: number): void {
  const proxied = PROXIED_BIT + epoch;
  const marks = (name: string, ...values: number[]): void => {
    const wanted = values.map((value) => ({ key: [String(value)] }));
    registry.add(name, 'flows of this epoch', ['mark'], wanted);
  };
  const map = (name: string, mark: number): void => {
    const wanted = ['ipv4', 'ipv6'].map((family) => ({ key: [family], mark }));
    registry.add(name, 'mark of new flows', ['nf_proto'], wanted, { data: 'mark' });
  };
  marks(epochSets.plain, epoch);
  marks(epochSets.proxied, proxied);
  marks(epochSets.all, epoch, proxied);
  map(epochSets.admit, epoch);
  map(epochSets.admitProxied, proxied);
}

/** A long list costs every packet that gets that far; it is refused, never cut off. */
function refuseLongChains(chains: readonly Chain[]): void {
  for (const chain of chains) {
    if (chain.rules.length <= MAX_RULES_PER_CHAIN) continue;
    throw firewallErrors.error(
      'FIREWALL_TOO_LARGE',
      `chain ${chain.name} would have ${chain.rules.length} rules; at most ${MAX_RULES_PER_CHAIN} keep packets fast`,
    );
  }
}

function emptySlice(device: string): Slice {
  return {
    format: 1,
    trustDomain: '',
    device,
    devices: [],
    interfaces: [],
    grants: [],
    denies: [],
    firewall: [],
    casbin: [],
    selfTest: [],
  };
}

/** Some protocols never reach their server but through a proxy; an interface of theirs without one stays closed. */
function proxyPortsOf(
  slice: Slice,
  host: HostConfig,
  state: FirewallState,
  warnings: string[],
): Map<string, ProxyPorts | undefined> {
  const listening = new Map(host.proxies.map(({ interface: name, ...own }) => [name, own]));
  const ports = new Map<string, ProxyPorts | undefined>();
  for (const service of slice.interfaces.filter((entry) => entry.device === slice.device)) {
    const own = listening.get(service.name);
    if (own === undefined && !proxiedProtocols.has(service.protocol)) continue;
    if (own === undefined) {
      warnings.push(`interface ${service.name}: no proxy runs for it here, so it stays closed (${service.place})`);
    }
    const until = openUntil(service, state);
    if (until !== undefined) {
      const end = new Date(until).toISOString();
      warnings.push(
        `interface ${service.name}: OPEN when the enforcer dies, by a waiver until ${end} (${service.place})`,
      );
    }
    ports.set(service.name, own);
  }
  return ports;
}
