// A transparent proxy of one protocol: accepts what TPROXY diverts (the socket's own address is the original destination, see
// Linux Documentation/networking/tproxy.rst), or listens on a plain port for one destination, and lets through what
// policy allows. Neither client nor server knows of it.
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { Decision } from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { isAbort } from '../../runtime/tasks.ts';
import type { SliceInterface } from '../../policy/bundle/index.ts';
import { arrive } from './arrival.ts';
import { endpoint, type Endpoint } from './endpoint.ts';
import { proxyErrors } from './errors.ts';
import { serve, type Connection } from './connection.ts';
import { type AuditPorts, createProxyEvents, type ProxyEvents } from './events.ts';
import { defaultLimits, DRAIN_MS, type ProxyLimits, SAFETY_PLACES, SAFETY_PLACES_PER_PEER, TICK_MS } from './limits.ts';
import type { ConnectionInfo, Decide, JudgedOperation, Protocol, ProxySubject, Spare } from './protocol.ts';
import type { ProvenPeer, Termination } from './tls/termination.ts';
import { connectDirectly } from './upstream.ts';
import { noRequestUsage, type RequestUsage } from '../request-usage.ts';

export interface ProxyOptions {
  /** A transparent listening descriptor, or a plain address whose every connection goes to `destination`. */
  readonly listen:
    | { readonly fd: number }
    | { readonly host: string; readonly port: number; readonly destination: Endpoint };
  /** The engine in force, under the subject's present state. Called for every request; nothing is remembered. */
  readonly decide: Decide;
  /** The counts of limited grants for one request. Default: none are kept, and what has a limit is denied. */
  readonly usage?: () => RequestUsage;
  /** Whose address this is, by the inventory in force; id empty for nobody. */
  readonly subjectOf: (address: string) => ProxySubject;
  /** Name of the interface that is served at the destination; empty for none. */
  readonly interfaceOf: (destination: Endpoint) => string;
  /** The interface as the policy in force says. Default: nothing is known of it. */
  readonly entryOf?: (interfaceName: string) => SliceInterface | undefined;
  /** Asked at accept, before anything is read: false resets the connection. Default: every source. */
  readonly admits?: (source: Endpoint) => boolean;
  /** Ends TLS for clients that prove who they are. Default: nobody looks for TLS. */
  readonly termination?: Termination;
  /** See JudgingPorts. Default: nothing is spared. */
  readonly spare?: Spare;
  /** Whether the peer holds a safety operation, for which room is kept. Default: nobody. */
  readonly isSafety?: (connection: ConnectionInfo) => boolean;
  /** Hears of what went through. */
  readonly onThrough?: (connection: ConnectionInfo, judged: JudgedOperation) => void;
  readonly emit: EmitEvent;
  readonly clock: Clock;
  /** Whether the record of this allowed request has to be on disk before it goes on. Default: never. */
  readonly auditDurable?: (connection: ConnectionInfo, decision: Decision) => boolean;
  /** Unpredictable bytes, for what is recorded as a sample. Default: those of the system. */
  readonly random?: (bytes: number) => Uint8Array;
  /** Default: a connection of this host to the original destination. */
  readonly connectUpstream?: (destination: Endpoint) => Promise<Socket>;
  readonly limits?: Partial<ProxyLimits>;
  readonly log?: Logger;
}

export interface ProtocolProxy {
  /** Throws PROXY_LISTEN_FAILED. */
  readonly listen: () => Promise<Endpoint>;
  /** The task: listens if that did not happen yet, watches timeouts until `signal` aborts, then ends every connection. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** Accepts no more, and ends each connection when the answers under way are there; bounded. */
  readonly drain: () => Promise<void>;
  /** Ends the connections of a subject at once, on both sides; how many there were. */
  readonly close: (subjectId: string) => number;
  /** Looks at once at what connections need to go on: certificates, verdicts that they stand on. */
  readonly recheck: () => void;
  readonly connections: () => readonly ConnectionInfo[];
}

/** `protocolOf`: what is spoken on an interface, asked for each connection. */
export function createProxy(protocolOf: (interfaceName: string) => Protocol, options: ProxyOptions): ProtocolProxy {
  const limits = { ...defaultLimits, ...options.limits };
  const { clock, log } = options;
  const audit: AuditPorts = {
    durable: options.auditDurable ?? (() => false),
    entryOf: options.entryOf ?? (() => undefined),
    random: options.random ?? randomBytes,
  };
  const events = new Map<Protocol, ProxyEvents>();
  const eventsOf = (protocol: Protocol): ProxyEvents => {
    const known =
      events.get(protocol) ??
      createProxyEvents(protocol, options.emit, clock, limits, audit, (error) =>
        log?.warn({ err: error }, 'an event of the proxy was not taken'),
      );
    events.set(protocol, known);
    return known;
  };
  const flush = (all = false): void => {
    for (const one of events.values()) one.flush(all);
  };
  const open: Open = { connections: new Set(), ofPeer: new Map() };
  const { connections } = open;
  const recheck = (): void => {
    for (const connection of connections) connection.tick();
  };
  const guarded = guardLoops(options, limits);
  // Without half-open connections: a master that says goodbye wants no more answers.
  const server = createServer({ allowHalfOpen: false, pauseOnConnect: false });
  server.maxConnections = limits.maxConnections + SAFETY_PLACES;
  server.on('drop', (dropped) => {
    const source = endpoint(dropped?.remoteAddress, dropped?.remotePort);
    const where =
      'destination' in options.listen
        ? options.listen.destination
        : endpoint(dropped?.localAddress, dropped?.localPort);
    const connection = describeConnection(source, where, options, undefined);
    eventsOf(protocolOf(connection.interface)).refused(connection, 'too many connections');
  });
  server.on('connection', (client) => {
    if (options.admits?.(endpoint(client.remoteAddress, client.remotePort)) === false) client.resetAndDestroy();
    else accept(client, protocolOf, guarded, limits, eventsOf, open);
  });

  return {
    listen: () => listen(server, options),
    async run(signal) {
      if (!server.listening) await listen(server, options);
      server.on('error', (error) => log?.error({ err: error }, 'the proxy cannot accept'));
      try {
        while (!signal.aborted) {
          await clock.sleep(TICK_MS, signal);
          recheck();
          flush();
        }
      } catch (error) {
        if (!isAbort(error, signal)) throw error;
      } finally {
        server.close();
        for (const connection of connections) connection.reset();
        flush(true);
      }
    },
    async drain() {
      server.close();
      for (const connection of connections) connection.drain();
      const late = clock.monotonic() + DRAIN_MS;
      while (connections.size > 0 && clock.monotonic() < late) await clock.sleep(DRAIN_LOOK_MS);
    },
    close(subjectId) {
      const concerned = [...connections].filter((connection) => connection.describe().subject.id === subjectId);
      for (const connection of concerned) connection.reset();
      return concerned.length;
    },
    recheck,
    connections: () => [...connections].map((connection) => connection.describe()),
  };
}

interface Open {
  readonly connections: Set<Connection>;
  /** How many of an address. */
  readonly ofPeer: Map<string, number>;
}

/** Milliseconds between looks at what is still open. */
const DRAIN_LOOK_MS = 20;

type GuardedOptions = ProxyOptions & Required<Pick<ProxyOptions, 'connectUpstream'>>;

/** A request that comes from one of our own connections to a server was diverted a second time: it goes nowhere. */
function guardLoops(options: ProxyOptions, limits: ProxyLimits): GuardedOptions {
  const own = new Set<string>();
  const name = ({ address, port }: Endpoint): string => `${address} ${port}`;
  const connect =
    options.connectUpstream ?? ((to: Endpoint) => connectDirectly(to, options.clock, limits.connectTimeoutMs));
  return {
    ...options,
    decide: (connection, operation, abilities) =>
      own.has(name(connection.source)) ? refusedLoop : options.decide(connection, operation, abilities),
    connectUpstream: async (destination) => {
      const socket = await connect(destination);
      const local = name(endpoint(socket.localAddress, socket.localPort));
      own.add(local);
      socket.once('close', () => own.delete(local));
      return socket;
    },
  };
}

const refusedLoop: Decision = { allow: false, reason: 'fault', rule: '', place: '', operation: '', bundle: '' };

function accept(
  client: Socket,
  protocolOf: (interfaceName: string) => Protocol,
  options: GuardedOptions,
  limits: ProxyLimits,
  eventsOf: (protocol: Protocol) => ProxyEvents,
  { connections, ofPeer }: Open,
): void {
  const source = endpoint(client.remoteAddress, client.remotePort);
  const destination =
    'destination' in options.listen ? options.listen.destination : endpoint(client.localAddress, client.localPort);
  const describe = (peer?: ProvenPeer): ConnectionInfo => describeConnection(source, destination, options, peer);
  const protocol = protocolOf(describe().interface);
  const events = eventsOf(protocol);
  const why = source.address === '' ? 'no address' : makeRoom(describe(), limits, options, { connections, ofPeer });
  if (why !== undefined) {
    events.refused(describe(), why);
    client.resetAndDestroy();
    return;
  }
  ofPeer.set(source.address, (ofPeer.get(source.address) ?? 0) + 1);
  const onClosed = (): void => {
    connections.delete(connection);
    const left = (ofPeer.get(source.address) ?? 1) - 1;
    if (left === 0) ofPeer.delete(source.address);
    else ofPeer.set(source.address, left);
  };
  const serveAs = (socket: Socket, peer?: ProvenPeer): Connection =>
    serve(socket, protocol, {
      describe: () => describe(peer),
      decide: options.decide,
      usage: options.usage ?? (() => noRequestUsage),
      connectUpstream: async (to) => {
        try {
          return await options.connectUpstream(to);
        } catch (error) {
          if (error instanceof CodedError) events.unreachable(describe(peer), error);
          throw error;
        }
      },
      entry: () => options.entryOf?.(describe(peer).interface),
      onAllowed: (info, judged) => {
        options.onThrough?.(info, judged);
        return events.allowed(info, judged);
      },
      onDenied: events.denied,
      onRefused: events.refused,
      spare: options.spare,
      onClosed,
      clock: options.clock,
      limits,
    });
  const { termination, clock } = options;
  const { alpn } = protocol;
  const connection =
    termination === undefined || alpn === undefined
      ? serveAs(client)
      : arrive(client, { termination, alpn, describe, serve: serveAs, onRefused: events.unproven, onClosed, clock });
  connections.add(connection);
}

/**
 * Why there is none. A holder of a safety operation always gets in: into a place that is kept for such, or into that of its
 * own oldest connection, which may well be one that only we believe to be open.
 */
function makeRoom(
  connection: ConnectionInfo,
  limits: ProxyLimits,
  { isSafety }: ProxyOptions,
  { connections, ofPeer }: Open,
): string | undefined {
  const { address } = connection.source;
  const own = ofPeer.get(address) ?? 0;
  const ofPeerFull = own >= limits.maxConnectionsPerPeer;
  const full = connections.size >= limits.maxConnections;
  if (!ofPeerFull && !full) return undefined;
  if (isSafety?.(connection) !== true) return ofPeerFull ? 'too many connections of one peer' : 'too many connections';
  const placesLeft = connections.size < limits.maxConnections + SAFETY_PLACES;
  if (!ofPeerFull && placesLeft && own < SAFETY_PLACES_PER_PEER) return undefined;
  const oldest = [...connections].find((open) => open.describe().source.address === address);
  oldest?.reset();
  return oldest === undefined ? 'too many connections' : undefined;
}

/** Who cannot be looked up is nobody. */
function describeConnection(
  source: Endpoint,
  destination: Endpoint,
  options: ProxyOptions,
  peer: ProvenPeer | undefined,
): ConnectionInfo {
  const proven = peer === undefined ? undefined : { peer, subject: { id: peer.device, binding: 'svid' } as const };
  try {
    const known = { source, destination, interface: options.interfaceOf(destination) };
    const subject = options.subjectOf(source.address);
    if (proven === undefined) return { ...known, subject };
    return { ...known, ...proven, ...(subject.id === proven.subject.id ? {} : { addressOf: subject.id }) };
  } catch {
    return { source, destination, interface: '', ...(proven ?? { subject: { id: '', binding: 'ip' } }) };
  }
}

function listen(server: Server, { listen: where }: ProxyOptions): Promise<Endpoint> {
  const target = 'fd' in where ? { fd: where.fd } : { host: where.host, port: where.port };
  return new Promise((resolve, reject) => {
    const failed = (cause: Error): void => {
      const place = 'fd' in target ? `descriptor ${target.fd}` : `${target.host}:${target.port}`;
      reject(proxyErrors.error('PROXY_LISTEN_FAILED', `cannot listen on ${place}: ${cause.message}`, { cause }));
    };
    server.once('error', failed);
    server.listen(target, () => {
      server.off('error', failed);
      const { address, port } = server.address() as AddressInfo;
      resolve({ address, port });
    });
  });
}
