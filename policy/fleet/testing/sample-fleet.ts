// A fleet as fleets are: many sites of very different sizes, a few roles that most devices have, rules that mostly stay
// inside a site and a few that span all of them. The same seed gives the same fleet; for tests and benchmarks.
import { seededRandom } from '../../../store/simulated-files.ts';
import type { SliceDevice } from '../../bundle/slice.ts';
import type { FleetRule } from '../fleet.ts';
import type { SelectorOrAll } from '../selector.ts';

export interface SampleFleet {
  readonly devices: SliceDevice[];
  readonly rules: FleetRule[];
  /** Labels that a device of this fleet could have: other ones than before, as often as they are. */
  readonly labels: () => SampleLabels;
  /** A number from 0, below 1. */
  readonly random: () => number;
}

export interface SampleLabels extends Record<string, string> {
  readonly site: string;
  readonly role: string;
  readonly zone: string;
}

export interface SampleFleetSize {
  readonly devices: number;
  readonly rules: number;
  readonly seed?: number;
}

const zones = ['control', 'supervision', 'dmz', 'office'];

export function sampleFleet({ devices: count, rules: ruleCount, seed = 20_261_122 }: SampleFleetSize): SampleFleet {
  const random = seededRandom(seed);
  const sites = names('site', Math.max(2, Math.ceil(count / 50)));
  const roles = names('role', 24);
  /** Few are frequent, many rare: the share of place n falls with n (Zipf, exponent about 1). */
  const skewed = (list: readonly string[]): string => pick(list, Math.floor(list.length ** random()) - 1);
  const labels = (): SampleLabels => ({
    site: skewed(sites),
    role: skewed(roles),
    zone: skewed(zones),
  });
  const devices = Array.from({ length: count }, (_, index): SliceDevice => {
    const own = labels();
    return { id: `device-${index}`, labels: own, interfaces: [cardOf(index, own.site)] };
  });
  const bySite = Map.groupBy(devices, (device) => label(device, 'site'));
  const any = (): SliceDevice => pick(devices, Math.floor(random() * count));
  // Labels that some device has: a selector that chooses none is a mistake that lint reports.
  const inSite = (site: string): SelectorOrAll => {
    const here = bySite.get(site) ?? devices;
    return { labels: { site, role: label(pick(here, Math.floor(random() * here.length)), 'role') } };
  };
  const rules = Array.from({ length: ruleCount }, (_, index): FleetRule => {
    const id = `rule-${index}`;
    const kind = random();
    const site = label(any(), 'site');
    if (kind < 0.6) return { id, servers: inSite(site), clients: inSite(site) };
    // Across all sites: what keeps histories, updates, watches.
    if (kind < 0.72) return { id, servers: some(any(), 'role', 'zone'), clients: some(any(), 'role', 'zone') };
    if (kind < 0.88) return { id, servers: some(any(), 'role'), clients: some(any(), 'role') };
    if (kind < 0.96) return { id, servers: some(any(), 'site'), clients: [any().id, any().id] };
    if (kind < 0.99) return { id, servers: some(any(), 'zone') };
    return { id, servers: 'all' };
  });
  return { devices, rules, labels, random };
}

/** Pairs of devices that the rules are about: what an expansion would have to make. */
export function pairsOf(rules: readonly FleetRule[], sizeOf: (selector: SelectorOrAll) => number): number {
  return rules.reduce(
    (sum, { servers, clients }) => sum + sizeOf(servers) * (clients === undefined ? 1 : sizeOf(clients)),
    0,
  );
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

function label(device: SliceDevice, name: string): string {
  return device.labels[name] ?? '';
}

function some(device: SliceDevice, ...labels: readonly string[]): SelectorOrAll {
  return { labels: Object.fromEntries(labels.map((name) => [name, label(device, name)])) };
}

function pick<T>(list: readonly T[], index: number): T {
  const found = list[Math.min(Math.max(index, 0), list.length - 1)];
  if (found === undefined) throw new Error('nothing to pick from');
  return found;
}

function cardOf(index: number, site: string): SliceDevice['interfaces'][number] {
  const address = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
  return { name: 'eth0', network: `net-${site}`, address };
}
