// The client's direction: a request is judged at its head, and its body follows piece by piece. The bytes that go on are
// those that were read.
import { answerOf } from './answers.ts';
import { bodyBound } from './body-bound.ts';
import type { Conversation, Current } from './conversation.ts';
import { maxDrainedBytes } from './limits.ts';
import { createMessageReader, type MessageReader, type Part } from './message-reader.ts';
import { readRequestHead, type RequestHead } from './request-head.ts';
import {
  type Ask,
  type Batch,
  type Direction,
  isDenied,
  type JudgedOperation,
  type Message,
  type Outcome,
} from '../protocol.ts';

type BodyPart = Extract<Part<RequestHead>, { kind: 'body' }>;

export class Requests implements Direction {
  readonly #conversation: Conversation;
  readonly #reader: MessageReader<RequestHead>;
  /** The head that was read last, and whether nothing counts behind it. */
  #head: RequestHead | undefined;
  #over = false;
  #movedAt: number;

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
    this.#reader = createMessageReader({ head: readRequestHead, trailers: 'refused' });
    this.#movedAt = conversation.ports.clock.monotonic();
  }

  push(chunk: Buffer): Batch {
    this.#movedAt = this.#conversation.ports.clock.monotonic();
    const messages: Message[] = [];
    // What comes behind a last request is for nobody (RFC 9112, 9.6).
    if (this.#over) return { messages, fault: undefined };
    for (const part of this.#reader.push(chunk)) {
      messages.push(this.#messageOf(part));
      this.#over = part.kind === 'fault' || (part.last && this.#head?.last === true);
      if (this.#over) break;
    }
    return { messages, fault: undefined };
  }

  isPartial(): boolean {
    return !this.#over && this.#reader.isPartial();
  }

  hasRoom(): boolean {
    return this.#conversation.hasRoom();
  }

  /** A body is under way. */
  isInBody(): boolean {
    return !this.#over && this.#reader.isInBody();
  }

  /** Since when nothing has come; monotonic milliseconds. */
  movedAt(): number {
    return this.#movedAt;
  }

  #messageOf(part: Part<RequestHead>): Message {
    const { unsettled } = this.#conversation;
    if (part.kind === 'body') {
      unsettled.push('body');
      return new RequestBody(part, this.#conversation);
    }
    // What is no request is answered where a request would be: behind the answers to those before it.
    unsettled.push('head');
    if (part.kind === 'fault') return new NoRequest(part.why);
    this.#head = part.head;
    return new Request(part.bytes, part.head, this.#conversation);
  }
}

class NoRequest implements Message {
  readonly #why: string;

  constructor(why: string) {
    this.#why = why;
  }

  ask(): Ask {
    return { kind: 'close', why: this.#why, back: answerOf(400, { close: true }) };
  }

  settle(): Outcome {
    return { close: 'reset' };
  }
}

class Request implements Message {
  readonly #bytes: Buffer;
  readonly #head: RequestHead;
  readonly #conversation: Conversation;

  constructor(bytes: Buffer, head: RequestHead, conversation: Conversation) {
    this.#bytes = bytes;
    this.#head = head;
    this.#conversation = conversation;
  }

  ask(): Ask {
    return { kind: 'operations', operations: [this.#head.operation], combine: 'all' };
  }

  settle(judged: readonly JudgedOperation[]): Outcome {
    const [verdict] = judged;
    if (verdict === undefined || judged.some(isDenied)) return this.#refuse();
    const head = this.#head;
    const conversation = this.#conversation;
    return {
      onward: this.#bytes,
      done: () => {
        const bound = bodyBound(conversation.ports.entry(), verdict.decision);
        conversation.settled();
        conversation.begin({ head, denied: false, content: 0, bound, isWhole: head.framing.kind === 'none' });
      },
    };
  }

  #refuse(): Outcome {
    const head = this.#head;
    const conversation = this.#conversation;
    if (conversation.ports.onDeny() === 'close') return { close: 'reset' };
    const isLong = head.framing.kind === 'length' && head.framing.bytes > maxDrainedBytes;
    // Who waits for `100 Continue` may send the body yet, or not: nobody knows where the next request would begin.
    const close = head.last || isLong || head.expectsContinue;
    const back = answerOf(403, { method: head.operation.method, close });
    if (close) return { back, close: 'after' };
    return {
      back,
      done: () => {
        conversation.settled();
        conversation.begin({ head, denied: true, content: 0, bound: maxDrainedBytes, isWhole: false });
      },
    };
  }
}

class RequestBody implements Message {
  readonly #part: BodyPart;
  readonly #conversation: Conversation;

  constructor(part: BodyPart, conversation: Conversation) {
    this.#part = part;
    this.#conversation = conversation;
  }

  ask(): Ask {
    const { current } = this.#conversation;
    if (current === undefined) return { kind: 'close', why: 'a body without a request' };
    const bodyBytes = current.content + this.#part.content;
    // Of a length that was said before, the engine has heard.
    if (current.denied || current.head.framing.kind === 'length' || bodyBytes <= current.bound) return { kind: 'pass' };
    return { kind: 'operations', operations: [{ ...current.head.operation, bodyBytes }], combine: 'all' };
  }

  settle(judged: readonly JudgedOperation[]): Outcome {
    const conversation = this.#conversation;
    const { current } = conversation;
    const { bytes, content } = this.#part;
    // The server must never see an end of what it may not have whole.
    if (current === undefined || judged.some(isDenied)) return { close: 'reset' };
    if (current.denied) {
      if (current.content + content > current.bound) return { close: 'reset' };
      return { done: () => this.#count(current) };
    }
    const [verdict] = judged;
    return {
      onward: bytes,
      // It was told at its head.
      ...(verdict === undefined ? {} : { told: [] }),
      done: () => {
        if (verdict !== undefined) current.bound = bodyBound(conversation.ports.entry(), verdict.decision);
        this.#count(current);
      },
    };
  }

  #count(current: Current): void {
    current.content += this.#part.content;
    current.isWhole = this.#part.last;
    this.#conversation.settled();
  }
}
