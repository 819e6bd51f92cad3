// A connection until it is known who speaks: its first bytes say whether it is TLS. Then the certificate names the client,
// otherwise its address does. No grant counts for both, so that leaving TLS away opens nothing.
import type { Socket } from 'node:net';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Connection } from './connection.ts';
import { proxyErrors } from './errors.ts';
import type { ConnectionInfo } from './protocol.ts';
import { isTls } from './tls/first-bytes.ts';
import { HANDSHAKE_MS } from './tls/limits.ts';
import type { ProvenPeer, Termination } from './tls/termination.ts';
import { endNow } from './upstream.ts';

export interface ArrivalPorts {
  readonly termination: Termination;
  /** Application protocols of TLS that the protocol behind may be spoken under. */
  readonly alpn: readonly string[];
  /** As it is now; without a peer by the address. */
  readonly describe: (peer: ProvenPeer | undefined) => ConnectionInfo;
  /** Takes the socket over, with everything that was read put back. */
  readonly serve: (client: Socket, peer: ProvenPeer | undefined) => Connection;
  readonly onRefused: (connection: ConnectionInfo, error: CodedError) => void;
  /** Not called for a connection that `serve` took. */
  readonly onClosed: () => void;
  readonly clock: Clock;
}

export function arrive(raw: Socket, ports: ArrivalPorts): Connection {
  return new Arrival(raw, ports);
}

class Arrival implements Connection {
  readonly #raw: Socket;
  readonly #ports: ArrivalPorts;
  #first: Buffer = Buffer.alloc(0);
  /** Since when the client has begun and nobody knows who it is; monotonic milliseconds. */
  #since: number | undefined;
  #served: Connection | undefined;
  #peer: ProvenPeer | undefined;
  #ended = false;

  constructor(raw: Socket, ports: ArrivalPorts) {
    this.#raw = raw;
    this.#ports = ports;
    raw.on('data', this.#look);
    raw.on('error', this.#end);
    raw.on('close', this.#end);
  }

  describe(): ConnectionInfo {
    return this.#served?.describe() ?? this.#ports.describe(this.#peer);
  }

  tick(): void {
    if (this.#served === undefined) {
      if (this.#since === undefined || this.#ports.clock.monotonic() - this.#since < HANDSHAKE_MS) return;
      this.#refuse(proxyErrors.error('PROXY_TLS_HANDSHAKE', `no TLS 1.3 handshake within ${HANDSHAKE_MS} ms`));
      return;
    }
    try {
      this.#peer?.mustHold();
    } catch (error) {
      this.#ports.onRefused(this.describe(), codedOf(error));
      this.#served.reset();
      return;
    }
    this.#served.tick();
  }

  drain(): void {
    if (this.#served === undefined) this.reset();
    else this.#served.drain();
  }

  reset(): void {
    if (this.#served !== undefined) {
      this.#served.reset();
      return;
    }
    endNow(this.#raw);
    this.#end();
  }

  readonly #look = (chunk: Buffer): void => {
    const { clock, termination, alpn } = this.#ports;
    this.#since ??= clock.monotonic();
    this.#first = this.#first.length === 0 ? chunk : Buffer.concat([this.#first, chunk]);
    const answer = isTls(this.#first);
    if (answer === undefined) return;
    this.#raw.off('data', this.#look);
    this.#raw.pause();
    this.#raw.unshift(this.#first);
    this.#first = Buffer.alloc(0);
    if (!answer) {
      this.#serve(this.#raw, undefined);
      return;
    }
    termination.terminate(this.#raw, {
      alpn,
      onPeer: (socket, peer) => {
        if (!this.#ended) this.#serve(socket, peer);
        else socket.destroy();
      },
      onRefused: (error) => this.#refuse(error),
    });
  };

  #serve(socket: Socket, peer: ProvenPeer | undefined): void {
    this.#raw.off('error', this.#end);
    this.#raw.off('close', this.#end);
    // The raw socket below TLS reports what the one above it reports too.
    if (socket !== this.#raw) this.#raw.on('error', () => undefined);
    this.#peer = peer;
    this.#served = this.#ports.serve(socket, peer);
    socket.resume();
  }

  #refuse(error: CodedError): void {
    if (this.#ended) return;
    this.#ports.onRefused(this.describe(), error);
    this.reset();
  }

  readonly #end = (): void => {
    if (this.#ended || this.#served !== undefined) return;
    this.#ended = true;
    this.#ports.onClosed();
  };
}

const codedOf = (error: unknown): CodedError =>
  error instanceof CodedError
    ? error
    : proxyErrors.error('PROXY_TLS_PEER', error instanceof Error ? error.message : String(error));
