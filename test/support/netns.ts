// A network of hosts on one machine: every host is a network namespace with its own interfaces, addresses, routes,
// firewall and programs, joined by bridges in a namespace of their own. Needs root and iproute2; used by tests, the
// demo and the soak, so it knows no test runner.
//   await using net = await createNetwork({ hosts: { plc: { interfaces: { eth0: { network: 'cell', … } } } } });
import { spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { build, layOut, namespaceFolder, removeLeftovers } from './netns-build.ts';
import type { Layout } from './netns-build.ts';
import { agentOf } from './netns-probe.ts';
import type { Agent, EchoServer, Flow, ProbeResult, Protocol } from './netns-probe.ts';
import { endChild, must, run, start } from './netns-process.ts';
import type { ExecOptions, ExecResult, NetProcess } from './netns-process.ts';
import { watchPackets } from './netns-watch.ts';
import type { PacketWatch, WatchOptions } from './netns-watch.ts';

export type {
  Agent,
  EchoServer,
  ExecOptions,
  ExecResult,
  Flow,
  NetProcess,
  PacketWatch,
  ProbeResult,
  Protocol,
  WatchOptions,
};

export interface InterfaceSpec {
  /** Interfaces on the same network share a bridge. */
  readonly network: string;
  /** With prefix length: `10.20.0.2/24`, `fd20::2/64`. */
  readonly addresses: readonly string[];
  readonly mac?: string;
}

export interface HostSpec {
  readonly interfaces: Readonly<Record<string, InterfaceSpec>>;
  /** Default routes by next hop. */
  readonly gateways?: readonly string[];
  /** Routes packets between its interfaces. */
  readonly forwarding?: boolean;
}

export interface Network<Host extends string> extends AsyncDisposable {
  readonly hosts: readonly Host[];
  /** Name as `ip netns` knows it. */
  namespaceOf(host: Host): string;
  /** The command line that runs `argv` on the host, for people who look around. */
  commandOn(host: Host, argv: readonly string[]): string[];
  /** First address of the host, or the first of a family. */
  addressOf(host: Host, family?: 4 | 6): string;
  /** Runs a program to its end; never rejects because of its exit code. */
  exec(host: Host, argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  spawn(host: Host, argv: readonly string[], options?: Omit<ExecOptions, 'timeoutMs'>): NetProcess;
  /** The host's probe program, started on first use. */
  agent(host: Host): Agent;
  probeTcp(from: Host, address: string, port: number, options?: Parameters<Agent['probeTcp']>[2]): Promise<ProbeResult>;
  probeUdp(from: Host, address: string, port: number): Promise<ProbeResult | 'answered'>;
  /** True when one of `count` (default 1) echo requests is answered within a second each. */
  ping(from: Host, address: string, count?: number): Promise<boolean>;
  flow(from: Host, protocol: Protocol, address: string, port: number): Promise<Flow>;
  echo(host: Host, protocol: Protocol, port: number, address?: string): Promise<EchoServer>;
  /** Counts and times the packets that passed every firewall of the host. */
  watch(host: Host, options?: WatchOptions): Promise<PacketWatch>;
  /** Pulls the host's cables, or one of them: it loses the carrier and keeps its addresses. */
  cut(host: Host, interfaceName?: string): Promise<void>;
  mend(host: Host, interfaceName?: string): Promise<void>;
  /** `close` leaves the namespaces (not the programs) in place. */
  keep(): void;
  /** Ends every program and removes the network; idempotent. */
  close(): Promise<void>;
}

/** What has to be ended and removed. */
interface Remains {
  readonly children: Set<ChildProcess>;
  readonly namespaces: readonly string[];
  kept: boolean;
}

const open = new Set<Remains>();
let networks = 0;

// The last resort when the owner ends without closing: namespaces do not go away by themselves. What a killed owner
// leaves behind, the next createNetwork of anyone removes.
process.once('exit', () => {
  for (const { children, namespaces, kept } of open) {
    for (const child of children) child.kill('SIGKILL');
    if (!kept) for (const name of namespaces) spawnSync('ip', ['netns', 'delete', name]);
  }
});

async function remove(remains: Remains): Promise<void> {
  if (!open.has(remains)) return;
  await Promise.all([...remains.children].map(endChild));
  open.delete(remains);
  if (!remains.kept) await Promise.all(remains.namespaces.map((name) => run(['ip', 'netns', 'delete', name])));
}

/** Builds the network; throws, and leaves nothing behind, when the machine does not let it. */
export async function createNetwork<const Hosts extends Readonly<Record<string, HostSpec>>>(spec: {
  readonly hosts: Hosts;
}): Promise<Network<keyof Hosts & string>> {
  await removeLeftovers();
  networks += 1;
  const layout = layOut(`ew-${process.pid}-${networks}-`, spec.hosts);
  const namespaces = [layout.bridges, ...Object.values(layout.namespaces)];
  const remains: Remains = { children: new Set(), namespaces, kept: false };
  open.add(remains);
  try {
    await build(layout, spec.hosts);
  } catch (error) {
    await remove(remains);
    throw error;
  }
  return networkOf(layout, spec.hosts, remains);
}

function networkOf<Host extends string>(
  layout: Layout,
  hosts: Readonly<Record<Host, HostSpec>>,
  remains: Remains,
): Network<Host> {
  const namespaceOf = (host: Host): string => {
    const name = layout.namespaces[host];
    if (name === undefined) throw new RangeError(`no host ${host}`);
    return name;
  };
  const commandOn = (host: Host, argv: readonly string[]): string[] => [
    // nsenter, not `ip netns exec`: that mounts a fresh /sys, which hides control groups.
    'nsenter',
    `--net=${join(namespaceFolder, namespaceOf(host))}`,
    '--',
    ...argv,
  ];
  const spawn: Network<Host>['spawn'] = (host, argv, options = {}) =>
    start(commandOn(host, argv), remains.children, options, false);
  const agent = agents((host: Host) => {
    const program = [process.execPath, join(import.meta.dirname, 'netns-agent.ts')];
    return start(commandOn(host, program), remains.children, {}, true).child;
  });
  const setPorts = async (host: Host, name: string | undefined, to: 'up' | 'down'): Promise<void> => {
    const ports = layout.ports.filter((entry) => entry.host === host && (name === undefined || entry.name === name));
    await Promise.all(ports.map(({ port }) => must(['ip', '-n', layout.bridges, 'link', 'set', port, to])));
  };
  const close = (): Promise<void> => remove(remains);
  return {
    hosts: Object.keys(hosts) as Host[],
    namespaceOf,
    commandOn,
    addressOf: (host, family) => addressOf(hosts[host], family),
    exec: (host, argv, options) => run(commandOn(host, argv), options),
    spawn,
    agent,
    probeTcp: (from, address, port, options) => agent(from).probeTcp(address, port, options),
    probeUdp: (from, address, port) => agent(from).probeUdp(address, port),
    async ping(from, address, count = 1) {
      const { code } = await run(commandOn(from, ['ping', '-n', '-c', String(count), '-i', '0.2', '-W', '1', address]));
      return code === 0;
    },
    flow: (from, protocol, address, port) => agent(from).flow(protocol, address, port),
    echo: (host, protocol, port, address) => agent(host).echo(protocol, port, address),
    watch: (host, options = {}) =>
      watchPackets(
        (argv, input) => must(commandOn(host, argv), input),
        (argv) => spawn(host, argv),
        options,
      ),
    cut: (host, name) => setPorts(host, name, 'down'),
    mend: (host, name) => setPorts(host, name, 'up'),
    keep: () => {
      remains.kept = true;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** One agent a host, started when it is first asked for. */
function agents<Host>(begin: (host: Host) => ChildProcess): (host: Host) => Agent {
  const known = new Map<Host, Agent>();
  return (host) => {
    const agent = known.get(host) ?? agentOf(begin(host));
    known.set(host, agent);
    return agent;
  };
}

function addressOf(spec: HostSpec | undefined, family?: 4 | 6): string {
  const addresses = Object.values(spec?.interfaces ?? {}).flatMap((entry) => entry.addresses);
  const found = addresses.find((address) => family === undefined || address.includes(':') === (family === 6));
  if (found === undefined) throw new RangeError('the host has no such address');
  return found.replace(/\/\d+$/, '');
}
