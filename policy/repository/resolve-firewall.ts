// The packet rules of firewall/ with what they refer to: devices, workloads, and threat feeds, whose addresses become
// their peers.
import type { Place } from '../../runtime/errors.ts';
import { peerKeys, type FirewallEntry } from './format/firewall.ts';
import { idPattern } from '../bundle/scalars.ts';
import { parseFeed } from './feed.ts';
import type { Problems } from './problems.ts';
import type { Files } from './read-files.ts';
import type { At, FirewallRule, Island, Meter, Repository, ThreatFeed, Trap } from './repository.ts';
import { checkWorkload, chooseDevices, entryAt, periodOf, unknown, type Resolver } from './resolve.ts';

/** Each list once, with the end that feeds.yaml gives it. Problems of their lines are the lint's. */
export function readFeeds(files: Files, resolver: Resolver): Map<string, ThreatFeed> {
  const expires = new Map<string, number>();
  for (const file of files.feeds) {
    for (const [name, settings] of Object.entries(file.value.feeds)) {
      expires.set(name, settings.expires);
      if (files.netsets.has(name)) continue;
      unknown(resolver, 'netsets', 'list', name, files.netsets.keys(), file.placeOf(['feeds', name]));
    }
  }
  return new Map(
    [...files.netsets].map(([name, { path, text }]) => {
      if (!idPattern.test(name)) {
        resolver.problems.add(
          'POLICY_FORMAT',
          { file: path },
          `${name} is not an id; expected lower case letters and digits`,
        );
      }
      const until = expires.get(name);
      return [name, { name, path, ...parseFeed(text), ...(until === undefined ? {} : { expires: until }) }];
    }),
  );
}

export function protectedBlocks(files: Files): Repository['protectedBlocks'] {
  return files.feeds.flatMap((file) =>
    file.value.protected.map((cidr, index) => ({ cidr, at: file.placeOf(['protected', index]) })),
  );
}

export interface ResolvedFirewall {
  readonly rules: readonly FirewallRule[];
  readonly traps: readonly Trap[];
  readonly meters: readonly Meter[];
  readonly island: readonly Island[];
}

export function resolveFirewall(
  files: Files,
  resolver: Resolver,
  feeds: ReadonlyMap<string, ThreatFeed>,
): ResolvedFirewall {
  const observed = new Set(
    files.firewall.flatMap(({ value: { tiers } }) =>
      (['admin', 'baseline'] as const).filter((tier) => tiers[tier]?.observe === true),
    ),
  );
  const entries = <T>(
    list: 'rules' | 'traps' | 'meters' | 'island',
    read: (file: Files['firewall'][number], index: number, at: At) => T,
  ): T[] =>
    files.firewall.flatMap((file) => file.value[list].map((_, index) => read(file, index, entryAt(file, list, index))));
  const on = (devices: FirewallEntry['devices'], at: At): string[] => chooseDevices(devices, resolver, at('devices'));
  return {
    rules: entries('rules', (file, index, at) => {
      const entry = file.value.rules[index]!;
      const devices = on(entry.devices, at);
      checkWorkload(resolver, entry.workload, devices, at('workload'));
      const observe = entry.observe || observed.has(entry.tier);
      return {
        ...ruleOf(entry),
        ...feedOf(entry, resolver, feeds, at),
        ...(observe ? { observe: true as const } : {}),
        devices,
        at,
      };
    }),
    traps: entries('traps', (file, index, at) => {
      const { id, devices, transport, ports, block } = file.value.traps[index]!;
      return { id, transport, ports, blockSeconds: block, devices: on(devices, at), at };
    }),
    meters: entries('meters', (file, index, at) => {
      const { id, devices, transport, flowsPerSecond, burst = flowsPerSecond, block } = file.value.meters[index]!;
      return { id, transport, flowsPerSecond, burst, blockSeconds: block, devices: on(devices, at), at };
    }),
    island: entries('island', (file, index, at) => {
      const { devices, lease } = file.value.island[index]!;
      return { ...(lease === undefined ? {} : { leaseSeconds: lease }), devices: on(devices, at), at };
    }),
  };
}

function ruleOf(entry: FirewallEntry): Omit<FirewallRule, 'devices' | 'at'> {
  const { peer, peers, names, to, ports, workload, rate, connections, conditions } = entry;
  const { timeWindow, weekdays } = conditions ?? {};
  return {
    id: entry.id,
    tier: entry.tier,
    priority: entry.priority,
    verdict: entry.action,
    direction: entry.direction,
    transport: entry.transport,
    written: peerKeys.find((key) => entry[key] !== undefined) ?? 'peer',
    peers: peer === undefined ? (peers ?? []) : [peer],
    ...(names === undefined ? {} : { names }),
    ...(to === undefined ? {} : { to }),
    ...(ports === undefined ? {} : { ports }),
    ...(workload === undefined ? {} : { workload }),
    ...(rate === undefined ? {} : { rate: { ...rate, burst: rate.burst ?? rate.flows } }),
    ...(connections === undefined ? {} : { maxConnections: connections }),
    ...((timeWindow ?? weekdays) === undefined
      ? {}
      : {
          conditions: {
            ...(timeWindow === undefined ? {} : { timeWindow }),
            ...(weekdays === undefined ? {} : { weekdays }),
          },
        }),
    ...periodOf(entry),
  };
}

/** The addresses of the feed that a rule names, until the earlier of the two dates that may be said of it. */
function feedOf(
  { feed: name, expires }: FirewallEntry,
  resolver: Resolver,
  feeds: ReadonlyMap<string, ThreatFeed>,
  at: At,
): Partial<Pick<FirewallRule, 'feed' | 'peers' | 'feedUntil'>> {
  if (name === undefined) return {};
  const feed = feeds.get(name);
  if (feed === undefined) {
    unknown(resolver, 'netsets', 'feed', name, feeds.keys(), at('feed'));
    return {};
  }
  const ends = [expires, feed.expires].filter((end) => end !== undefined);
  if (ends.length === 0) {
    const message = `nothing says until when ${name} may be believed; expected expires: here or in feeds/feeds.yaml`;
    resolver.problems.add('POLICY_FORMAT', at('feed'), message);
  }
  return { feed: name, peers: [...feed.peers], feedUntil: Math.min(...ends) };
}

/** The first of the entries that name the same device twice, e.g. of two `island:` entries. */
export function checkOnePerDevice(island: readonly Island[], problems: Problems): void {
  const first = new Map<string, Place>();
  for (const { devices, at } of island) {
    for (const device of devices) {
      const place = first.get(device);
      if (place === undefined) {
        first.set(device, at('devices'));
        continue;
      }
      const message = `${device} has its island mode at ${place.file}:${place.line ?? 1} already`;
      problems.add('POLICY_ID_DUPLICATE', at('devices'), message);
      break;
    }
  }
}
