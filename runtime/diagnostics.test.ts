import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, test } from 'node:test';
import { serveDiagnostics } from './diagnostics.ts';
import { createMetrics } from './metrics.ts';

const metrics = createMetrics();
const calls = metrics.counter('edgeward_calls_total', 'Calls', ['code']);
metrics.gauge('edgeward_spool_bytes', 'Bytes in the spool', [], () => 42);
const seconds = metrics.histogram('edgeward_call_seconds', 'Duration', [0.1, 1]);
let missing: Record<string, string> = {};
const server = await serveDiagnostics({ port: 0, metrics, notReady: () => missing });
after(() => server.close());
const get = (path: string, init?: RequestInit): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.port}${path}`, init);

test('metrics are in Prometheus text', async () => {
  calls.add(2, { code: 'OK' });
  seconds.observe(0.5);
  const text = await (await get('/metrics')).text();
  assert.match(text, /^edgeward_calls_total\{code="OK"\} 2$/m);
  assert.match(text, /^edgeward_spool_bytes 42$/m);
  assert.match(text, /^edgeward_call_seconds_bucket\{le="1"\} 1$/m);
});

test('readiness names what is missing', async () => {
  assert.equal((await get('/readyz')).status, 200);
  missing = { database: 'does not answer' };
  const answer = await get('/readyz');
  assert.equal(answer.status, 503);
  assert.equal(await answer.text(), 'database: does not answer\n');
  assert.equal((await get('/healthz')).status, 200, 'alive all the same');
});

test('nothing else is served', async () => {
  assert.equal((await get('/')).status, 404);
  assert.equal((await get('/metrics', { method: 'POST' })).status, 405);
});

test('a page that points its own name here gets nothing', async () => {
  const status = await new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: server.port, path: '/metrics', headers: { host: 'evil.example' } };
    request(options, (answer) => resolve(answer.resume().statusCode))
      .on('error', reject)
      .end();
  });
  assert.equal(status, 403);
});

test('only loopback may be listened on', async () => {
  for (const host of ['0.0.0.0', '10.0.0.1', '::', '127.0.0.1.example']) {
    await assert.rejects(serveDiagnostics({ host, port: 0, metrics, notReady: () => ({}) }), {
      code: 'CONFIG_INVALID',
    });
  }
});

test('a port that is taken is said', async () => {
  await assert.rejects(serveDiagnostics({ port: server.port, metrics, notReady: () => ({}) }), {
    code: 'LISTEN_FAILED',
  });
});
