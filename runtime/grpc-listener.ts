// Sockets for a gRPC server. We accept and do TLS ourselves and hand finished connections to grpc-js, because only so
// handshakes can be admitted a few at a time, certificates replaced while running, and connections ended by identity.
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type PeerCertificate, type TLSSocket } from 'node:tls';
import { parseAddress } from './grpc-tls.ts';
import { chainOf, serverContext, type ServerTls } from './tls.ts';
import { runtimeErrors } from './error-codes.ts';
import { createHandshakeGate, type HandshakeLimits } from './handshake-gate.ts';
import type { Logger } from './log.ts';

export interface Connection {
  /** `address:port`, or `unix`. */
  readonly peer: string;
  /** DER of the verified client chain, leaf first; empty when the client has no certificate. */
  readonly peerChain: readonly Buffer[];
}

export interface Refusal {
  /** `address:port` of the client. */
  readonly peer: string;
  readonly error: Error;
}

export interface ListenerLimits extends HandshakeLimits {
  /** Time a handshake may take. */
  readonly handshakeMs: number;
  readonly maxConnections: number;
}

export interface Listener {
  readonly port: number;
  replaceTls(tls: ServerTls): void;
  stopAccepting(): void;
  /** Resolves when no connection is left. */
  empty(): Promise<void>;
  /** Ends connections at once; without `match`, all. */
  closeConnections(match?: (connection: Connection) => boolean): number;
}

export interface ListenerOptions {
  readonly address: string;
  readonly tls: ServerTls | 'insecure';
  readonly limits: ListenerLimits;
  readonly socketMode: number;
  readonly log: Logger | undefined;
  /** Told of every client that TLS or `verifyClient` did not let in. */
  readonly onRefused: ((refusal: Refusal) => void) | undefined;
  readonly accept: (socket: Socket) => void;
}

/**
 * The connection of a peer certificate as grpc-js hands it out (getAuthContext): the one public way from a call to the
 * socket it came by.
 */
const connections = new WeakMap<PeerCertificate, Connection>();

export function connectionOf(certificate: PeerCertificate | undefined): Connection | undefined {
  return certificate === undefined ? undefined : connections.get(certificate);
}

export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { address, tls, limits, log, accept } = options;
  if (tls !== 'insecure' && 'path' in parseAddress(address)) {
    throw runtimeErrors.error('CONFIG_INVALID', `expected host:port for TLS, found ${address}`);
  }
  const open = new Map<Socket, Connection>();
  const waitingForEmpty: (() => void)[] = [];
  let stopped = false;
  const keep = (socket: Socket, connection: Connection): void => {
    // A handshake may end after the listener did.
    if (stopped) {
      socket.destroy();
      return;
    }
    open.set(socket, connection);
    socket.once('close', () => {
      open.delete(socket);
      if (open.size === 0) for (const resolve of waitingForEmpty.splice(0)) resolve();
    });
    accept(socket);
  };
  const refused = (socket: Socket, error: Error): void => {
    const peer = nameOf(socket);
    log?.info({ peer, err: error }, 'client refused');
    options.onRefused?.({ peer, error });
    socket.destroy();
  };
  const secure = tls === 'insecure' ? undefined : createSecure(tls, limits, refused, keep);
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    socket.on('error', (error) => log?.debug({ peer: nameOf(socket), err: error }, 'connection failed'));
    if (secure === undefined) keep(socket, { peer: nameOf(socket), peerChain: [] });
    else secure.admit(socket);
  });
  server.maxConnections = limits.maxConnections;
  server.on('drop', (dropped) =>
    log?.warn({ peer: dropped?.remoteAddress }, 'too many connections; connection closed'),
  );
  const port = await listen(server, address, options.socketMode);
  return {
    port,
    replaceTls: (next) => {
      if (secure === undefined) throw new Error('an insecure listener has no certificates');
      secure.replace(next);
    },
    stopAccepting: () => {
      stopped = true;
      server.close();
      secure?.stop();
    },
    empty: () => (open.size === 0 ? Promise.resolve() : new Promise((resolve) => waitingForEmpty.push(resolve))),
    closeConnections: (match = () => true) => {
      const chosen = [...open].filter(([, connection]) => match(connection));
      for (const [socket] of chosen) socket.destroy();
      return chosen.length;
    },
  };
}

interface SecurePart {
  admit(socket: Socket): void;
  replace(tls: ServerTls): void;
  stop(): void;
}

function createSecure(
  first: ServerTls,
  limits: ListenerLimits,
  refused: (socket: Socket, error: Error) => void,
  keep: (socket: Socket, connection: Connection) => void,
): SecurePart {
  let tls = first;
  const server = createTlsServer({
    ...serverContext(tls),
    requestCert: tls.roots !== undefined,
    // Node would end the connection without saying why; refusalOf refuses it and says.
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: limits.handshakeMs,
  });
  const gate = createHandshakeGate(limits, (socket) => server.emit('connection', socket));
  server.on('secureConnection', (socket: TLSSocket) => {
    gate.done(socket);
    // The raw socket below it reports the same error.
    socket.on('error', () => undefined);
    const error = refusalOf(socket, tls, keep);
    if (error !== undefined) refused(socket, error);
  });
  server.on('tlsClientError', (error, socket) => {
    // One that left by itself, or was too slow, has no address any more and did nothing to be told of.
    if (socket.remoteAddress === undefined) socket.destroy();
    else refused(socket, error);
  });
  return {
    admit(socket) {
      if (gate.admit(socket)) return;
      refused(socket, runtimeErrors.error('PEER_REFUSED', 'too many handshakes wait already'));
    },
    replace(next) {
      if ((next.roots === undefined) !== (first.roots === undefined)) {
        throw new Error('whether clients need a certificate cannot change while listening');
      }
      server.setSecureContext(serverContext(next));
      tls = next;
    },
    stop: () => gate.stop(),
  };
}

/** Lets a verified client in, or says why not. */
function refusalOf(
  socket: TLSSocket,
  tls: ServerTls,
  keep: (socket: Socket, connection: Connection) => void,
): Error | undefined {
  const refuse = (message: string): Error => runtimeErrors.error('PEER_REFUSED', message);
  if (socket.isSessionReused()) return refuse('resumed sessions are not accepted');
  if (socket.alpnProtocol !== 'h2') return refuse('the client does not speak HTTP/2');
  const certificate = socket.getPeerCertificate(true);
  const peerChain = tls.roots === undefined ? [] : chainOf(certificate);
  if (tls.roots !== undefined && (!socket.authorized || peerChain.length === 0)) {
    return refuse(`the client has no valid certificate (${String(socket.authorizationError)})`);
  }
  try {
    tls.verifyClient?.(peerChain);
  } catch (error) {
    return error instanceof Error ? error : refuse(String(error));
  }
  const connection = { peer: nameOf(socket), peerChain };
  if (peerChain.length > 0) {
    connections.set(certificate, connection);
    // grpc-js asks at every call; the same object is cheaper, and leads back to the connection.
    socket.getPeerCertificate = () => certificate;
  }
  keep(socket, connection);
  return undefined;
}

function nameOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined) return 'unix';
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

/** Resolves with the port, 0 for a unix socket. */
async function listen(server: Server, address: string, socketMode: number): Promise<number> {
  const failed = (cause: unknown): Error => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return runtimeErrors.error('LISTEN_FAILED', `cannot listen on ${address}: ${reason}`, { cause });
  };
  const where = parseAddress(address);
  try {
    if ('path' in where) await removeStaleSocket(where.path);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(where, () => {
        server.off('error', reject);
        resolve();
      });
    });
    if ('path' in where) await chmod(where.path, socketMode);
  } catch (error) {
    throw failed(error);
  }
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

/** A socket file of a process that died blocks its successor; one that somebody answers on is left alone. */
async function removeStaleSocket(path: string): Promise<void> {
  const info = await lstat(path).catch(() => undefined);
  if (!info?.isSocket()) return;
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
  if (!alive) await unlink(path);
}
