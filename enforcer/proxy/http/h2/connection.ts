// HTTP/2 (RFC 9113) on one connection: node:http2 reads it, each stream is judged at its fields, and goes on to the server on
// one connection of ours. Frames are not forwarded; fields, content, trailers, resets and back-pressure are.
import {
  type ClientHttp2Session,
  connect,
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { PeerBudgets } from '../../../../runtime/h2/budget.ts';
import { maxRequestHeaders } from '../../../authz/limits.ts';
import type { Connection, ConnectionPorts } from '../../connection.ts';
import { createJudging, type Judging } from '../../judging.ts';
import { KEEP_ALIVE_MS } from '../../limits.ts';
import type { ConnectionInfo } from '../../protocol.ts';
import { endNow } from '../../upstream.ts';
import {
  connectionWindowBytes,
  idleFrames,
  maxConcurrentStreams,
  maxHeaderListBytes,
  maxSessionMegabytes,
  streamResets,
  streamWindowBytes,
} from '../limits.ts';
import { serveStream, type Stream } from './stream.ts';

export function serveHttp2(client: Socket, ports: ConnectionPorts): Connection {
  return new Http2Connection(client, ports);
}

const pseudoFields = 6;

/** Nothing listens: whoever asks for a stream or a session hears of its end by `close`. */
const ignored = (): void => undefined;

class Http2Connection implements Connection {
  readonly #client: Socket;
  readonly #ports: ConnectionPorts;
  readonly #judging: Judging;
  readonly #session: ServerHttp2Session;
  readonly #budgets: PeerBudgets;
  readonly #since: number;
  readonly #streams = new Set<Stream>();
  #isGreeted = false;
  #ended = false;
  #upstream: ClientHttp2Session | undefined;
  #dialled: Promise<ClientHttp2Session> | undefined;

  constructor(client: Socket, ports: ConnectionPorts) {
    this.#client = client;
    this.#ports = ports;
    this.#judging = createJudging(ports);
    this.#since = ports.clock.monotonic();
    this.#budgets = new PeerBudgets(idleFrames, streamResets, this.#since);
    client.setNoDelay(true);
    client.setKeepAlive(true, KEEP_ALIVE_MS);
    const session = performServerHandshake(client, {
      maxSessionMemory: maxSessionMegabytes,
      maxHeaderListPairs: maxRequestHeaders + pseudoFields,
      settings: {
        maxConcurrentStreams,
        maxHeaderListSize: maxHeaderListBytes,
        initialWindowSize: streamWindowBytes,
        enableConnectProtocol: false,
      },
    });
    this.#session = session;
    session.setLocalWindowSize(connectionWindowBytes);
    session.on('error', (error: NodeJS.ErrnoException) => this.#fault(error));
    session.on('close', () => this.#end());
    session.on('remoteSettings', () => {
      this.#isGreeted = true;
      this.#spend('spendFrame');
    });
    session.on('ping', () => this.#spend('spendFrame'));
    session.on('stream', (stream, _, flags, fields) => this.#serve(stream, flags, fields));
  }

  describe(): ConnectionInfo {
    return this.#ports.describe();
  }

  tick(): void {
    const { clock, limits } = this.#ports;
    if (!this.#isGreeted && clock.monotonic() - this.#since >= limits.frameTimeoutMs) {
      this.#refuse('no SETTINGS behind the preface');
    }
    for (const stream of this.#streams) stream.recheck();
  }

  drain(): void {
    this.#session.close();
  }

  reset(): void {
    // In this order: a session that is destroyed first never lets go of its socket.
    endNow(this.#client);
    this.#session.destroy();
    this.#end();
  }

  #serve(stream: ServerHttp2Stream, flags: number, fields: readonly string[]): void {
    stream.on('error', ignored);
    let served: Stream | undefined;
    stream.once('close', () => {
      if (served !== undefined) this.#streams.delete(served);
      if (stream.rstCode === constants.NGHTTP2_NO_ERROR) this.#budgets.earn();
      else this.#spend('spendReset');
    });
    served = serveStream(stream, fields, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0, {
      ports: this.#ports,
      judging: this.#judging,
      upstream: () => this.#upstream ?? this.#dial(),
      reset: () => this.reset(),
    });
    if (served !== undefined) this.#streams.add(served);
  }

  async #dial(): Promise<ClientHttp2Session> {
    const dialled = (this.#dialled ??= this.#connect());
    try {
      return await dialled;
    } catch (error) {
      // The next stream tries again: clients of gRPC keep a connection for days.
      if (this.#dialled === dialled) this.#dialled = undefined;
      throw error;
    }
  }

  async #connect(): Promise<ClientHttp2Session> {
    const socket = await this.#ports.connectUpstream(this.describe().destination);
    socket.setNoDelay(true);
    // The name is that of each request, not of the connection.
    const session = connect('http://server', {
      createConnection: () => socket,
      maxSessionMemory: maxSessionMegabytes,
      maxHeaderListPairs: maxRequestHeaders + pseudoFields,
      settings: { enablePush: false, initialWindowSize: streamWindowBytes, maxHeaderListSize: maxHeaderListBytes },
    });
    session.setLocalWindowSize(connectionWindowBytes);
    session.on('error', ignored);
    // Who asks again gets a new connection, and this one ends with the streams that are on it.
    session.on('goaway', () => this.#session.close());
    session.on('close', () => this.#session.close());
    if (this.#ended) session.destroy();
    this.#upstream = session;
    return session;
  }

  #spend(what: 'spendFrame' | 'spendReset'): void {
    if (this.#ended) return;
    try {
      this.#budgets.nowMs = this.#ports.clock.monotonic();
      this.#budgets[what]();
    } catch (error) {
      this.#refuse(error instanceof Error ? error.message : 'too much that asks nothing');
    }
  }

  /** Node ends the connection by itself; of a peer that is gone there is nothing to say. */
  #fault({ code, message }: NodeJS.ErrnoException): void {
    if (this.#ended || code?.startsWith('ERR_HTTP2_') !== true) return;
    this.#ports.onRefused(this.describe(), `HTTP/2: ${message}`);
  }

  #refuse(why: string): void {
    if (this.#ended) return;
    this.#ports.onRefused(this.describe(), why);
    this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#upstream?.destroy();
    this.#ports.onClosed();
  }
}
