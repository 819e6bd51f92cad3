import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Decision } from '../../../policy/engine/index.ts';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { defaultLimits } from '../limits.ts';
import type { Ask, Exchange, JudgedOperation, Message, Outcome } from '../protocol.ts';
import { openHttp1 } from './exchange.ts';

const clock = new FakeClock();

function open(onDeny: 'answer' | 'close' = 'answer'): Exchange {
  return openHttp1({
    connection: () => assert.fail('not asked for'),
    entry: () => undefined,
    onDeny: () => onDeny,
    clock,
    limits: defaultLimits,
  });
}

const decision: Decision = { allow: true, reason: 'granted', rule: '', place: '', operation: 'x', bundle: '' };
const verdictOf = (ask: Ask, allow: boolean): JudgedOperation[] =>
  ask.kind === 'operations' ? ask.operations.map((operation) => ({ operation, decision: { ...decision, allow } })) : [];

/** As the frame does. */
function go(message: Message | undefined, allow = true): Outcome {
  assert.ok(message !== undefined);
  const outcome = message.settle(verdictOf(message.ask(), allow));
  outcome.done?.();
  return outcome;
}

const get = (path: string): Buffer => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
const answer = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');

test('what is denied is reset where the interface says so', () => {
  const [message] = open('close').client.push(get('/')).messages;
  assert.deepEqual(go(message, false), { close: 'reset' });
});

test('a request waits for the whole answer to the one before it; its own body does not', () => {
  const { client, server } = open();
  const post = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi');
  const [head, body, next] = client.push(Buffer.concat([post, get('/b')])).messages;
  go(head);
  assert.equal(client.hasRoom?.(), true);
  go(body);
  assert.equal(client.hasRoom?.(), false);
  const early = server.push(answer.subarray(0, 30)).messages;
  for (const message of early) go(message);
  assert.equal(client.hasRoom?.(), false);
  for (const message of server.push(answer.subarray(30)).messages) go(message);
  assert.equal(client.hasRoom?.(), true);
  assert.equal(go(next).onward?.toString('latin1'), get('/b').toString('latin1'));
});

test('it is idle when nothing is under way', () => {
  const exchange = open();
  const { client, server } = exchange;
  assert.equal(exchange.isIdle(), true);
  const [head] = client.push(get('/')).messages;
  assert.equal(exchange.isIdle(), false, 'read and not yet forwarded');
  go(head);
  assert.equal(exchange.isIdle(), false, 'not yet answered');
  for (const message of server.push(answer).messages) go(message);
  assert.equal(exchange.isIdle(), true);
});

test('bytes that no request waits for are a fault at once, also a single one', () => {
  const { client, server } = open();
  go(client.push(get('/')).messages[0]);
  for (const message of server.push(answer).messages) go(message);
  assert.match(server.push(Buffer.from('H')).fault ?? '', /nobody asked for/);
});
