// What a plan is being made of: the input, and the sets as they grow.
import type { Slice } from '../../policy/bundle/index.ts';
import { plainAddress } from './addresses.ts';
import type { Neighbourhood, PlainAddress } from './addresses.ts';
import type { Opening, Openings } from './openings.ts';
import type { ControlEndpoint, Family } from './plan.ts';
import { SetRegistry } from './sets.ts';
import type { Wanted } from './sets.ts';
import type { WorkloadUser } from './workloads.ts';

/** What the host's own configuration says; nothing here comes from the control plane. */
/** Ports on 127.0.0.1 and ::1. */
export interface ProxyPorts {
  readonly listenPort: number;
  /** Of the stand-in, which gets what finds no listener there; absent for none. */
  readonly standbyPort?: number;
}

export interface HostConfig {
  /** Device id that the host was enrolled with; has to be the slice's. */
  readonly localDeviceId: string;
  /** Where the control plane is, as addresses: reachable whatever the policy says. */
  readonly controlEndpoints: readonly ControlEndpoint[];
  /** Resolvers, port 53 over UDP and TCP; closed while this device is contained. */
  readonly dns?: readonly string[];
  /** Proxies running on this host, by the slice's interface. */
  readonly proxies: readonly (ProxyPorts & { readonly interface: string })[];
  /** They listen: nothing is opened past them before that, or a start would leave flows that nobody looks into. */
  readonly proxiesListen?: boolean;
  /** Addresses behind the names that rules name, as this host last resolved them. */
  readonly resolved?: Readonly<Record<string, readonly string[]>>;
  /** Inodes of the control groups that are there, by path; what is missing is in no set. */
  readonly cgroups?: Readonly<Record<string, string>>;
}

export const families: readonly Family[] = [4, 6];
export const addressType = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;

export interface Build {
  readonly slice: Slice;
  readonly host: HostConfig;
  readonly base: SetRegistry;
  readonly denies: SetRegistry;
  readonly generation: SetRegistry;
  readonly neighbourhood: Neighbourhood;
  readonly openings: Openings;
  readonly control: readonly ControlEndpoint[];
  readonly contained: boolean;
  /** Listening port of the proxy by interface name; `undefined` for an interface that needs one and has none. */
  readonly proxyPorts: ReadonlyMap<string, ProxyPorts | undefined>;
  readonly users: readonly WorkloadUser[];
}

/** Of sets whose elements grants want, which end. */
export const ending = { timeout: true } as const;
export const pathType = (family: Family) => [addressType[family], 'inet_proto', 'inet_service'] as const;

export function resolvers(family: Family, build: Build): PlainAddress[] {
  const dns = build.contained ? [] : (build.host.dns ?? []);
  return dns.map(plainAddress).filter((it) => it.family === family);
}

export function wantedOf(opening: Opening): Wanted {
  return {
    key: [opening.address, opening.transport, String(opening.port)],
    reason: opening.grant,
    ...(opening.until === undefined ? {} : { until: opening.until }),
  };
}
