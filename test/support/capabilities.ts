// What this machine can do, found out once per process. A test that needs more is skipped by name, never silently.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { writableGroups } from './control-groups.ts';
import { findOpa } from '../../policy/repository/rego/opa.ts';
import { findEnvoy } from './envoy-program.ts';
import { findH2spec } from './h2spec.ts';
import { findDynamicSecurity } from './mosquitto.ts';
import { findPostgres } from './postgres-server.ts';

export type Capability =
  | 'root'
  | 'linux'
  | 'nft'
  | 'netns'
  | 'nginx'
  | 'envoy'
  | 'caddy'
  | 'h2load'
  | 'opa'
  | 'h2spec'
  | 'conntrack'
  | 'curl'
  | 'ping'
  | 'postgres'
  | 'openssl'
  | 'python3'
  | 'br-netfilter'
  | 'pymodbus'
  | 'pyjwt'
  | 'mbpoll'
  | 'mosquitto'
  | 'mosquitto-clients'
  | 'mosquitto-dynsec'
  | 'paho-mqtt'
  | 'tcpdump'
  | 'systemd-analyze'
  | 'tmpfs'
  | 'cgroup2';

/** Programs of the administrator are often outside a user's PATH. */
const systemPaths = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** Where a program is, or undefined. */
export function findProgram(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(delimiter), ...systemPaths]
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function works(program: string, ...args: string[]): boolean {
  const path = findProgram(program);
  return path !== undefined && spawnSync(path, args, { stdio: 'ignore', timeout: 20_000 }).status === 0;
}

const isRoot = (): boolean => process.getuid?.() === 0;

const probes: Readonly<Record<Capability, () => boolean>> = {
  root: isRoot,
  linux: () => process.platform === 'linux',
  nft: () => isRoot() && works('unshare', '--net', findProgram('nft') ?? 'nft', 'list', 'ruleset'),
  netns: () => isRoot() && findProgram('ip') !== undefined && works('unshare', '--net', 'true'),
  nginx: () => findProgram('nginx') !== undefined,
  envoy: () => findEnvoy() !== undefined,
  caddy: () => works('caddy', 'version'),
  h2load: () => works('h2load', '--version'),
  // The pinned versions, which `npm run setup` builds where there is Go.
  opa: () => findOpa() !== undefined,
  h2spec: () => findH2spec() !== undefined,
  conntrack: () => isRoot() && findProgram('conntrack') !== undefined,
  ping: () => findProgram('ping') !== undefined,
  curl: () => works('curl', '--version'),
  postgres: () => findPostgres() !== undefined,
  openssl: () => works('openssl', 'version'),
  'br-netfilter': () => existsSync('/proc/sys/net/bridge'),
  python3: () => works('python3', '-c', 'import socket; socket.AF_PACKET'),
  // Debian's own interpreter: a python3 earlier in the PATH does not see Debian's packages.
  pymodbus: () => spawnSync('/usr/bin/python3', ['-c', 'import pymodbus.server'], { stdio: 'ignore' }).status === 0,
  pyjwt: () => spawnSync('/usr/bin/python3', ['-c', 'import jwt, cryptography'], { stdio: 'ignore' }).status === 0,
  mbpoll: () => findProgram('mbpoll') !== undefined,
  mosquitto: () => findProgram('mosquitto') !== undefined,
  'mosquitto-clients': () => findProgram('mosquitto_pub') !== undefined && findProgram('mosquitto_sub') !== undefined,
  'mosquitto-dynsec': () => findProgram('mosquitto_ctrl') !== undefined && findDynamicSecurity() !== undefined,
  'paho-mqtt': () => spawnSync('/usr/bin/python3', ['-c', 'import paho.mqtt.client'], { stdio: 'ignore' }).status === 0,
  // A disk of any small size, for tests of a full one.
  tmpfs: () => isRoot() && works('unshare', '--mount', 'mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', '/mnt'),
  // Control groups of version 2, mounted anywhere, where one can be made.
  cgroup2: () => isRoot() && writableGroups() !== undefined,
  tcpdump: () => isRoot() && findProgram('tcpdump') !== undefined,
  'systemd-analyze': () => works('systemd-analyze', '--version'),
};

const known = new Map<Capability, boolean>();

export function hasCapability(name: Capability): boolean {
  const answer = known.get(name) ?? probes[name]();
  known.set(name, answer);
  return answer;
}

export function capabilities(): Record<Capability, boolean> {
  const names = Object.keys(probes) as Capability[];
  return Object.fromEntries(names.map((name) => [name, hasCapability(name)])) as Record<Capability, boolean>;
}

/** False, after skipping `t` with exactly "requires <name>", when something is missing: `if (!requires(t, 'nft')) return;` */
export function requires(t: { skip(message?: string): void }, ...names: Capability[]): boolean {
  const missing = names.find((name) => !hasCapability(name));
  if (missing !== undefined) t.skip(`requires ${missing}`);
  return missing === undefined;
}
