// The protocol proxies of this edge: one transparent listener for each interface that the configuration names, on 127.0.0.1
// and ::1 where the firewall diverts to, or a plain listener where the firewall is off.
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { Abilities, Safety } from '../../enforcer/activation/index.ts';
import {
  connectDirectly,
  type ConnectionInfo,
  createProxy,
  createTermination,
  defaultLimits,
  httpProtocol,
  type LoginOf,
  modbusProtocol,
  mqttProtocol,
  type Protocol,
  type ProtocolProxy,
  type ProxyOptions,
  type TerminationParts,
  tlsProtocol,
} from '../../enforcer/proxy/index.ts';
import { type HeldPeer, MAX_HELD } from '../../enforcer/standby/index.ts';
import type { Slice, SliceInterface } from '../../policy/bundle/index.ts';
import type { AccessRequest, Decision } from '../../policy/engine/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { transparentListener } from '../../runtime/linux.ts';
import type { Logger } from '../../runtime/log.ts';
import { runTasks, type Task } from '../../runtime/tasks.ts';
import type { EdgeConfig } from './config.ts';
import { loopbacks } from './loopbacks.ts';
import { createEgresses } from './egress.ts';

export interface ProxyParts {
  readonly config: EdgeConfig;
  /** The kernel diverts to us; without it clients dial the port that we listen on. */
  readonly transparent: boolean;
  /** Whether packet rules let the address use the interface. */
  readonly admits: (interfaceName: string, source: string) => boolean;
  /** Hears of what went through. */
  readonly onThrough?: ProxyOptions['onThrough'];
  readonly emit: EmitEvent;
  readonly log: Logger;
  /** `address` is that of the peer. */
  readonly decide: (request: AccessRequest, abilities: Abilities, address: string) => Decision;
  readonly safety: Pick<Safety, 'spare' | 'mayServe'>;
  readonly usage: NonNullable<ProxyOptions['usage']>;
  readonly subjectOf: (address: string) => AccessRequest['subject'];
  /** The device that a certificate proves. Throws when it proves none, or no longer does. */
  readonly subjectOfChain: (chainDer: readonly Buffer[]) => AccessRequest['subject'];
  readonly identity: TerminationParts;
  readonly slice: () => Slice | undefined;
  /** The account at the broker of an interface that a device is logged in with. */
  readonly loginOf: LoginOf;
  readonly now: () => number;
}

export interface Proxies {
  listen(): Promise<void>;
  readonly task: Task;
  /** Ends the connections of a subject on both sides; how many there were. */
  close(deviceId: string): number;
  /** Ends at once the connections whose certificate or standing verdict no longer holds. */
  recheck(): void;
  /** Accepts no more at once, and ends every connection when the answers under way are there; bounded. */
  drain(): Promise<void>;
  /** Who has a connection, and who of them has one that a decision allowed something on. */
  peers(): readonly HeldPeer[];
  allowedPeers(): readonly HeldPeer[];
}

export function createProxies(parts: ProxyParts): Proxies {
  const { config, transparent } = parts;
  const proxies: ProtocolProxy[] = [];
  const termination = createTermination(parts.identity);
  const egresses = createEgresses(parts);
  const recheck = (): void => {
    for (const one of [...proxies, ...egresses]) one.recheck();
  };
  parts.identity.follow(recheck);

  /** Peers that were allowed something, as long as they are connected. */
  let allowed = new Set<string>();
  const requestOf = (connection: ConnectionInfo, operation: AccessRequest['operation']): AccessRequest => ({
    subject:
      connection.peer === undefined
        ? parts.subjectOf(connection.source.address)
        : parts.subjectOfChain(connection.peer.chain),
    operation,
    resource: { interface: connection.interface, attributes: {} },
    context: {
      time: parts.now(),
      source: operation.protocol,
      connection: `${connection.source.address}:${connection.source.port}`,
      attributes: {},
    },
  });
  const decide: ProxyOptions['decide'] = (connection, operation, abilities) => {
    const decision = parts.decide(requestOf(connection, operation), abilities, connection.source.address);
    if (decision.allow && allowed.size < MAX_REMEMBERED) allowed.add(nameOf(peerOf(connection)));
    return decision;
  };
  const peers = (): HeldPeer[] => proxies.flatMap((proxy) => proxy.connections().map(peerOf));
  const entryOf = (name: string): SliceInterface | undefined => {
    const slice = parts.slice();
    return slice?.interfaces.find((entry) => entry.name === name && entry.device === slice.device);
  };
  const auditDurable = (connection: ConnectionInfo): boolean => entryOf(connection.interface)?.auditDurable ?? false;

  /** `protocols`: one for all addresses of an interface, which lead to the same server. */
  function open(proxy: EdgeConfig['proxies'][number], host: string, protocols: Protocols): ProtocolProxy {
    const upstream = upstreamOf(proxy.upstream);
    return createProxy((name) => protocols[entryOf(name)?.protocol ?? 'modbus'] ?? protocols.modbus, {
      listen: transparent
        ? { fd: transparentListener(host, proxy.listen) }
        : { host, port: proxy.listen, destination: upstream ?? { address: host, port: proxy.listen } },
      decide,
      spare: (connection, operation, because, abilities) =>
        parts.safety.spare(requestOf(connection, operation), because, abilities),
      isSafety: (connection) => parts.safety.mayServe(connection.subject.id, connection.interface),
      usage: parts.usage,
      subjectOf: parts.subjectOf,
      interfaceOf: () => proxy.interface,
      entryOf,
      termination,
      admits: (source) => parts.admits(proxy.interface, source.address),
      ...(parts.onThrough === undefined ? {} : { onThrough: parts.onThrough }),
      emit: parts.emit,
      clock: systemClock,
      auditDurable,
      log: parts.log,
      ...(upstream === undefined
        ? {}
        : { connectUpstream: () => connectDirectly(upstream, systemClock, defaultLimits.connectTimeoutMs) }),
    });
  }

  return {
    listen: async () => {
      for (const proxy of config.proxies) {
        const protocols = protocolsOf(() => systemClock.monotonic(), parts.loginOf);
        for (const host of transparent ? loopbacks() : ['127.0.0.1']) {
          const opened = open(proxy, host, protocols);
          await opened.listen();
          proxies.push(opened);
        }
      }
      for (const egress of egresses) await egress.listen();
    },
    task: async (signal) => {
      const all = [...proxies, ...egresses];
      if (all.length === 0) return await aborted(signal);
      const drained = new AbortController();
      const tasks = runTasks(
        drained.signal,
        Object.fromEntries(all.map((proxy, index): [string, Task] => [`proxy-${index}`, proxy.run])),
      );
      // Answers under way are waited for; new connections find the stand-in meanwhile.
      await Promise.race([tasks, aborted(signal)]);
      await Promise.all(proxies.map((proxy) => proxy.drain()));
      drained.abort();
      await tasks;
    },
    close: (deviceId) => [...proxies, ...egresses].reduce((closed, one) => closed + one.close(deviceId), 0),
    recheck,
    drain: async () => void (await Promise.all(proxies.map((proxy) => proxy.drain()))),
    peers,
    allowedPeers: () => {
      const connected = peers();
      const names = connected.map(nameOf);
      allowed = new Set(names.filter((name) => allowed.has(name)));
      return connected.filter((_, at) => allowed.has(names[at] ?? ''));
    },
  };
}

/** Names of peers kept between two looks at who is still connected: as many as all listeners take. */
const MAX_REMEMBERED = 4 * MAX_HELD;

const peerOf = ({ interface: name, source, subject }: ConnectionInfo): HeldPeer => ({
  interface: name,
  address: source.address,
  subject: subject.id,
});
const nameOf = (peer: HeldPeer): string => JSON.stringify([peer.interface, peer.address, peer.subject]);

type Protocols = { readonly modbus: Protocol } & Readonly<Record<string, Protocol>>;

/** What is not served here is read as Modbus, in which it is garbage. */
function protocolsOf(now: () => number, loginOf: ProxyParts['loginOf']): Protocols {
  return { modbus: modbusProtocol(now), http: httpProtocol(), mqtt: mqttProtocol(loginOf), tls: tlsProtocol };
}

function upstreamOf(text: string | undefined): { address: string; port: number } | undefined {
  const match = /^\[?(.*?)\]?:(\d+)$/.exec(text ?? '');
  return match === null ? undefined : { address: match[1] ?? '', port: Number(match[2]) };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
