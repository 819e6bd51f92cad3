// The packet side of a slice: rules with the date until which their feed is believed, workloads, traps, meters, island
// mode. Each list but the rules is absent when it is empty.
import type { SliceFirewallRule } from '../bundle/firewall.ts';
import type { Slice } from '../bundle/slice.ts';
import type { Catalogue } from './catalogue.ts';
import { placeText, type At, type Device, type FirewallRule } from './repository.ts';

export function firewallFor(
  catalogue: Catalogue,
  device: Device,
): Pick<Slice, 'firewall' | 'workloads' | 'traps' | 'meters' | 'island'> {
  const workloads = device.workloads.map((workload, index) => ({
    ...workload,
    place: placeText(device.at('workloads', index)),
  }));
  const traps = catalogue.trapsOf(device.id).map(withPlace);
  const meters = catalogue.metersOf(device.id).map(withPlace);
  const [island] = catalogue.islandOf(device.id).map(withPlace);
  return {
    firewall: catalogue.firewallOf(device.id).map(sliceRule),
    ...(workloads.length === 0 ? {} : { workloads }),
    ...(traps.length === 0 ? {} : { traps }),
    ...(meters.length === 0 ? {} : { meters }),
    ...(island === undefined ? {} : { island }),
  };
}

function sliceRule(entry: FirewallRule): SliceFirewallRule {
  const { devices: _, at, written: _w, feed: _f, feedUntil, until, ...rule } = entry;
  const ends = [feedUntil, until].filter((end) => end !== undefined);
  return { ...rule, ...(ends.length === 0 ? {} : { until: Math.min(...ends) }), place: placeText(at('id')) };
}

function withPlace<E extends { readonly devices: readonly string[]; readonly at: At }>(
  entry: E,
): Omit<E, 'devices' | 'at'> & { place: string } {
  const { devices: _, at, ...rest } = entry;
  return { ...rest, place: placeText(at()) };
}
