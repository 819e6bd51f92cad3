// The server's direction: answers are followed to their end, and passed on as they come to the one request that waits. What
// nobody asked for ends the connection: it would be taken for the answer to the next request (response splitting), or
// the server took one request for two.
import type { Conversation } from './conversation.ts';
import { fault, type Head, type Reading } from './head.ts';
import { maxInterimAnswers } from './limits.ts';
import { createMessageReader, type MessageReader, type Part } from './message-reader.ts';
import { readResponseHead, type ResponseHead } from './response-head.ts';
import type { Ask, Batch, Direction, Message, Outcome } from '../protocol.ts';

const unasked = 'an answer that nobody asked for';

export class Responses implements Direction {
  readonly #conversation: Conversation;
  readonly #reader: MessageReader<ResponseHead>;
  #head: ResponseHead | undefined;
  #interim = 0;

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
    this.#reader = createMessageReader({ head: (head) => this.#read(head), trailers: 'checked' });
  }

  push(chunk: Buffer): Batch {
    const messages: Message[] = [];
    for (const part of this.#reader.push(chunk)) {
      if (part.kind === 'fault') return { messages, fault: part.why };
      if (part.kind === 'head') this.#head = part.head;
      messages.push(new Passing(part.bytes, this.#isEnd(part), this.#head?.last === true, this.#conversation));
    }
    // Not only at its end: the next request would make it an answer.
    const begunUnasked = this.#conversation.asked === undefined && !this.#reader.isInBody() && this.#reader.isPartial();
    return { messages, fault: begunUnasked ? unasked : undefined };
  }

  isPartial(): boolean {
    return this.#reader.isPartial();
  }

  #read(head: Head): Reading<ResponseHead> {
    const { asked } = this.#conversation;
    if (asked === undefined) return fault(unasked);
    const read = readResponseHead(head, asked.operation.method);
    if ('fault' in read) return read;
    if (read.read.status >= 200) {
      this.#conversation.asked = undefined;
      this.#interim = 0;
    } else if (++this.#interim > maxInterimAnswers) return fault('interim answers without end');
    return read;
  }

  #isEnd(part: Exclude<Part<ResponseHead>, { kind: 'fault' }>): boolean {
    return part.last && (this.#head?.status ?? 0) >= 200;
  }
}

class Passing implements Message {
  readonly #bytes: Buffer;
  readonly #isEnd: boolean;
  readonly #isLast: boolean;
  readonly #conversation: Conversation;

  constructor(bytes: Buffer, isEnd: boolean, isLast: boolean, conversation: Conversation) {
    this.#bytes = bytes;
    this.#isEnd = isEnd;
    this.#isLast = isLast;
    this.#conversation = conversation;
  }

  ask(): Ask {
    return { kind: 'pass' };
  }

  settle(): Outcome {
    if (!this.#isEnd) return { onward: this.#bytes };
    const conversation = this.#conversation;
    const isLast = this.#isLast || conversation.pending?.last === true;
    return {
      onward: this.#bytes,
      ...(isLast ? { close: 'after' } : {}),
      done: () => (conversation.pending = undefined),
    };
  }
}
