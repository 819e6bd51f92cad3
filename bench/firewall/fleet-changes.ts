// Random changes of a fleet's devices, each timed, and what has to be true of what they left behind.
import { compileFleet, type Fleet, type FleetDelta } from '../../policy/fleet/fleet.ts';
import { selects } from '../../policy/fleet/selector.ts';
import { setName } from '../../policy/fleet/shared-set.ts';
import type { SampleFleet } from '../../policy/fleet/testing/sample-fleet.ts';
import type { SliceDevice } from '../../policy/bundle/slice.ts';

export interface ChangeCosts {
  /** Milliseconds of each change. */
  readonly ms: readonly number[];
  /** Devices told of each change. */
  readonly told: readonly number[];
  /** Sets that each change moved. */
  readonly sets: readonly number[];
}

/** Mostly another label, sometimes another address, a device that goes, one that comes. Leaves `devices` as they then are. */
export function changeAtRandom(
  fleet: Fleet,
  sample: SampleFleet,
  devices: Map<string, SliceDevice>,
  count: number,
): ChangeCosts {
  const { random, labels } = sample;
  const ids = [...devices.keys()];
  const costs = { ms: [] as number[], told: [] as number[], sets: [] as number[] };
  const timed = (change: () => FleetDelta): void => {
    const start = performance.now();
    const { sets, holders, peers } = change();
    costs.ms.push(performance.now() - start);
    costs.told.push(holders.length + peers.length);
    costs.sets.push(sets.length);
  };
  for (let round = 0; round < count; round += 1) {
    const id = ids[Math.floor(random() * ids.length)] ?? '';
    const device = devices.get(id);
    const kind = random();
    if (device !== undefined && kind < 0.05) {
      timed(() => fleet.remove(id));
      devices.delete(id);
      continue;
    }
    const next = changed(device ?? { id, labels: labels(), interfaces: [] }, kind, labels(), round);
    timed(() => fleet.put(next));
    devices.set(id, next);
  }
  return costs;
}

function changed(device: SliceDevice, kind: number, labels: Record<string, string>, round: number): SliceDevice {
  if (kind > 0.85) {
    const address = `10.250.${(round >> 8) & 255}.${round & 255}`;
    return { ...device, interfaces: [{ name: 'eth0', network: 'moved', address }] };
  }
  // A label that no rule names is the change that moves nothing.
  if (kind > 0.75) return { ...device, labels: { ...device.labels, model: `model-${round}` } };
  const [name, value] = Object.entries(labels)[round % 3] ?? ['role', 'none'];
  return { ...device, labels: { ...device.labels, [name]: value } };
}

/**
 * What is wrong with a compiled fleet, by another way: every selector asked of every device, every name hashed from
 * that, every plan counted; nothing when all is right.
 */
export function faultsOf(
  fleet: Fleet,
  devices: readonly SliceDevice[],
  { rules }: Pick<SampleFleet, 'rules'>,
): string[] {
  const sets = fleet.sets();
  const members = new Map<string, readonly string[]>();
  const faults: string[] = [];
  for (const selector of rules.flatMap(({ servers, clients }) => [
    servers,
    ...(clients === undefined ? [] : [clients]),
  ])) {
    const key = JSON.stringify(selector);
    if (members.has(key)) continue;
    const chosen = devices
      .filter((device) => selects(selector, device))
      .map(({ id }) => id)
      .sort();
    members.set(key, chosen);
    const found = sets.get(setName(chosen))?.members ?? [];
    if (found.length !== chosen.length || found.some((id, place) => id !== chosen[place]))
      faults.push(`members of ${key}`);
  }
  const wanted = new Map<string, number>();
  const count = (selector: unknown): void => {
    for (const id of members.get(JSON.stringify(selector)) ?? []) wanted.set(id, (wanted.get(id) ?? 0) + 1);
  };
  for (const { servers, clients } of rules) {
    count(servers);
    if (clients !== undefined) count(clients);
  }
  for (const { id } of devices) {
    if (fleet.plan(id).length !== (wanted.get(id) ?? 0)) faults.push(`plan of ${id}`);
  }
  return faults;
}

/** What differs between a fleet that was changed and the same devices compiled cold. */
export function differencesFromCold(
  fleet: Fleet,
  devices: readonly SliceDevice[],
  { rules }: Pick<SampleFleet, 'rules'>,
): string[] {
  const cold = compileFleet(devices, rules);
  const names = new Set(fleet.sets().keys()).symmetricDifference(new Set(cold.sets().keys()));
  const text = (of: Fleet, id: string): string =>
    of
      .plan(id)
      .map(({ rule, role, peers }) => `${rule.id} ${role} ${peers?.name ?? ''}`)
      .join('\n');
  const plans = devices.filter(({ id }) => text(fleet, id) !== text(cold, id));
  return [...[...names].map((name) => `set ${name}`), ...plans.map(({ id }) => `plan of ${id}`)];
}
