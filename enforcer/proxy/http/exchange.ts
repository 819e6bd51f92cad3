// One HTTP/1.1 connection as the frame sees it. The next request waits until the answer to the one before is there: whoever
// answers answers in order, and a server that takes one request for two is noticed by its second answer.
import { Conversation } from './conversation.ts';
import { bodyIdleMs } from './limits.ts';
import { Requests } from './requests.ts';
import { Responses } from './responses.ts';
import type { Exchange, ExchangePorts } from '../protocol.ts';

export function openHttp1(ports: ExchangePorts): Exchange {
  const conversation = new Conversation(ports);
  const client = new Requests(conversation);
  const server = new Responses(conversation);
  return {
    client,
    server,
    isIdle: () => conversation.pending === undefined && conversation.unsettled.length === 0 && !client.isInBody(),
    standing() {
      const operation = conversation.underWay();
      return operation === undefined ? [] : [operation];
    },
    tick: (nowMs) =>
      client.isInBody() && nowMs - client.movedAt() >= bodyIdleMs ? 'a body was begun and not finished' : undefined,
  };
}
