import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { freePort } from '../../test/support/free-ports.ts';
import { reachesControl } from './reach-control.ts';

const endpoint = (port: number) => ({ address: '127.0.0.1', port, transport: 'tcp' as const });

test('one endpoint that accepts is enough; none, and none at all, are not', async (t) => {
  const closed = await freePort();
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const signal = AbortSignal.timeout(5_000);
  assert.equal(await reachesControl([endpoint(closed), endpoint(address.port)], signal), true);
  assert.equal(await reachesControl([endpoint(closed)], signal), false);
  assert.equal(await reachesControl([], signal), false);
  assert.equal(await reachesControl([endpoint(address.port)], AbortSignal.abort()), false);
});
