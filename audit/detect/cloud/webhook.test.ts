import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { CodedError } from '../../../runtime/errors.ts';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { createLogger } from '../../../runtime/log.ts';
import { createFindingDelivery, webhook } from './deliver-findings.ts';
import { sampleFinding } from './sample-finding.ts';

const log = createLogger({ name: 'test', level: 'silent' });

/** A receiver on loopback; returns its origin. */
async function receiver(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a webhook answers 500, then 200: the finding arrives whole and once more, told apart by its id', async (t) => {
  const bodies: string[] = [];
  const statuses = [500, 200, 200];
  const arrived = Promise.withResolvers<void>();
  const origin = await receiver(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      assert.deepEqual(
        [request.method, request.url, request.headers['content-type']],
        ['POST', '/hook?k=v', 'application/json'],
      );
      bodies.push(Buffer.concat(chunks).toString('utf8'));
      response.writeHead(statuses[bodies.length - 1] ?? 500).end('thanks');
      if (bodies.length === statuses.length) arrived.resolve();
    });
  });
  const clock = new FakeClock();
  const delivery = createFindingDelivery({ targets: { hook: webhook(`${origin}/hook?k=v`) }, clock, log });
  const stop = new AbortController();
  const running = delivery.task(stop.signal);
  delivery.enqueue(sampleFinding);
  delivery.enqueue({ ...sampleFinding, id: 'f-2' });
  while (clock.sleeping === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.equal(bodies.length, 1, 'the second waits behind the first');
  await clock.advance(1_000);
  await arrived.promise;
  stop.abort();
  await running;
  const documents = bodies.map((body) => JSON.parse(body) as Record<string, unknown>);
  assert.deepEqual(
    documents.map((document) => document['id']),
    [sampleFinding.id, sampleFinding.id, 'f-2'],
  );
  assert.deepEqual(documents[1], { type: 'edgeward.finding', version: 1, ...sampleFinding });
});

test('a refusal, a redirect and silence are failures that name the origin and not the secret in the path', async (t) => {
  const failing = async (listener: RequestListener): Promise<string> => {
    const origin = await receiver(t, listener);
    const error = await webhook(`${origin}/secret-path?token=secret`)(sampleFinding).then(
      () => assert.fail('was taken for delivered'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof CodedError);
    assert.equal(error.code, 'DETECT_DELIVERY_FAILED');
    assert.ok(error.message.includes(origin) && !error.message.includes('secret'), error.message);
    return error.message.replace(origin, '');
  };
  assert.equal(await failing((_, response) => response.writeHead(403).end()), 'webhook : HTTP 403');
  const moved: RequestListener = (_, response) => response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end();
  assert.equal(await failing(moved), 'webhook : no answer');
  assert.equal(await failing((request) => request.socket.destroy()), 'webhook : no answer');
});

test('an address that is none is refused when it is configured', () => {
  for (const url of [
    '',
    'hooks.example',
    'file:///etc/passwd',
    'https://ann:pw@hooks.example/',
    'https://:pw@hooks.example/',
  ]) {
    assert.throws(
      () => webhook(url),
      (error) => error instanceof CodedError && error.code === 'DETECT_TARGET_INVALID' && !error.message.includes('pw'),
      url,
    );
  }
});
