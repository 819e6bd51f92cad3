// The HTTP proxy between real sockets: what is answered, what is kept, what is cut, and what a server cannot do to a client.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bodyIdleMs, maxDrainedBytes } from '../../enforcer/proxy/http/limits.ts';
import type { ProxyOptions } from '../../enforcer/proxy/proxy.ts';
import type { Usage } from '../../policy/engine/index.ts';
import { findProgram, requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { nodeServer } from './http-servers.ts';
import { rawHttpClient } from './http-wire.ts';
import { httpSlice, httpWorld, maxUpload } from './http-world.ts';
import { decideBySlice } from './world.ts';

const get = (path: string, ...lines: readonly string[]): string => request('GET', path, ...lines);
const request = (method: string, path: string, ...lines: readonly string[]): string =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;

/** Answers each request head with the same bytes, whatever it asks; says what it received and how the connection ended. */
async function cannedServer(
  answer: string | Buffer,
  after: (socket: Socket) => void = () => undefined,
): Promise<{ port: number; received: () => string; ends: string[] } & AsyncDisposable> {
  let received = '';
  const ends: string[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', (error) => ends.push((error as NodeJS.ErrnoException).code ?? 'error'));
    socket.on('end', () => ends.push('end'));
    socket.on('data', (chunk: Buffer) => {
      const before = received.split('\r\n\r\n').length;
      received += chunk.toString('latin1');
      for (let head = before; head < received.split('\r\n\r\n').length; head++) socket.write(answer);
      after(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    received: () => received,
    ends,
    async [Symbol.asyncDispose]() {
      server.close();
      await Promise.resolve();
    },
  };
}

test('a denied request is answered 403 and its connection stays; HEAD gets no body', async () => {
  await using server = await nodeServer();
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  await client.send(get('/admin/a'), request('HEAD', '/admin/a'), get('/public/a'));
  await client.until(() => client.statuses().length === 3);
  assert.deepEqual(client.statuses(), [403, 403, 200]);
  assert.equal(client.text().match(/denied by policy/g)?.length, 1);
  assert.equal(client.isClosed(), false);
  const events = await proxy.finish();
  const told = events.map(({ kind, activity, data }) => [
    kind,
    activity,
    data.method,
    data.path,
    data.host,
    data.reason,
  ]);
  assert.deepEqual(told.slice(0, 3), [
    ['http', 'deny', 'GET', '/admin/a', 'a', 'no-grant'],
    ['http', 'deny', 'HEAD', '/admin/a', 'a', 'no-grant'],
    ['http', 'allow', 'GET', '/public/a', 'a', 'granted'],
  ]);
});

test('an event does not hold the query', async () => {
  await using server = await nodeServer();
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  await client.send(get('/public/a?token=secret'), get('/admin/a?token=secret'));
  await client.until(() => client.statuses().length === 2);
  assert.doesNotMatch(JSON.stringify(await proxy.finish()), /secret/);
});

test('where the interface says so, what is denied is reset without an answer', async () => {
  await using server = await nodeServer();
  await using proxy = await httpWorld(server.port, {}, httpSlice({ onDeny: 'close' }));
  await using client = await rawHttpClient(proxy.port);
  await client.send(get('/admin/a'));
  await client.until(() => client.isClosed());
  assert.deepEqual([client.isClosed(), client.text()], [true, '']);
});

test('what is no request is answered 400 behind the answers before it, and told', async () => {
  await using server = await nodeServer();
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  await client.send(`${get('/public/a')}GET / HTTP/1.1\nHost: a\n\n${get('/public/b')}`);
  await client.until(() => client.isClosed());
  assert.deepEqual(client.statuses(), [200, 400]);
  assert.equal(client.isClosed(), true);
  const refusals = (await proxy.finish()).filter(({ activity }) => activity === 'refuse');
  assert.deepEqual(
    refusals.map(({ data }) => data.message),
    ['a line that ends without CR'],
  );
});

test('the body of a denied request is thrown away up to a bound', async () => {
  await using server = await nodeServer();
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  await client.send(
    `${request('POST', '/admin/a', 'Content-Length: 1000')}${'x'.repeat(1000)}`,
    `${request('POST', '/admin/a', 'Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\n\r\n`,
    get('/public/a'),
  );
  await client.until(() => client.statuses().length === 3);
  assert.deepEqual(client.statuses(), [403, 403, 200]);
  await client.send(request('POST', '/admin/a', `Content-Length: ${maxDrainedBytes + 1}`));
  await client.until(() => client.isClosed());
  assert.deepEqual(client.statuses(), [403, 403, 200, 403]);
  assert.match(client.text(), /connection: close/);

  await using endless = await rawHttpClient(proxy.port);
  await endless.send(request('POST', '/admin/a', 'Transfer-Encoding: chunked'));
  for (let sent = 0; sent <= maxDrainedBytes && !endless.isClosed(); sent += 0x4000)
    await endless.send(`4000\r\n${'x'.repeat(0x4000)}\r\n`);
  await endless.until(() => endless.isClosed());
  assert.equal(endless.isClosed(), true);
  assert.deepEqual(
    server.seen.map(({ url }) => url),
    ['/public/a'],
  );
});

test('who waits for 100 Continue gets it from the server, or 403 and the end', async () => {
  await using server = await nodeServer();
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  await client.send(request('POST', '/public/a', 'Content-Length: 3', 'Expect: 100-continue'));
  await client.until(() => client.statuses().length === 1);
  assert.deepEqual(client.statuses(), [100]);
  await client.send('abc');
  await client.until(() => client.statuses().length === 2);
  assert.deepEqual(client.statuses(), [100, 200]);
  await client.send(request('POST', '/admin/a', 'Content-Length: 3', 'Expect: 100-continue'));
  await client.until(() => client.isClosed());
  assert.deepEqual([client.statuses(), client.isClosed()], [[100, 200, 403], true]);
});

test('a body without a length is cut where the operation says, and the server never sees its end', async () => {
  await using server = await cannedServer('');
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  await client.send(request('POST', '/upload/a', 'Transfer-Encoding: chunked'));
  for (let sent = 0; sent < maxUpload; sent += 1000) await client.send(`3e8\r\n${'x'.repeat(1000)}\r\n`);
  await client.until(() => false);
  assert.equal(client.isClosed(), false, 'up to its bound it goes on');
  await client.send('1\r\ny\r\n0\r\n\r\n');
  await client.until(() => client.isClosed());
  assert.equal(client.isClosed(), true);
  await until('the reset at the server', async () => await Promise.resolve(server.ends.length > 0));
  assert.deepEqual(server.ends, ['ECONNRESET']);
  assert.equal(server.received().includes('y'), false);
  const denied = (await proxy.finish()).find(({ activity }) => activity === 'deny');
  assert.equal(denied?.data.body_bytes, maxUpload + 1);

  await using second = await httpWorld(server.port);
  await using said = await rawHttpClient(second.port);
  await said.send(request('POST', '/upload/a', `Content-Length: ${maxUpload + 1}`));
  await said.until(() => said.statuses().length === 1);
  assert.deepEqual(said.statuses(), [403]);
});

const passing: readonly (readonly [string, string, string])[] = [
  ['HEAD', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n', 'kept'],
  ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', 'kept'],
  ['GET', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n', 'kept'],
  ['GET', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello', 'kept'],
  ['GET', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n', 'kept'],
  ['GET', 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', 'kept'],
  ['GET', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok', 'ended'],
  ['GET', 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok', 'ended'],
];

for (const [method, answer, end] of passing) {
  test(`an answer passes as it is: ${method} ${JSON.stringify(answer).slice(0, 60)}`, async () => {
    await using server = await cannedServer(answer);
    await using proxy = await httpWorld(server.port);
    await using client = await rawHttpClient(proxy.port);
    await client.send(request(method, '/public/a'));
    await client.until(() => client.text().length >= answer.length && (end === 'kept' || client.isClosed()));
    assert.deepEqual([client.text(), client.isClosed()], [answer, end === 'ended']);
    if (end === 'ended') return;
    await client.send(request(method, '/public/b'));
    await client.until(() => client.text().length >= 2 * answer.length);
    assert.equal(client.text(), answer + answer);
  });
}

test('an answer that ends with its connection passes whole', async () => {
  const answer = `HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(100_000)}`;
  await using server = await cannedServer(answer, (socket) => void socket.end());
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  await client.send(get('/public/a'));
  await client.until(() => client.isClosed());
  assert.equal(client.text(), answer);
});

test('an answer that would end with its connection, and breaks off, is not whole for the client', async () => {
  const answer = 'HTTP/1.1 200 OK\r\n\r\nhalf';
  await using server = await cannedServer(answer, (socket) => setTimeout(() => socket.resetAndDestroy(), 50));
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  let code: string | undefined;
  client.socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
  await client.send(get('/public/a'));
  await client.until(() => client.isClosed());
  assert.deepEqual([client.text(), code], [answer, 'ECONNRESET']);
});

const lies: readonly (readonly [string, string, RegExp, string?])[] = [
  [
    'two answers to one request',
    'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil',
    /nobody asked for/,
  ],
  ['more than it says', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokevil', /nobody asked for/],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 4\r\n\r\nevil', /content-length twice/],
  [
    'length and coding',
    'HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nevil',
    /beside/,
  ],
  [
    'a body behind 204',
    'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil',
    /nobody asked for/,
  ],
  ['a body behind the answer to HEAD', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil', /nobody asked for/, 'HEAD'],
  ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nevil', /switch to/],
  ['no HTTP', 'SSH-2.0-evil\r\n\r\n', /colon|status line/],
  ['a negative chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-4\r\nevil\r\n', /without a size/],
  ['interim answers without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(100) + 'evil', /interim/],
  [
    'a trailer that frames',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 4\r\n\r\nevil',
    /trailer/,
  ],
];

for (const [name, answer, why, method = 'GET'] of lies) {
  test(`a server that lies ends the connection: ${name}`, async () => {
    await using server = await cannedServer(answer);
    await using proxy = await httpWorld(server.port);
    await using client = await rawHttpClient(proxy.port);
    await client.send(request(method, '/public/a'));
    await client.until(() => client.isClosed());
    assert.equal(client.isClosed(), true);
    assert.doesNotMatch(client.text(), /evil/);
    const refusal = (await proxy.finish()).find(({ activity }) => activity === 'refuse');
    assert.match(String(refusal?.data.message), why);
  });
}

test('heads that never end and bodies that stop coming are given up', async () => {
  await using server = await nodeServer();
  await using proxy = await httpWorld(server.port);
  await using head = await rawHttpClient(proxy.port);
  await using body = await rawHttpClient(proxy.port);
  await head.send('GET /public/a HTTP/1.1\r\nHost: a\r\n');
  await body.send(`${request('POST', '/public/a', 'Content-Length: 10')}abc`);
  await until('both are there', async () => await Promise.resolve(proxy.proxy.connections().length === 2));
  await body.until(() => false);
  for (let second = 0; second < 11; second++) {
    await head.send(`X-${second}: y\r\n`);
    await proxy.clock.advance(1_000);
  }
  await head.until(() => head.isClosed());
  assert.deepEqual([head.isClosed(), body.isClosed()], [true, false], 'a head has its time as a whole');
  await proxy.clock.advance(bodyIdleMs);
  await body.until(() => body.isClosed());
  assert.equal(body.isClosed(), true);
  assert.deepEqual(server.seen, []);
});

test('a client that does not read holds up the server, and no memory', async () => {
  let written = 0;
  await using server = await cannedServer('HTTP/1.1 200 OK\r\n\r\n', (socket) => {
    const chunk = Buffer.alloc(1 << 20);
    const fill = (): void => {
      while (written < 512 && !socket.writableNeedDrain) {
        socket.write(chunk);
        written++;
      }
    };
    socket.on('drain', fill);
    fill();
  });
  await using proxy = await httpWorld(server.port);
  await using client = await rawHttpClient(proxy.port);
  client.socket.pause();
  await client.send(get('/public/a'));
  let before = -1;
  while (written !== before) {
    before = written;
    await delay(200);
  }
  assert.ok(written > 0 && written < 64, `${written} MiB left the server`);
});

test('a revoked subject loses its connections at once, in the middle of an answer', async () => {
  const server = createHttpServer((_, response) => void response.write('a beginning'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using proxy = await httpWorld((server.address() as AddressInfo).port);
  await using client = await rawHttpClient(proxy.port);
  await client.send(get('/public/a'));
  await client.until(() => client.text().includes('a beginning'));
  assert.equal(proxy.proxy.close('gateway-1'), 1);
  await client.until(() => client.isClosed());
  assert.equal(client.isClosed(), true);
  server.closeAllConnections();
  server.close();
});

/** A server that begins an answer and never ends it, behind a policy that can be taken away. */
async function beginnings(): Promise<
  { port: number; revoke: () => void; more: Partial<ProxyOptions> } & AsyncDisposable
> {
  const server = createHttpServer((incoming, response) => {
    incoming.on('error', () => undefined).resume();
    response.write('a beginning');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const decide = decideBySlice(httpSlice());
  let isGranted = true;
  return {
    port: (server.address() as AddressInfo).port,
    revoke: () => (isGranted = false),
    more: {
      decide: (connection, operation, abilities) =>
        isGranted
          ? decide(connection, operation, abilities)
          : { ...decide(connection, operation, abilities), allow: false, reason: 'no-grant' },
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const underWay: readonly (readonly [string, string])[] = [
  ['an answer', get('/public/a')],
  ['a body', `${request('POST', '/public/a', 'Content-Length: 10')}abc`],
  ['a body in chunks', `${request('POST', '/upload/a', 'Transfer-Encoding: chunked')}3\r\nabc\r\n`],
];
for (const [name, sent] of underWay) {
  test(`a request that is no longer allowed ends with the next look: ${name}`, async () => {
    await using server = await beginnings();
    await using proxy = await httpWorld(server.port, server.more);
    await using client = await rawHttpClient(proxy.port);
    await using idle = await rawHttpClient(proxy.port);
    await idle.send(get('/admin/a'));
    await client.send(sent);
    await client.until(() => client.text().includes('a beginning'));
    proxy.proxy.recheck();
    await client.until(() => false);
    assert.equal(client.isClosed(), false, 'what is allowed goes on');
    server.revoke();
    proxy.proxy.recheck();
    await client.until(() => client.isClosed());
    assert.deepEqual([client.isClosed(), idle.isClosed()], [true, false]);
    const denial = (await proxy.finish()).find(({ activity, data }) => activity === 'deny' && data.path !== '/admin/a');
    assert.equal(denial?.data.reason, 'no-grant');
  });
}

test('a request that took the last use of its grant is not ended for that', async () => {
  await using server = await beginnings();
  let left = 1;
  const slice = httpSlice();
  const [grant] = slice.grants;
  const limited = { ...slice, grants: grant === undefined ? [] : [{ ...grant, uses: 1 }] };
  const counts: Usage = {
    take: () => (left-- > 0 ? 'taken' : 'uses'),
    look: () => (left > 0 ? 'taken' : 'uses'),
  };
  await using proxy = await httpWorld(server.port, {
    decide: decideBySlice(limited),
    usage: () => {
      let isTaken = false;
      const once = (of: Usage): Usage => ({
        look: (...use) => (isTaken ? 'taken' : of.look(...use)),
        take: (...use) => {
          if (isTaken) return 'taken';
          const answer = of.take(...use);
          isTaken = answer === 'taken';
          return answer;
        },
      });
      const own = once(counts);
      return { ...own, recorded: () => undefined, settled: own };
    },
  });
  await using client = await rawHttpClient(proxy.port);
  await client.send(get('/public/a'));
  await client.until(() => client.text().includes('a beginning'));
  proxy.proxy.recheck();
  await client.until(() => false);
  assert.deepEqual([client.isClosed(), left], [false, 0]);
});

const curl = (args: readonly string[], input = ''): Promise<string> =>
  new Promise((resolve) => {
    const child = execFile(findProgram('curl') ?? 'curl', ['-s', '-m', '10', ...args], (error, stdout, stderr) =>
      resolve(`${stdout}${error === null ? '' : stderr}`),
    );
    child.stdin?.end(input);
  });

test('curl sees, uploads and is refused, on one connection', async (t) => {
  if (!requires(t, 'curl')) return;
  await using server = await nodeServer();
  await using proxy = await httpWorld(server.port);
  const base = `http://127.0.0.1:${proxy.port}`;
  const form = ['-w', '%{http_code} %{num_connects}\n'];
  const seen = await curl([...form, `${base}/public/a`, `${base}/admin/a`, `${base}/public/b`]);
  assert.equal(seen, 'GET /public/a\n200 1\ndenied by policy\n403 0\nGET /public/b\n200 0\n');
  const body = 'x'.repeat(200_000);
  for (const more of [[], ['-H', 'Transfer-Encoding: chunked'], ['-H', 'Expect: 100-continue']]) {
    server.forget();
    assert.equal(await curl([...more, '-d', '@-', `${base}/public/up`], body), 'POST /public/up\n');
    assert.deepEqual(server.seen, [{ method: 'POST', url: '/public/up', body }]);
  }
});
