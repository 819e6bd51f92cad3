// The other end of termination.ts, for a client of this host that cannot be changed: it dials a port on loopback in plain,
// and we dial the device that serves the interface with mutual TLS 1.3. It is this host's identity that acts, so the peer's
// policy decides; here only the peer's certificate counts, which has to be that of exactly that device.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { EmitEvent, NewEventData } from '../../../audit/spool/index.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { isAbort } from '../../../runtime/tasks.ts';
import { chainOf, clientContext } from '../../../runtime/tls.ts';
import { createEventWindow } from '../../event-window.ts';
import { endpoint, type Endpoint } from '../endpoint.ts';
import { proxyErrors } from '../errors.ts';
import { defaultLimits, KEEP_ALIVE_MS, TICK_MS } from '../limits.ts';
import { connectDirectly, endNow } from '../upstream.ts';
import { HANDSHAKE_MS, MAX_EGRESS_CONNECTIONS } from './limits.ts';
import type { ProvenPeer, TerminationParts } from './termination.ts';

export interface EgressOptions {
  /** Port on 127.0.0.1; 0 for any free one. */
  readonly port: number;
  readonly interface: string;
  /** Device that serves it. */
  readonly device: string;
  /** Where it is by the policy in force, the first to be tried first; empty when the policy does not say so. */
  readonly target: () => readonly Endpoint[];
  /** Our SVID, and who a certificate is. */
  readonly identity: TerminationParts;
  readonly emit: EmitEvent;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Egress {
  /** Throws PROXY_LISTEN_FAILED. */
  readonly listen: () => Promise<number>;
  /** The task: looks at what connections need to go on, until `signal` aborts; then ends all. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** Ends the connections to a device at once; how many there were. */
  readonly close: (deviceId: string) => number;
  /** Looks at once at what connections need to go on. */
  readonly recheck: () => void;
}

/** One client of this host, and the peer behind it once that has proven itself. */
interface Stream {
  readonly client: Socket;
  readonly source: Endpoint;
  /** Below the TLS one: Node 24.21 does not close it for a record that does not decrypt. */
  raw?: Socket;
  server?: TLSSocket;
  peer?: ProvenPeer;
  reached?: Endpoint;
}

export function createEgress(options: EgressOptions): Egress {
  const { identity, clock, log, device } = options;
  const streams = new Set<Stream>();
  const events = egressEvents(options);
  let context: SecureContext | undefined;
  identity.follow(() => (context = undefined));

  const end = (stream: Stream): void => {
    if (!streams.delete(stream)) return;
    endNow(stream.client);
    stream.server?.destroy();
    if (stream.raw !== undefined) endNow(stream.raw);
  };
  const refuse = (stream: Stream, error: unknown): void => {
    if (!streams.has(stream)) return;
    events.refused(stream, codedOf(error));
    end(stream);
  };
  const open = async (stream: Stream): Promise<void> => {
    try {
      const { raw, to } = await reach(options.target(), options);
      // Closed by the end of the client, or by an order, while it was dialled.
      if (!streams.has(stream)) return void raw.destroy();
      stream.reached = to;
      stream.raw = raw;
      context ??= createSecureContext(clientContext({ ...identity.tls(), verifyServer: () => undefined }));
      const server = await handshake(raw, context, clock);
      if (!streams.has(stream)) return void server.destroy();
      stream.server = server;
      server.on('error', () => end(stream));
      server.on('close', () => {
        streams.delete(stream);
        stream.client.destroySoon();
      });
      stream.peer = mustBe(device, identity.verify(chainOf(server.getPeerCertificate(true))));
      events.connected(stream);
      join(stream.client, server);
    } catch (error) {
      refuse(stream, error);
    }
  };
  const accept = (client: Socket): void => {
    const stream: Stream = { client, source: endpoint(client.remoteAddress, client.remotePort) };
    client.pause();
    client.on('error', () => end(stream));
    client.on('close', () => {
      // What it has sent still goes out.
      if (stream.server === undefined) streams.delete(stream);
      else stream.server.destroySoon();
    });
    streams.add(stream);
    void open(stream);
  };
  const look = (stream: Stream): void => {
    try {
      const { reached, peer } = stream;
      if (reached !== undefined && !options.target().some((to) => isSame(to, reached))) {
        throw unknownTarget(options);
      }
      peer?.mustHold();
    } catch (error) {
      refuse(stream, error);
    }
  };
  const recheck = (): void => {
    for (const stream of streams) look(stream);
  };

  const server = createServer({ allowHalfOpen: false, pauseOnConnect: true, noDelay: true }, accept);
  server.maxConnections = MAX_EGRESS_CONNECTIONS;
  server.on('error', (error) => log.error({ err: error }, 'the egress cannot accept'));

  return {
    listen: async () => await listen(server, options.port),
    async run(signal) {
      try {
        while (!signal.aborted) {
          await clock.sleep(TICK_MS, signal);
          recheck();
          events.flush();
        }
      } catch (error) {
        if (!isAbort(error, signal)) throw error;
      } finally {
        server.close();
        for (const stream of streams) end(stream);
        events.flush(true);
      }
    },
    close(deviceId) {
      if (deviceId !== device) return 0;
      const ended = streams.size;
      for (const stream of streams) end(stream);
      return ended;
    },
    recheck,
  };
}

const isSame = (one: Endpoint, other: Endpoint): boolean => one.address === other.address && one.port === other.port;

const unknownTarget = ({ interface: name, device }: EgressOptions): CodedError =>
  proxyErrors.error(
    'PROXY_EGRESS_UNKNOWN',
    `the policy in force has no interface ${name} of ${device} with an address`,
  );

/** The first of its addresses that answers. */
async function reach(
  targets: readonly Endpoint[],
  options: EgressOptions,
): Promise<{ readonly raw: Socket; readonly to: Endpoint }> {
  let last: unknown = unknownTarget(options);
  for (const to of targets) {
    try {
      return { raw: await connectDirectly(to, options.clock, defaultLimits.connectTimeoutMs), to };
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/** Rejects when it is not done in time. Whose certificate it is, nobody has looked at yet. */
async function handshake(raw: Socket, secureContext: SecureContext, clock: Clock): Promise<TLSSocket> {
  const server = connectTls({ socket: raw, secureContext, rejectUnauthorized: false });
  const settled = new AbortController();
  try {
    const late = clock.sleep(HANDSHAKE_MS, settled.signal).then(() => {
      throw new Error(`not done within ${HANDSHAKE_MS} ms`);
    });
    late.catch(() => undefined);
    const done = new Promise<void>((resolve, reject) => {
      server.once('secureConnect', resolve);
      server.once('error', reject);
      server.once('close', () => reject(new Error('the peer ended the connection')));
    });
    done.catch(() => undefined);
    await Promise.race([done, late]);
    return server;
  } catch (cause) {
    server.destroy();
    const { reason, message } = cause as Error & { readonly reason?: string };
    throw proxyErrors.error('PROXY_TLS_HANDSHAKE', `no TLS 1.3 handshake with the peer: ${reason ?? message}`, {
      cause,
    });
  } finally {
    settled.abort();
  }
}

function mustBe(device: string, peer: ProvenPeer): ProvenPeer {
  if (peer.device === device) return peer;
  throw proxyErrors.error('PROXY_EGRESS_PEER', `the certificate is that of ${peer.device}, expected ${device}`);
}

/** Bytes both ways as they come; each side waits for the other. */
function join(client: Socket, server: TLSSocket): void {
  for (const socket of [client, server]) socket.setKeepAlive(true, KEEP_ALIVE_MS);
  client.pipe(server);
  server.pipe(client);
}

interface EgressEvents {
  readonly connected: (stream: Stream) => void;
  readonly refused: (stream: Stream, error: CodedError) => void;
  readonly flush: (all?: boolean) => void;
}

/** What this host did as a client: the peer's own record says what was asked there. */
function egressEvents({ emit, clock, log, interface: name, device }: EgressOptions): EgressEvents {
  const onLost = (error: unknown): void => log.warn({ err: error }, 'an event of the egress was not taken');
  const window = (ms: number) => createEventWindow(emit, clock, ms, defaultLimits.maxDistinctEvents, onLost);
  const [refusals, connects] = [window(defaultLimits.denialWindowMs), window(defaultLimits.allowWindowMs)];
  const dataOf = ({ source, reached, peer }: Stream): NewEventData => ({
    interface: name,
    device,
    enforcement_point: 'egress',
    source_ip: source.address,
    ...(reached === undefined ? {} : { destination_ip: reached.address, destination_port: reached.port }),
    ...(peer === undefined ? {} : { serial: peer.serial }),
  });
  return {
    connected(stream) {
      const event = () => ({ kind: 'tls', activity: 'connect', severity: 'info', data: dataOf(stream) }) as const;
      connects.add({ key: stream.peer?.serial ?? '', event, coarse: () => ({ key: '', event }) });
    },
    refused(stream, { code, message }) {
      const data = { ...dataOf(stream), code, message };
      const event = () => ({ kind: 'tls', activity: 'refuse', severity: severityOf(code), data }) as const;
      refusals.add({ key: JSON.stringify([code, message]), event, coarse: () => ({ key: code, event }) });
    },
    flush(all) {
      refusals.flush(all);
      connects.flush(all);
    },
  };
}

/** Nobody there is a fault; somebody else there may be an attack. */
const severityOf = (code: string): 'medium' | 'high' =>
  code === 'PROXY_UPSTREAM_UNREACHABLE' || code === 'PROXY_EGRESS_UNKNOWN' ? 'medium' : 'high';

const codedOf = (error: unknown): CodedError =>
  error instanceof CodedError
    ? error
    : proxyErrors.error('PROXY_TLS_PEER', error instanceof Error ? error.message : String(error));

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error): void =>
      reject(
        proxyErrors.error('PROXY_LISTEN_FAILED', `cannot listen on 127.0.0.1:${port}: ${cause.message}`, { cause }),
      );
    server.once('error', failed);
    // Who dials it acts as this host, so nobody else may.
    server.listen({ host: '127.0.0.1', port }, () => {
      server.off('error', failed);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
