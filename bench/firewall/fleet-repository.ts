// A sample fleet as the policy repository that says it, already read: every rule with clients is an interface and a grant,
// every other one a packet rule.
import { indexInventory } from '../../policy/fleet/inventory-index.ts';
import type { SampleFleet } from '../../policy/fleet/testing/sample-fleet.ts';
import type { At, FirewallRule, Grant, Interface, Repository } from '../../policy/repository/repository.ts';

const at: At = () => ({ file: 'grants/fleet.yaml', line: 1 });

const byKey = <T>(keyOf: (entry: T) => string, list: readonly T[]): T[] =>
  list.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));

export function repositoryOf({ devices, rules }: Pick<SampleFleet, 'devices' | 'rules'>): Repository {
  const index = indexInventory(devices);
  const interfaces: Interface[] = [];
  const grants: Grant[] = [];
  const firewall: FirewallRule[] = [];
  for (const { id, servers, clients } of rules) {
    if (clients === undefined) {
      firewall.push({
        id,
        tier: 'admin',
        priority: 500,
        verdict: 'deny',
        devices: index.choose(servers),
        direction: 'in',
        transport: 'tcp',
        peers: ['0.0.0.0/0'],
        ports: [23, 23],
        written: 'peer',
        at,
      });
      continue;
    }
    const name = `port-of-${id}`;
    interfaces.push({
      name,
      devices: index.choose(servers),
      protocol: 'port',
      transport: 'tcp',
      port: 1000,
      operations: [{ name: 'use', protocol: 'port', class: 'normal', island: false }],
      onEnforcerDeath: 'closed',
      auditDurable: false,
      at,
    });
    const subjects = index.choose(clients);
    grants.push({ id, subjects, interface: name, operations: ['use'], binding: 'ip', conditions: {}, at });
  }
  const day = 86_400_000;
  return {
    trustDomain: 'plant.example',
    softExpiryMs: day,
    hardExpiryMs: 7 * day,
    networks: [],
    devices: byKey(
      ({ id }) => id,
      devices.map((device) => ({ ...device, workloads: [], at })),
    ),
    interfaces: byKey(({ name }) => name, interfaces),
    grants: byKey(({ id }) => id, grants),
    denies: [],
    breakGlass: [],
    firewall: byKey(({ id }) => id, firewall),
    traps: [],
    meters: [],
    island: [],
    feeds: [],
    protectedBlocks: [],
    casbin: [],
    rego: [],
    referenceValues: {},
    detections: {},
    playbooks: {},
    tests: [],
    invariants: [],
    fixtures: [],
    waivers: [],
    attributes: { subject: new Map(), resource: new Map(), context: new Map() },
    attributePlaces: new Map(),
  };
}
