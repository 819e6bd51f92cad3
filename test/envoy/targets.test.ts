// Request lines as no library would write them, through a real Envoy with examples/envoy/http.yaml: what reaches the web
// server is exactly what was granted. The names are those of the reports that they come from.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { serveAuthz } from '../../enforcer/authz/index.ts';
import { requires } from '../support/capabilities.ts';
import { openPlant, type Plant, valuesOf } from './plant.ts';

/** Granted is `/status` and one segment below it, GET and POST. */
const denied: readonly [why: string, requestLine: string, lines?: readonly string[]][] = [
  ['dot segments', 'GET /status/../admin HTTP/1.1'],
  ['dot segments, encoded', 'GET /status/%2e%2e/admin HTTP/1.1'],
  ['dot segments, encoded twice', 'GET /status/%252e%252e/admin HTTP/1.1'],
  ['a dot segment that changes nothing', 'GET /./status HTTP/1.1'],
  ['slashes merged: CVE-2021-31920', 'GET //status HTTP/1.1'],
  ['an encoded slash: CVE-2021-29492', 'GET /status%2fadmin HTTP/1.1'],
  ['an encoded backslash: CVE-2021-31920', 'GET /status%5c..%5cadmin HTTP/1.1'],
  ['a backslash', 'GET /status\\..\\admin HTTP/1.1'],
  ['a fragment: CVE-2021-39156', 'GET /status#/../admin HTTP/1.1'],
  ['an encoded NUL', 'GET /status%00.html HTTP/1.1'],
  ['parameters of a segment', 'GET /status;/../admin HTTP/1.1'],
  ['bytes that are no UTF-8', 'GET /status/%ff%fe HTTP/1.1'],
  ['an overlong slash', 'GET /status/%c0%af HTTP/1.1'],
  ['half a percent-encoding', 'GET /status/%4 HTTP/1.1'],
  ['no leading slash: CVE-2026-33186', 'GET status HTTP/1.1'],
  ['an authority for a path: GHSA-9f29-v6mm-pw6w', 'GET //evil.example/status HTTP/1.1'],
  ['a tunnel', 'CONNECT /status HTTP/1.1'],
  ['the whole server', 'OPTIONS * HTTP/1.1'],
  ['a method in small letters', 'get /status HTTP/1.1'],
  ['a method of its own', 'STATUS /status HTTP/1.1'],
  ['no target', 'GET  HTTP/1.1'],
  ['a space in the target', 'GET /status x HTTP/1.1'],
  ['a tab in the target', 'GET /status\tx HTTP/1.1'],
  ['two hosts', 'GET /status HTTP/1.1', ['host: other.example']],
  ['two lengths', 'GET /status HTTP/1.1', ['content-length: 0', 'content-length: 5']],
  ['a length and a coding', 'POST /status HTTP/1.1', ['content-length: 4', 'transfer-encoding: chunked']],
  ['a coding that nobody knows', 'POST /status HTTP/1.1', ['transfer-encoding: xchunked']],
  ['a header without a name', 'GET /status HTTP/1.1', [': x']],
  ['a space before the colon', 'GET /status HTTP/1.1', ['x-edgeward-subject : admin']],
  ['a NUL in a header', 'GET /status HTTP/1.1', ['x-a: b\0c']],
  ['another method beside the method', 'GET /status HTTP/1.1', ['x-http-method-override: DELETE']],
  ['a header that becomes another one: GHSA-f59h-q822-g45g', 'GET /status HTTP/1.1', ['remote_user: admin']],
];

test('request lines with two readings, through a real Envoy', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const { ports, enforcerAddress, reached } = plant;
  const enforcer = await serveAuthz(ports, () => true, { grpc: [enforcerAddress], forwardAuthSocket: undefined });
  t.after(async () => await enforcer.close(0));
  const envoy = await plant.envoy('http.yaml');

  for (const [why, requestLine, lines = []] of denied) {
    await t.test(
      `${why}: ${JSON.stringify(requestLine)} ${lines.length === 0 ? '' : JSON.stringify(lines)}`,
      async () => {
        const status = await say(plant, requestLine, lines);
        assert.deepEqual({ reached: reached.splice(0).map(({ method, url }) => `${method} ${url}`) }, { reached: [] });
        assert.ok([0, 400, 403, 404, 501].includes(status), `status ${status}`);
      },
    );
  }

  await t.test('what is granted passes, unchanged', async () => {
    for (const target of ['/status', '/status/press-3', '/status?x=/../admin']) {
      assert.equal(await say(plant, `GET ${target} HTTP/1.1`, []), 200, target);
      assert.equal(reached.splice(0)[0]?.url, target);
    }
  });

  await t.test('identity headers cannot be taken away: GHSA-62c8-mh53-4cqv', async () => {
    assert.equal(await say(plant, 'GET /status HTTP/1.1', ['connection: x-edgeward-subject, close']), 200);
    const [request] = reached.splice(0);
    assert.deepEqual(request && valuesOf(request, 'x-edgeward-subject'), ['gateway-1']);
  });

  await t.test('a folded header is one line when it arrives', async () => {
    assert.equal(await say(plant, 'GET /status HTTP/1.1', ['x-a: b', ' x-edgeward-subject: admin']), 200);
    const [request] = reached.splice(0);
    assert.deepEqual(request && valuesOf(request, 'x-a'), ['b x-edgeward-subject: admin']);
    assert.deepEqual(request && valuesOf(request, 'x-edgeward-subject'), ['gateway-1']);
  });

  await t.test('an absolute target is what both see without its authority', async () => {
    assert.equal(await say(plant, 'GET http://evil.example/admin HTTP/1.1', []), 403);
    assert.deepEqual(reached, []);
  });

  assert.equal(await envoy.stat('http.hmi-web.ext_authz.edgeward.failure_mode_allowed'), 0);
});

/** HTTP status of the answer, 0 when the connection ended without. */
async function say({ folder, port }: Plant, requestLine: string, lines: readonly string[]): Promise<number> {
  const identity = {
    cert: readFileSync(join(folder, 'gateway-1.pem')),
    key: readFileSync(join(folder, 'gateway-1.key')),
  };
  const request = [requestLine, 'host: hmi.example', 'connection: close', ...lines, '', ''].join('\r\n');
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ...identity, rejectUnauthorized: false });
    let answer = '';
    socket.setTimeout(5_000, () => socket.destroy());
    socket.on('data', (data: Buffer) => {
      answer += data.toString('latin1');
      // Envoy leaves the connection open for a second after what it could not read.
      if (answer.includes('\r\n\r\n')) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)));
    socket.write(Buffer.from(request, 'latin1'));
  });
}
