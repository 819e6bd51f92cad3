// Both versions of HTTP inside TLS that ends at the edge, as it wires its proxies: the device of the SVID is who asks.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { Slice } from '../../policy/bundle/index.ts';
import { findProgram, requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { nodeServer } from './http-servers.ts';
import { httpSlice } from './http-world.ts';
import { type IdentifiedEdge, openIdentifiedEdge, svidSlice } from './identified-edge.ts';
import { svidFiles } from './svid-client.ts';

const gateway = 'spiffe://plant.example/device/gateway-1';
const [grant] = httpSlice().grants;
if (grant === undefined) throw new Error('the slice has a grant');
const slice: Slice = {
  ...httpSlice(),
  devices: svidSlice.devices,
  grants: [{ ...grant, binding: 'svid' }],
};

/** Version, status and text of each path, on one connection. */
function curl(t: TestContext, edge: IdentifiedEdge, scheme: string, ...args: readonly string[]): Promise<string> {
  const { chain, key } = svidFiles(t, edge.authority.issue(gateway));
  const tls = scheme === 'https' ? ['-k', '--cert', chain, '--key', key] : [];
  const [last = '/public/a', ...options] = args.toReversed();
  const url = `${scheme}://127.0.0.1:${edge.port}${last}`;
  return new Promise((resolve) => {
    execFile(
      findProgram('curl') ?? 'curl',
      ['-s', '-m', '10', '-w', '%{http_version} %{http_code}', ...tls, ...options, url],
      (_, stdout) => resolve(stdout),
    );
  });
}

test('HTTP/1.1 inside TLS is judged as the device of the SVID, and in plain as nobody with rights', async (t) => {
  if (!requires(t, 'curl')) return;
  await using server = await nodeServer();
  const edge = await openIdentifiedEdge(t, server.port, { slice, interface: 'hmi-web' });
  assert.equal(await curl(t, edge, 'https', '/public/a'), 'GET /public/a\n1.1 200', 'who offers both');
  assert.equal(await curl(t, edge, 'https', '--http1.1', '/admin/a'), 'denied by policy\n1.1 403');
  assert.equal(await curl(t, edge, 'http', '--http1.1', '/public/a'), 'denied by policy\n1.1 403');
  assert.deepEqual(
    server.seen.map(({ url }) => url),
    ['/public/a'],
  );
});

test('HTTP/2 inside TLS is judged stream by stream, and a device that is contained loses it in the middle', async (t) => {
  const paths: (string | undefined)[] = [];
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    paths.push(headers[':path']);
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200 });
    if (headers[':path'] === '/public/forever') stream.write('a beginning\n');
    else stream.end('hello\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const edge = await openIdentifiedEdge(t, (server.address() as AddressInfo).port, { slice, interface: 'hmi-web' });
  const { chainPem: cert, keyPem: key } = edge.authority.issue(gateway);
  // Offers h2 alone, as gRPC does.
  const client = http2.connect(`https://127.0.0.1:${edge.port}`, { cert, key, rejectUnauthorized: false });
  client.on('error', () => undefined);
  t.after(() => client.destroy());
  const ask = async (path: string): Promise<string> => {
    const request = client.request({ ':path': path, ':authority': 'plant.example' });
    let heard = '';
    request.on('error', () => undefined);
    request.on('response', (fields) => (heard += `${fields[':status']} `));
    request.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    await new Promise<void>((resolve) => request.on('close', () => resolve()));
    return heard;
  };
  assert.equal(await ask('/public/a'), '200 hello\n');
  assert.equal(await ask('/admin/a'), '403 denied by policy\n');
  const endless = ask('/public/forever');
  await until('it is under way', async () => await Promise.resolve(paths.includes('/public/forever')));
  assert.equal(edge.proxies.close('gateway-1'), 1);
  await endless;
  assert.equal(client.destroyed, true);
  assert.deepEqual(paths, ['/public/a', '/public/forever']);
});
