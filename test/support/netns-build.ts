// Builds and removes the namespaces, bridges and links of a test network.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from './netns-process.ts';
import type { HostSpec } from './netns.ts';

export const namespaceFolder = '/run/netns';
/** ew-<pid of the owner>-<number>-<host> */
const namePattern = /^ew-(\d+)-\d+-/;

/** Where everything is. */
export interface Layout {
  readonly bridges: string;
  readonly namespaces: Readonly<Record<string, string>>;
  /** One veth pair an interface; `port` is its end at the bridge. */
  readonly ports: readonly {
    readonly host: string;
    readonly name: string;
    readonly port: string;
    readonly bridge: string;
  }[];
}

export function layOut(prefix: string, hosts: Readonly<Record<string, HostSpec>>): Layout {
  const interfaces = Object.entries(hosts).flatMap(([host, spec]) =>
    Object.entries(spec.interfaces).map(([name, entry]) => ({ host, name, network: entry.network })),
  );
  const order = [...new Set(interfaces.map((entry) => entry.network))];
  return {
    bridges: `${prefix}bridges`,
    namespaces: Object.fromEntries(Object.keys(hosts).map((host) => [host, `${prefix}${host}`])),
    ports: interfaces.map(({ host, name, network }, index) => ({
      host,
      name,
      port: `p${index + 1}`,
      bridge: `b${order.indexOf(network)}`,
    })),
  };
}

/** Namespaces of owners that are no longer alive, with what still runs in them. */
export async function removeLeftovers(): Promise<void> {
  for (const name of namespaces()) {
    const owner = Number(namePattern.exec(name)?.[1]);
    if (Number.isNaN(owner) || isAlive(owner)) continue;
    const { stdout } = await run(['ip', 'netns', 'pids', name]);
    for (const pid of stdout.split('\n').filter(Boolean)) killQuietly(Number(pid));
    await run(['ip', 'netns', 'delete', name]);
  }
}

function namespaces(): string[] {
  try {
    return readdirSync(namespaceFolder);
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

// Static addresses of the tests are known to be free, routers announce nothing, and the firewall under test, not the
// reverse path filter, has to be what stops a forged source.
const kernelSettings = [
  ['net/ipv6/conf/all/accept_dad', '0'],
  ['net/ipv6/conf/default/accept_dad', '0'],
  ['net/ipv6/conf/all/accept_ra', '0'],
  ['net/ipv6/conf/default/accept_ra', '0'],
  ['net/ipv4/conf/all/rp_filter', '0'],
  ['net/ipv4/conf/default/rp_filter', '0'],
  ['net/ipv4/ping_group_range', '0 2147483647'],
] as const;
const forwardingSettings = [
  ['net/ipv4/ip_forward', '1'],
  ['net/ipv6/conf/all/forwarding', '1'],
] as const;
// The bridges only carry frames: they solicit no routers, and no packet filter of theirs looks at what they carry.
const bridgeSettings = [
  ['net/ipv6/conf/all/disable_ipv6', '1'],
  ['net/ipv6/conf/default/disable_ipv6', '1'],
  ['net/bridge/bridge-nf-call-iptables', '0'],
  ['net/bridge/bridge-nf-call-ip6tables', '0'],
] as const;

async function prepare(namespace: string, settings: readonly (readonly [string, string])[]): Promise<void> {
  const script = settings.map(([key, value]) => `echo '${value}' > /proc/sys/${key} || true`).join('\n');
  await must(['nsenter', `--net=${join(namespaceFolder, namespace)}`, 'sh', '-c', script]);
}

/** Links are made inside their namespaces, so that every interface is born with its name. */
export async function build(layout: Layout, hosts: Readonly<Record<string, HostSpec>>): Promise<void> {
  const { bridges, namespaces: names, ports } = layout;
  await must(['ip', '-batch', '-'], [bridges, ...Object.values(names)].map((name) => `netns add ${name}`).join('\n'));
  await prepare(bridges, bridgeSettings);
  await Promise.all(
    Object.entries(hosts).map(([host, spec]) =>
      prepare(
        names[host] ?? '',
        spec.forwarding === true ? [...kernelSettings, ...forwardingSettings] : kernelSettings,
      ),
    ),
  );
  const bridgeNames = [...new Set(ports.map((entry) => entry.bridge))];
  const links = [
    ...bridgeNames.map(
      (name) => `link add ${name} netns ${bridges} type bridge stp_state 0 mcast_snooping 0 forward_delay 0`,
    ),
    ...ports.map(({ host, name, port }) => {
      const mac = hosts[host]?.interfaces[name]?.mac;
      const address = mac === undefined ? '' : `address ${mac} `;
      return `link add ${name} ${address}netns ${names[host]} type veth peer name ${port} netns ${bridges}`;
    }),
  ];
  await must(['ip', '-batch', '-'], links.join('\n'));
  const joins = [
    ...bridgeNames.map((name) => `link set ${name} up`),
    ...ports.map(({ port, bridge }) => `link set ${port} master ${bridge} up`),
  ];
  await must(['ip', '-n', bridges, '-batch', '-'], joins.join('\n'));
  await Promise.all(
    Object.entries(hosts).map(([host, spec]) =>
      must(['ip', '-n', names[host] ?? '', '-batch', '-'], hostLines(spec).join('\n')),
    ),
  );
}

function hostLines(spec: HostSpec): string[] {
  return [
    'link set lo up',
    ...Object.entries(spec.interfaces).flatMap(([name, entry]) => [
      ...entry.addresses.map((address) => `address add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`),
      `link set ${name} up`,
    ]),
    ...(spec.gateways ?? []).map((hop) => `route add default via ${hop}`),
  ];
}
