// What both directions of an HTTP/1.1 connection know of each other: which request is on its way, and whose answer is awaited.
import type { HttpOperation } from './operation.ts';
import type { RequestHead } from './request-head.ts';
import type { ExchangePorts } from '../protocol.ts';

/** A request whose body is on its way. */
export interface Current {
  readonly head: RequestHead;
  /** Its body is thrown away. */
  readonly denied: boolean;
  /** Octets of the body that have come, and up to which the decision stands. */
  content: number;
  bound: number;
  /** All of it has come. */
  isWhole: boolean;
}

export class Conversation {
  readonly ports: ExchangePorts;
  /** Parts of requests that are read and not yet forwarded, in order. */
  readonly unsettled: ('head' | 'body')[] = [];
  current: Current | undefined;
  /** The request whose answer is not complete. */
  pending: RequestHead | undefined;
  /** The same, until the head of its answer is read. */
  asked: RequestHead | undefined;

  constructor(ports: ExchangePorts) {
    this.ports = ports;
  }

  /** The next part may go on: a request waits for the answer to the one before it. */
  hasRoom(): boolean {
    return this.unsettled[0] !== 'head' || this.pending === undefined;
  }

  begin(current: Current): void {
    this.current = current;
    if (current.denied) return;
    this.pending = current.head;
    this.asked = current.head;
  }

  /** What was allowed and is not over: its body is on its way, or its answer. */
  underWay(): HttpOperation | undefined {
    const { current } = this;
    if (current === undefined || current.denied || (current.isWhole && this.pending === undefined)) return undefined;
    const { operation, framing } = current.head;
    return framing.kind === 'chunked' ? { ...operation, bodyBytes: current.content } : operation;
  }

  settled(): void {
    this.unsettled.shift();
  }
}
