// Ends TLS with this device's own SVID, for clients that prove who they are by theirs: TLS 1.3, a client certificate, no
// resumption. OpenSSL proves that the client has the key; whose it is, is said by our own path validation, at the time that
// signed messages set, so that a clock that is wrong neither locks out nor lets in.
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { CodedError } from '../../../runtime/errors.ts';
import { createHandshakeGate, fourTuple } from '../../../runtime/handshake-gate.ts';
import { chainOf, serverContext, type ServerTls } from '../../../runtime/tls.ts';
import { proxyErrors } from '../errors.ts';
import { HANDSHAKE_LIMITS } from './limits.ts';
import { endNow } from '../upstream.ts';

/** A client whose certificate was verified. */
export interface ProvenPeer {
  /** Device id of the inventory. */
  readonly device: string;
  /** Of its certificate, lower case hex. */
  readonly serial: string;
  /** DER as it came, leaf first. */
  readonly chain: readonly Buffer[];
  /** Throws a CodedError when the certificate is no longer good: expired, revoked, of roots that are gone. */
  readonly mustHold: () => void;
}

export interface TerminationParts {
  /** Our SVID of now, and the roots of its trust domain. */
  readonly tls: () => Required<Pick<ServerTls, 'key' | 'chain' | 'roots'>>;
  /** Calls back when `tls` says something new. */
  readonly follow: (changed: () => void) => void;
  /** Verifies a chain as of now, leaf first: signatures, dates, revocation. Throws a CodedError. */
  readonly verify: (chainDer: readonly Buffer[]) => ProvenPeer;
}

export interface TerminationCall {
  /** Application protocols that the server behind may be asked by, the best first; empty: whatever is offered is ignored. */
  readonly alpn: readonly string[];
  readonly onPeer: (socket: Socket, peer: ProvenPeer) => void;
  /** The socket is closed already. */
  readonly onRefused: (error: CodedError) => void;
}

export interface Termination {
  /** Takes a socket with the first bytes put back into it. Exactly one of the callbacks follows, none after it was destroyed. */
  readonly terminate: (raw: Socket, call: TerminationCall) => void;
}

export function createTermination(parts: TerminationParts): Termination {
  /** By application protocols. They listen nowhere: sockets are given to them. */
  const servers = new Map<string, Server>();
  // The next handshake takes the new identity; connections that are open keep the keys of theirs.
  parts.follow(() => servers.clear());
  const calls = new Map<string, Handshake>();

  const serverFor = (alpn: readonly string[]): Server => {
    const key = alpn.join(' ');
    const server = servers.get(key) ?? createTlsServer(parts, alpn, settle);
    servers.set(key, server);
    return server;
  };
  const begin = (raw: Socket): void => {
    const handshake = calls.get(fourTuple(raw));
    if (handshake === undefined) return;
    try {
      serverFor(handshake.call.alpn).emit('connection', raw);
    } catch (cause) {
      refuse(
        handshake,
        proxyErrors.error('PROXY_TLS_OWN_IDENTITY', `this device's own SVID cannot be used: ${textOf(cause)}`),
      );
    }
  };
  const gate = createHandshakeGate(HANDSHAKE_LIMITS, begin);
  /** Of one that left by itself nobody knows the address any more, and nothing has to be told. */
  const settle = (socket: TLSSocket, answer: (handshake: Handshake) => void): void => {
    const handshake = calls.get(fourTuple(socket));
    if (handshake === undefined) return;
    gate.done(socket);
    calls.delete(fourTuple(socket));
    answer(handshake);
  };

  return {
    terminate(raw, call) {
      const handshake: Handshake = { raw, call };
      const key = fourTuple(raw);
      calls.set(key, handshake);
      raw.once('close', () => calls.get(key) === handshake && calls.delete(key));
      if (!gate.admit(raw)) refuse(handshake, proxyErrors.error('PROXY_TLS_BUSY', 'too many handshakes wait already'));
    },
  };
}

interface Handshake {
  readonly raw: Socket;
  readonly call: TerminationCall;
}

function refuse({ raw, call }: Handshake, error: CodedError): void {
  endNow(raw);
  call.onRefused(error);
}

function createTlsServer(
  parts: TerminationParts,
  alpn: readonly string[],
  settle: (socket: TLSSocket, answer: (handshake: Handshake) => void) => void,
): Server {
  const server = createServer({
    ...serverContext(parts.tls()),
    requestCert: true,
    // Node would end the connection without saying why; we refuse it and say.
    rejectUnauthorized: false,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    settle(socket, (handshake) => {
      // A record that does not decrypt is an error of which Node 24.21 closes nothing.
      socket.on('error', () => endNow(handshake.raw));
      // A reset is one of the connection: of TLS alone there is none.
      socket.resetAndDestroy = () => {
        endNow(handshake.raw);
        return socket.destroy();
      };
      let peer: ProvenPeer;
      try {
        peer = peerOf(socket, parts.verify);
      } catch (error) {
        refuse(handshake, error instanceof CodedError ? error : proxyErrors.error('PROXY_TLS_PEER', textOf(error)));
        return;
      }
      handshake.call.onPeer(socket, peer);
    });
  });
  server.on('tlsClientError', (error, socket) => {
    settle(socket, (handshake) => {
      refuse(handshake, proxyErrors.error('PROXY_TLS_HANDSHAKE', `no TLS 1.3 handshake: ${reasonOf(error)}`));
    });
  });
  return server;
}

function peerOf(socket: TLSSocket, verify: TerminationParts['verify']): ProvenPeer {
  if (socket.isSessionReused()) throw proxyErrors.error('PROXY_TLS_PEER', 'resumed sessions are not accepted');
  const chain = chainOf(socket.getPeerCertificate(true));
  if (chain.length === 0) throw proxyErrors.error('PROXY_TLS_PEER', 'the client presented no certificate');
  return verify(chain);
}

/** Of OpenSSL its words alone: the rest of its text is another one each time, and events are counted by theirs. */
const reasonOf = (error: Error & { readonly reason?: unknown }): string =>
  typeof error.reason === 'string' ? error.reason : error.message;

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
