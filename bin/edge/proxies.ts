// The protocol proxies of this edge: one transparent listener for each interface that the configuration names, on 127.0.0.1
// and ::1 where the firewall diverts to, or a plain listener where the firewall is off.
import { connect, type Socket } from 'node:net';
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { Abilities } from '../../enforcer/activation/index.ts';
import {
  type ConnectionInfo,
  createProxy,
  createTermination,
  httpProtocol,
  modbusProtocol,
  mqttProtocol,
  type Protocol,
  type ProtocolProxy,
  type ProxyOptions,
  type TerminationParts,
  tlsProtocol,
} from '../../enforcer/proxy/index.ts';
import type { Slice, SliceInterface } from '../../policy/bundle/index.ts';
import type { AccessRequest, Decision } from '../../policy/engine/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { transparentListener } from '../../runtime/linux.ts';
import type { Logger } from '../../runtime/log.ts';
import { runTasks, type Task } from '../../runtime/tasks.ts';
import type { EdgeConfig } from './config.ts';

export interface ProxyParts {
  readonly config: EdgeConfig;
  /** The kernel diverts to us; without it clients dial the port that we listen on. */
  readonly transparent: boolean;
  /** Whether packet rules let the address use the interface. */
  readonly admits: (interfaceName: string, source: string) => boolean;
  readonly emit: EmitEvent;
  readonly log: Logger;
  readonly decide: (request: AccessRequest, abilities: Abilities) => Decision;
  readonly usage: NonNullable<ProxyOptions['usage']>;
  readonly subjectOf: (address: string) => AccessRequest['subject'];
  /** The device that a certificate proves. Throws when it proves none, or no longer does. */
  readonly subjectOfChain: (chainDer: readonly Buffer[]) => AccessRequest['subject'];
  readonly identity: TerminationParts;
  readonly slice: () => Slice | undefined;
  readonly now: () => number;
}

export interface Proxies {
  listen(): Promise<void>;
  readonly task: Task;
  /** Ends the connections of a subject on both sides; how many there were. */
  close(deviceId: string): number;
  /** Ends at once the connections whose certificate or standing verdict no longer holds. */
  recheck(): void;
  /** Ends every connection when the answers under way are there; bounded. */
  drain(): Promise<void>;
}

export function createProxies(parts: ProxyParts): Proxies {
  const { config, transparent } = parts;
  const proxies: ProtocolProxy[] = [];
  const termination = createTermination(parts.identity);
  const recheck = (): void => {
    for (const proxy of proxies) proxy.recheck();
  };
  parts.identity.follow(recheck);

  const decide: ProxyOptions['decide'] = (connection, operation, abilities) =>
    parts.decide(
      {
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
      },
      abilities,
    );
  const entryOf = (name: string): SliceInterface | undefined => {
    const slice = parts.slice();
    return slice?.interfaces.find((entry) => entry.name === name && entry.device === slice.device);
  };
  const auditDurable = (connection: ConnectionInfo): boolean => entryOf(connection.interface)?.auditDurable ?? false;

  function open(proxy: EdgeConfig['proxies'][number], host: string): ProtocolProxy {
    const upstream = upstreamOf(proxy.upstream);
    const protocols = protocolsOf(() => systemClock.monotonic());
    return createProxy((name) => protocols[entryOf(name)?.protocol ?? 'modbus'] ?? protocols.modbus, {
      listen: transparent
        ? { fd: transparentListener(host, proxy.listen) }
        : { host, port: proxy.listen, destination: upstream ?? { address: host, port: proxy.listen } },
      decide,
      usage: parts.usage,
      subjectOf: parts.subjectOf,
      interfaceOf: () => proxy.interface,
      entryOf,
      termination,
      admits: (source) => parts.admits(proxy.interface, source.address),
      emit: parts.emit,
      clock: systemClock,
      auditDurable,
      log: parts.log,
      ...(upstream === undefined ? {} : { connectUpstream: async () => await dial(upstream) }),
    });
  }

  return {
    listen: async () => {
      for (const proxy of config.proxies) {
        for (const host of transparent ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
          const opened = open(proxy, host);
          await opened.listen();
          proxies.push(opened);
        }
      }
    },
    task: async (signal) => {
      if (proxies.length === 0) return await aborted(signal);
      const drained = new AbortController();
      const tasks = runTasks(
        drained.signal,
        Object.fromEntries(proxies.map((proxy, index): [string, Task] => [`proxy-${index}`, proxy.run])),
      );
      // Answers under way are waited for; new connections find the stand-in meanwhile.
      await Promise.race([tasks, aborted(signal)]);
      await Promise.all(proxies.map((proxy) => proxy.drain()));
      drained.abort();
      await tasks;
    },
    close: (deviceId) => proxies.reduce((closed, proxy) => closed + proxy.close(deviceId), 0),
    recheck,
    drain: async () => void (await Promise.all(proxies.map((proxy) => proxy.drain()))),
  };
}

/** What is not served here is read as Modbus, in which it is garbage. */
function protocolsOf(now: () => number): { readonly modbus: Protocol } & Readonly<Record<string, Protocol>> {
  return { modbus: modbusProtocol(now), http: httpProtocol(), mqtt: mqttProtocol(), tls: tlsProtocol };
}

function upstreamOf(text: string | undefined): { address: string; port: number } | undefined {
  const match = /^\[?(.*?)\]?:(\d+)$/.exec(text ?? '');
  return match === null ? undefined : { address: match[1] ?? '', port: Number(match[2]) };
}

function dial({ address, port }: { address: string; port: number }): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
