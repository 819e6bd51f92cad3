// An order between two plans: a peer's addresses enter or leave a containment set as single elements, and what it still
// has open ends. The set alone cuts it, in both directions and at once; the rest keeps a flow from waking up again when
// the containment ends.
import type { Logger } from '../../runtime/log.ts';
import { plainAddress } from './addresses.ts';
import { containmentSets } from './plan.ts';
import type { Containment, FirewallPlan, SetDefinition } from './plan.ts';
import type { RunCommand } from './run.ts';

const kinds: readonly Containment[] = ['revoked', 'quarantined'];

/** Element keys a device adds to each containment set. The control plane's address is never among them. */
function keysOf(plan: FirewallPlan, device: string, kind: Containment): Map<string, string[]> {
  const keys = new Map<string, string[]>();
  const peer = plan.peers[device];
  for (const address of peer?.addresses ?? []) {
    if (plan.control.some((endpoint) => endpoint.address === address)) continue;
    const set = containmentSets[kind][plainAddress(address).family];
    keys.set(set, [...(keys.get(set) ?? []), address]);
  }
  if (peer !== undefined && peer.macs.length > 0) keys.set(containmentSets[kind].mac, [...peer.macs]);
  return keys;
}

const containmentNames = new Set<string>(Object.values(containmentSets).flatMap((sets) => Object.values(sets)));

/** The plan with a device in exactly the containment given, or in none. */
export function withContainment(plan: FirewallPlan, device: string, kind: Containment | undefined): FirewallPlan {
  const change = (set: SetDefinition): SetDefinition => {
    if (!containmentNames.has(set.name)) return set;
    const mine = new Set(kinds.flatMap((each) => keysOf(plan, device, each).get(set.name) ?? []));
    const wanted = kind === undefined ? [] : (keysOf(plan, device, kind).get(set.name) ?? []);
    const others = set.elements.map((element) => element.key[0] ?? '').filter((key) => !mine.has(key));
    const keys = [...others, ...wanted].sort();
    const isSame = keys.length === set.elements.length && keys.every((key, at) => key === set.elements[at]?.key[0]);
    return isSame ? set : { ...set, elements: keys.map((key) => ({ key: [key] })) };
  };
  return { ...plan, base: plan.base.map(change) };
}

/**
 * Forgets the peer's flows in both directions and closes its sockets on this host, except those of island operations
 * when it is quarantined. Best effort after the cut: what fails is logged, the packets stay out either way.
 */
export async function endFlows(
  run: RunCommand,
  log: Logger,
  plan: FirewallPlan,
  device: string,
  kind: Containment,
): Promise<void> {
  const addresses = [...new Set([...keysOf(plan, device, kind).values()].flat())].filter((key) => !isMac(key));
  const commands = addresses.flatMap((address) => {
    const family = plainAddress(address).family === 6 ? 'ipv6' : 'ipv4';
    const spared = kind === 'quarantined' ? (plan.peers[device]?.islandPorts ?? []) : [];
    const filter = spared.map((port) => `and not ( sport = :${port} or dport = :${port} )`).join(' ');
    return [
      ['conntrack', '-D', '-f', family, '-s', address],
      ['conntrack', '-D', '-f', family, '-d', address],
      ['ss', '-K', `dst ${family === 'ipv6' ? `[${address}]` : address} ${filter}`.trim()],
    ];
  });
  await Promise.all(
    commands.map(async (argv) => {
      const { code, stderr } = await run(argv);
      // conntrack answers 1 when there was nothing to delete.
      if (code !== 0 && !/0 flow entries/.test(stderr)) {
        log.warn({ command: argv.join(' '), code, stderr: stderr.trim() }, 'a flow of a contained peer may linger');
      }
    }),
  );
}

const isMac = (key: string): boolean => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(key);
