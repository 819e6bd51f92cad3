// TLS that is passed through unopened: the ClientHello says which server is meant, that is judged, and from the server's
// answer on bytes go both ways as they come. Until then the client is watched: asked for a second hello, it must not name
// another server (RFC 8446, 4.1.4).
import type { ProxyOperation } from '../protocol.ts';
import type { Batch, Direction, Exchange, ExchangePorts, Message, Outcome, Protocol } from '../protocol.ts';
import { type ClientHello, createClientHelloReader } from './client-hello.ts';
import { HELLO_MS } from './limits.ts';
import { createRecords, recordTypes } from './records.ts';
import { createServerHelloWatch } from './server-hello.ts';

type TlsOperation = Extract<ProxyOperation, { protocol: 'tls' }>;

/** Fatal access_denied (RFC 8446, 6.2): to a person it reads better than a reset. */
const accessDenied = Buffer.from([recordTypes.alert, 3, 3, 0, 2, 2, 49]);

export const tlsProtocol: Protocol = {
  name: 'tls',
  kind: 'tls',
  open: (ports) => new Passthrough(ports),
  record: (operation) => {
    if (operation.protocol !== 'tls') throw new Error(`no operation of TLS: ${operation.protocol}`);
    const { serverName, alpn } = operation;
    return {
      class: 'connect',
      data: { server_name: serverName, ...(alpn.length === 0 ? {} : { alpn: [...alpn] }) },
      key: [serverName, ...alpn],
      changes: false,
    };
  },
};

class Passthrough implements Exchange {
  readonly client: Direction = { push: (chunk) => this.#ofClient(chunk), isPartial: () => this.#isPartial() };
  readonly server: Direction = { push: (chunk) => this.#ofServer(chunk), isPartial: () => false };
  readonly #ports: ExchangePorts;
  readonly #openedMs: number;
  readonly #records = createRecords();
  readonly #hello = createClientHelloReader();
  readonly #answers = createRecords();
  readonly #choice = createServerHelloWatch();
  /** `hello`: the client has said none yet; `choosing`: the server has not answered for good; `through`: bytes are bytes. */
  #phase: 'hello' | 'choosing' | 'through' = 'hello';
  /** Read, and part of a hello that is not whole yet. */
  #held: Buffer = Buffer.alloc(0);
  #said: TlsOperation | undefined;
  #allowed = false;

  constructor(ports: ExchangePorts) {
    this.#ports = ports;
    this.#openedMs = ports.clock.monotonic();
  }

  isIdle(): boolean {
    return !this.#allowed;
  }

  tick(nowMs: number): string | undefined {
    return this.#phase === 'hello' && nowMs - this.#openedMs >= HELLO_MS
      ? `no ClientHello within ${HELLO_MS} ms`
      : undefined;
  }

  standing(): readonly TlsOperation[] {
    return this.#allowed && this.#said !== undefined ? [this.#said] : [];
  }

  #isPartial(): boolean {
    return this.#phase !== 'through' && (this.#held.length > 0 || this.#hello.isPartial());
  }

  #ofClient(chunk: Buffer): Batch {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const before = this.#held.length;
    if (this.#phase === 'through') {
      this.#held = Buffer.alloc(0);
      return { messages: [passed(bytes)], fault: undefined };
    }
    const { pieces, fault } = this.#records.push(chunk);
    const messages: Message[] = [];
    /** Of `bytes`: what is a message already, and what may become one. */
    let told = 0;
    let clean = 0;
    let wrong = fault;
    for (const piece of pieces) {
      const isHello = piece.type === recordTypes.handshake || this.#phase === 'hello' || this.#hello.isPartial();
      const progress = isHello ? this.#hello.push(piece) : undefined;
      if (progress?.kind === 'refused') wrong = progress.why;
      else if (progress?.kind === 'hello') wrong = this.#take(progress.hello) ?? wrong;
      if (wrong !== undefined && wrong !== fault) break;
      if (progress?.kind === 'more') continue;
      clean = before + piece.end;
      if (progress?.kind !== 'hello') continue;
      const whole = bytes.subarray(told, clean);
      messages.push(this.#phase === 'hello' ? this.#helloMessage(whole) : passed(whole));
      this.#phase = 'choosing';
      told = clean;
    }
    if (clean > told) messages.push(passed(bytes.subarray(told, clean)));
    // A copy: what is read again and again must not keep all chunks of before.
    this.#held = wrong === undefined ? Buffer.from(bytes.subarray(Math.max(told, clean))) : Buffer.alloc(0);
    return { messages, fault: wrong };
  }

  /** A second hello that differs in what was judged is wrong. */
  #take({ serverName = '', alpn }: ClientHello): string | undefined {
    const said: TlsOperation = { protocol: 'tls', serverName, alpn };
    this.#said ??= said;
    return JSON.stringify(said) === JSON.stringify(this.#said)
      ? undefined
      : `a second ClientHello for ${serverName || 'no server'} after one for ${this.#said.serverName || 'no server'}`;
  }

  #helloMessage(bytes: Buffer): Message {
    const operation = this.#said;
    if (operation === undefined) throw new Error('a hello was read');
    return {
      ask: () => ({ kind: 'operations', operations: [operation], combine: 'all' }),
      settle: (judged): Outcome => {
        if (judged.every(({ decision }) => decision.allow)) {
          return { onward: bytes, done: () => void (this.#allowed = true) };
        }
        return this.#ports.onDeny() === 'close' ? { close: 'reset' } : { back: accessDenied, close: 'after' };
      },
    };
  }

  #ofServer(chunk: Buffer): Batch {
    if (this.#phase === 'through') return { messages: [passed(chunk)], fault: undefined };
    const { pieces, fault } = this.#answers.push(chunk);
    for (const piece of pieces) {
      const progress = this.#choice.push(piece);
      if (progress.kind === 'refused') return { messages: [], fault: progress.why };
      if (progress.kind === 'more') continue;
      this.#phase = 'through';
      return { messages: [passed(chunk)], fault: undefined };
    }
    return fault === undefined ? { messages: [passed(chunk)], fault } : { messages: [], fault };
  }
}

/** Bytes that need no decision of their own: they belong to a hello that was allowed. */
function passed(bytes: Buffer): Message {
  return { ask: () => ({ kind: 'pass' }), settle: () => ({ onward: bytes }) };
}
