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

export function serveStream(
  stream: ServerHttp2Stream,
  fields: readonly string[],
  isWhole: boolean,
  parts: StreamPorts,
): void {
  const head = readStreamHead(fields, isWhole);
  if ('fault' in head) {
    parts.ports.onRefused(parts.ports.describe(), head.fault);
    answerStream(stream, 'refused', false);
    return;
  }
  const judged = new JudgedStream(stream, fields, isWhole, head.read, parts);
  judged.go().catch(() => judged.fail());
}

type Operations = Extract<Ask, { kind: 'operations' }>;

const asking = (operation: HttpOperation): Operations => ({
  kind: 'operations',
  operations: [operation],
  combine: 'all',
});
const messageOf = (ask: Operations): Message => ({ ask: () => ask, settle: () => ({}) });

class JudgedStream {
  readonly #stream: ServerHttp2Stream;
  readonly #fields: readonly string[];
  readonly #isWhole: boolean;
  readonly #head: StreamHead;
  readonly #parts: StreamPorts;

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
    forwardStream(this.#stream, this.#fields, this.#isWhole, session, (content) => {
      if (content <= bound) return true;
      const again = saidBytes === undefined ? this.#judgeLonger(content) : undefined;
      if (again === undefined) return false;
      bound = bodyBound(this.#parts.ports.entry(), again.decision);
      return true;
    });
  }

  /** Undefined where a body of so many octets is denied. */
  #judgeLonger(bodyBytes: number): JudgedOperation | undefined {
    const { judging, ports } = this.#parts;
    const ask = asking({ ...this.#head.operation, bodyBytes });
    const [judged] = judging.judge(messageOf(ask), ask);
    if (judged === undefined) return undefined;
    if (!isDenied(judged)) return judged;
    ports.onDenied(ports.describe(), judged);
    return undefined;
  }
}
