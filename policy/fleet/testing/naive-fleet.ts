// The obvious way to compile a fleet, which the compiled one has to agree with: every rule asked of every pair of
// devices. Quadratic in devices; for tests.
import type { SliceDevice } from '../../bundle/slice.ts';
import type { FleetRule, Role } from '../fleet.ts';
import { selects } from '../selector.ts';

export interface NaiveEntry {
  readonly rule: string;
  readonly role: Role;
  /** The other side without the device itself. */
  readonly peers: readonly SliceDevice[];
}

export function naivePlan(devices: readonly SliceDevice[], rules: readonly FleetRule[], id: string): NaiveEntry[] {
  const self = devices.find((device) => device.id === id);
  if (self === undefined) return [];
  const others = (selector: FleetRule['servers']): SliceDevice[] =>
    devices.filter((device) => device !== self && selects(selector, device)).sort((a, b) => (a.id < b.id ? -1 : 1));
  return rules.flatMap(({ id: rule, servers, clients }): NaiveEntry[] => {
    if (clients === undefined) return selects(servers, self) ? [{ rule, role: 'holder', peers: [] }] : [];
    return [
      ...(selects(servers, self) ? [{ rule, role: 'server' as const, peers: others(clients) }] : []),
      ...(selects(clients, self) ? [{ rule, role: 'client' as const, peers: others(servers) }] : []),
    ];
  });
}
