// Streams over a real loopback connection: order, errors in the middle, cancellation from every side, back-pressure.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  answerTo,
  collect,
  renewals,
  startLoopback,
  stopLoopback,
  type Request,
} from '../test/support/grpc-loopback.ts';
import { runtimeErrors } from './error-codes.ts';

afterEach(stopLoopback);

test('a bidirectional stream carries thousands of messages in order', async () => {
  const { stream } = await startLoopback({});
  const answers = await collect(stream.connect(renewals(3000)));
  assert.equal(answers.length, 3000);
  assert.deepEqual(answers[2999]?.message, {
    case: 'welcome',
    value: { ...answers[0]?.message.value, serverVersion: 'renew' },
  });
});

test('an error in the middle of a stream comes after the messages before it', async () => {
  const { stream } = await startLoopback({
    async *connect(requests) {
      for await (const request of requests) {
        yield answerTo(request);
        throw runtimeErrors.error('RPC_ABORTED', 'enough');
      }
    },
  });
  const got: unknown[] = [];
  await assert.rejects(
    (async () => {
      for await (const answer of stream.connect(renewals(5))) got.push(answer);
    })(),
    { code: 'RPC_ABORTED', message: 'enough' },
  );
  assert.equal(got.length, 1);
});

test('a signal cancels a unary call and a stream with its own reason, and the handler hears of it', async () => {
  const aborted = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { enrolment, stream } = await startLoopback({
    enroll: async (_, call) => {
      call.signal.addEventListener('abort', () => aborted[0]?.resolve());
      await aborted[0]?.promise;
      return {};
    },
    async *connect(requests, call) {
      call.signal.addEventListener('abort', () => aborted[1]?.resolve());
      for await (const request of requests) yield answerTo(request);
    },
  });
  const reason = new Error('shutting down');
  const stop = new AbortController();
  const call = enrolment.enroll({}, { signal: stop.signal });
  const open = stream.connect(endless(stop.signal), { signal: stop.signal });
  const reading = (async () => {
    for await (const answer of open) if (answer.message.case === 'welcome') stop.abort(reason);
  })();
  await assert.rejects(reading, (error) => error === reason);
  await assert.rejects(call, (error) => error === reason);
  await Promise.all(aborted.map(({ promise }) => promise));
  await assert.rejects(enrolment.enroll({}, { signal: stop.signal }), (error) => error === reason);
});

async function* endless(signal: AbortSignal): AsyncGenerator<Request> {
  yield* renewals(1);
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}

test('leaving the loop of answers cancels the call and stops the requests', async () => {
  const ended = Promise.withResolvers<void>();
  const { stream } = await startLoopback({
    async *connect(requests, call) {
      call.signal.addEventListener('abort', () => ended.resolve());
      for await (const request of requests) yield answerTo(request);
    },
  });
  const stopped = Promise.withResolvers<void>();
  async function* requests(): AsyncGenerator<Request> {
    try {
      for (;;) {
        yield* renewals(1);
        await delay(1);
      }
    } finally {
      stopped.resolve();
    }
  }
  for await (const answer of stream.connect(requests())) {
    assert.ok(answer);
    break;
  }
  await ended.promise;
  await stopped.promise;
});

test('a failing source of requests ends the call with its own error', async () => {
  const { stream } = await startLoopback({});
  async function* broken(): AsyncGenerator<Request> {
    yield* renewals(1);
    throw new Error('spool is gone');
  }
  await assert.rejects(collect(stream.connect(broken())), /spool is gone/);
});

test('a sender waits for a slow receiver: requests', async () => {
  const release = Promise.withResolvers<void>();
  let sent = 0;
  const { stream } = await startLoopback({
    async *connect(requests) {
      await release.promise;
      for await (const request of requests) if (request.message.case === undefined) yield answerTo(request);
    },
  });
  async function* counted(): AsyncGenerator<Request> {
    for await (const request of renewals(400, 64 * 1024)) {
      sent++;
      yield request;
    }
  }
  const done = collect(stream.connect(counted()));
  await settled(() => sent);
  assert.ok(sent < 100, `${sent} of 400 messages of 64 KiB left although nobody reads`);
  release.resolve();
  await done;
  assert.equal(sent, 400);
});

test('a sender waits for a slow receiver: answers', async () => {
  let made = 0;
  const { stream } = await startLoopback({
    async *connect() {
      for (; made < 400; made++) yield { message: { case: 'chunk', value: { content: Buffer.alloc(64 * 1024) } } };
    },
  });
  const answers = stream.connect(renewals(0))[Symbol.asyncIterator]();
  await answers.next();
  await settled(() => made);
  assert.ok(made < 100, `${made} of 400 answers were made although nobody reads`);
  let read = 1;
  while (!(await answers.next()).done) read++;
  assert.equal(read, 400);
});

/** Resolves when `count` has stopped changing. */
async function settled(count: () => number): Promise<void> {
  for (let last = -1, same = 0; same < 10;) {
    same = count() === last ? same + 1 : 0;
    last = count();
    await delay(20);
  }
}
