// One stream: judged at its fields, again when the server is there or the record is on disk, and then forwarded.
import type { ClientHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { ConnectionPorts } from '../../connection.ts';
import { type Judging, toldOf } from '../../judging.ts';
import { type Ask, isDenied, type JudgedOperation, type Message } from '../../protocol.ts';
import { bodyBound } from '../body-bound.ts';
import type { HttpOperation } from '../operation.ts';
import { answerStream } from './answer.ts';
import { forwardStream } from './forward.ts';
import { readStreamHead, type StreamHead } from './stream-head.ts';

export interface StreamPorts {
  readonly ports: ConnectionPorts;
  readonly judging: Judging;
  /** The connection to the server; dialled with the first stream that is allowed. */
  readonly upstream: () => ClientHttp2Session | Promise<ClientHttp2Session>;
  /** Ends the whole connection. */
  readonly reset: () => void;
}

export interface Stream {
  /** Ends it on both sides when it is no longer allowed. */
  readonly recheck: () => void;
}

/** Undefined for one that was answered already. */
export function serveStream(
  stream: ServerHttp2Stream,
  fields: readonly string[],
  isWhole: boolean,
  parts: StreamPorts,
): Stream | undefined {
  const head = readStreamHead(fields, isWhole);
  if ('fault' in head) {
    parts.ports.onRefused(parts.ports.describe(), head.fault);
    answerStream(stream, 'refused', false);
    return undefined;
  }
  const judged = new JudgedStream(stream, fields, isWhole, head.read, parts);
  judged.go().catch(() => judged.fail());
  return judged;
}

type Operations = Extract<Ask, { kind: 'operations' }>;

const asking = (operation: HttpOperation): Operations => ({
  kind: 'operations',
  operations: [operation],
  combine: 'all',
});
const messageOf = (ask: Operations): Message => ({ ask: () => ask, settle: () => ({}) });

class JudgedStream implements Stream {
  readonly #stream: ServerHttp2Stream;
  readonly #fields: readonly string[];
  readonly #isWhole: boolean;
  readonly #head: StreamHead;
  readonly #parts: StreamPorts;
  /** Octets of content that have come. */
  #content = 0;
  /** Since it is forwarded. */
  #cut: (() => void) | undefined;

  constructor(
    stream: ServerHttp2Stream,
    fields: readonly string[],
    isWhole: boolean,
    head: StreamHead,
    parts: StreamPorts,
  ) {
    this.#stream = stream;
    this.#fields = fields;
    this.#isWhole = isWhole;
    this.#head = head;
    this.#parts = parts;
  }

  async go(): Promise<void> {
    const { judging, upstream } = this.#parts;
    const ask = asking(this.#head.operation);
    const message = messageOf(ask);
    let judged = judging.judge(message, ask);
    const server = judged.some(isDenied) ? undefined : upstream();
    const session = server instanceof Promise ? await server.catch(() => null) : server;
    if (session === null) {
      answerStream(this.#stream, 'unreachable', this.#head.isGrpc);
      return;
    }
    // Much can happen while the server is dialled.
    if (server instanceof Promise) judged = judging.judge(message, ask);
    judged = (await judging.record(message, ask, judged, toldOf(judged))) ?? judged;
    const [verdict] = judged;
    if (session === undefined || verdict === undefined || judged.some(isDenied)) this.#deny();
    else if (!this.#stream.destroyed && !this.#stream.closed) this.#forward(session, verdict);
  }

  recheck(): void {
    if (this.#cut === undefined) return;
    const { judging, ports } = this.#parts;
    const { operation, saidBytes } = this.#head;
    const asked = saidBytes === undefined ? { ...operation, bodyBytes: this.#content } : operation;
    const decision = judging.look(asked);
    if (decision.allow) return;
    ports.onDenied(ports.describe(), { operation: asked, decision });
    this.#cut();
    this.#cut = undefined;
  }

  fail(): void {
    answerStream(this.#stream, 'unreachable', this.#head.isGrpc);
  }

  #deny(): void {
    const { ports, reset } = this.#parts;
    if (ports.entry()?.onDeny === 'close') reset();
    else answerStream(this.#stream, 'denied', this.#head.isGrpc);
  }

  #forward(session: ClientHttp2Session, verdict: JudgedOperation): void {
    const { saidBytes } = this.#head;
    let bound = saidBytes ?? bodyBound(this.#parts.ports.entry(), verdict.decision);
    this.#cut = forwardStream(this.#stream, this.#fields, this.#isWhole, session, (content) => {
      this.#content = content;
      if (content <= bound) return true;
      if (saidBytes !== undefined) return false;
      return this.#judgeLonger(content).then((verdict) => {
        if (verdict !== undefined) bound = bodyBound(this.#parts.ports.entry(), verdict.decision);
        return verdict !== undefined;
      });
    });
  }

  /** Undefined where a body of so many octets is denied; an allow was told at the head. */
  async #judgeLonger(bodyBytes: number): Promise<JudgedOperation | undefined> {
    const { judging } = this.#parts;
    const ask = asking({ ...this.#head.operation, bodyBytes });
    const message = messageOf(ask);
    const judged = judging.judge(message, ask);
    const settled = (await judging.record(message, ask, judged, judged.filter(isDenied))) ?? judged;
    return settled.some(isDenied) ? undefined : settled[0];
  }
}
