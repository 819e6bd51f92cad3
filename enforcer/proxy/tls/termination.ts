// Ends TLS with this device's own SVID, for clients that prove who they are by theirs: TLS 1.3, a client certificate, no
// resumption. OpenSSL proves that the client has the key; whose it is, is said by our own path validation, at the time that
// signed messages set, so that a clock that is wrong neither locks out nor lets in.
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { CodedError } from '../../../runtime/errors.ts';
import { createHandshakeGate } from '../../../runtime/handshake-gate.ts';
import { chainOf, serverContext, type ServerTls } from '../../../runtime/tls.ts';
import { proxyErrors } from '../errors.ts';
import { HANDSHAKE_LIMITS } from './limits.ts';

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
  let context: SecureContext | undefined;
  // The next handshake takes the new identity; connections that are open keep the keys of theirs.
  parts.follow(() => (context = undefined));
  const calls = new WeakMap<Socket, TerminationCall>();

  const begin = (raw: Socket): void => {
    const call = calls.get(raw);
    if (call === undefined) return;
    const refuse = (error: CodedError): void => {
      raw.resetAndDestroy();
      call.onRefused(error);
    };
    try {
      context ??= createSecureContext(serverContext(parts.tls()));
    } catch (cause) {
      refuse(proxyErrors.error('PROXY_TLS_OWN_IDENTITY', `this device's own SVID cannot be used: ${textOf(cause)}`));
      return;
    }
    handshake(raw, context, call, parts, refuse, () => gate.done(raw));
  };
  const gate = createHandshakeGate(HANDSHAKE_LIMITS, begin);

  return {
    terminate(raw, call) {
      calls.set(raw, call);
      if (gate.admit(raw)) return;
      raw.resetAndDestroy();
      call.onRefused(proxyErrors.error('PROXY_TLS_BUSY', 'too many handshakes wait already'));
    },
  };
}

function handshake(
  raw: Socket,
  secureContext: SecureContext,
  { alpn, onPeer }: TerminationCall,
  { verify }: TerminationParts,
  refuse: (error: CodedError) => void,
  done: () => void,
): void {
  const socket = new TLSSocket(raw, {
    isServer: true,
    secureContext,
    requestCert: true,
    // Node would end the connection without saying why; we refuse it and say.
    rejectUnauthorized: false,
    ...(alpn.length === 0 ? {} : { ALPNCallback: ({ protocols }) => alpn.find((name) => protocols.includes(name)) }),
  });
  // A reset is one of the connection: of TLS alone there is none.
  socket.resetAndDestroy = () => {
    raw.resetAndDestroy();
    return socket.destroy();
  };
  const failed = (error: Error): void => {
    // Who left by itself was not refused.
    if (raw.destroyed && !('reason' in error)) return;
    refuse(proxyErrors.error('PROXY_TLS_HANDSHAKE', `no TLS 1.3 handshake: ${reasonOf(error)}`));
  };
  socket.once('error', failed);
  socket.once('secure', () => {
    done();
    socket.off('error', failed);
    // Whoever takes the socket listens too; a failure before that is its end all the same.
    socket.on('error', () => undefined);
    let peer: ProvenPeer;
    try {
      peer = peerOf(socket, verify);
    } catch (error) {
      refuse(error instanceof CodedError ? error : proxyErrors.error('PROXY_TLS_PEER', textOf(error)));
      return;
    }
    onPeer(socket, peer);
  });
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
