// Every way of the field to get a request past an HTTP filter, each towards servers that read strictly (Node, nginx) and towards
// one that reads as carelessly as the attack needs. Through the proxy no request for /admin arrives anywhere; straight
// it arrives at the careless server, or the attack proves nothing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type Carelessness, carelessServer, nginxServer, nodeServer, type RecordingServer } from './http-servers.ts';
import { rawHttpClient } from './http-wire.ts';
import { httpWorld } from './http-world.ts';
import type { World } from './world.ts';

const strict: { readonly server: RecordingServer; readonly proxy: World }[] = [];

before(async () => {
  for (const server of [await nodeServer(), await nginxServer()]) {
    if (server !== undefined) strict.push({ server, proxy: await httpWorld(server.port) });
  }
});

after(async () => {
  for (const { server, proxy } of strict) {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }
});

interface Attempt {
  readonly name: string;
  readonly segments: readonly (string | Buffer)[];
  /** The reader that the attack is made for; `none` where no reader that anybody uses is left. */
  readonly control: Carelessness | 'none';
  /** The request that carries it is one that may be made, and arrives. */
  readonly carrierArrives?: true;
}

const wanted = 'GET /admin/x HTTP/1.1\r\nHost: a\r\n\r\n';
const allowed = 'GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (...lines: readonly string[]): string =>
  `POST /public/a HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;
const attempt = (name: string, control: Attempt['control'], ...segments: readonly (string | Buffer)[]): Attempt => ({
  name,
  control,
  segments,
});
/** A body that is over at once for who reads chunks, and holds the request for who reads a length. */
const ended = `0\r\n\r\n${wanted}`;
/** The other way round: one chunk that holds it. */
const wrapped = `${wanted.length.toString(16)}\r\n${wanted}\r\n0\r\n\r\n`;
const coding = (line: string, control: Attempt['control'] = { looseCoding: true }): Attempt =>
  attempt(`TE.TE: ${JSON.stringify(line)}`, control, post(`Content-Length: ${ended.length}`, line) + ended);

const attempts: readonly Attempt[] = [
  attempt('plain', {}, wanted),
  ...Array.from({ length: wanted.length - 1 }, (_, index) =>
    attempt(`split after byte ${index + 1}`, {}, wanted.slice(0, index + 1), wanted.slice(index + 1)),
  ),
  attempt('one byte a segment', {}, ...wanted.split('')),
  { ...attempt('pipelined behind a request', {}, allowed + wanted), carrierArrives: true },
  { ...attempt('pipelined between requests', {}, allowed + wanted + allowed), carrierArrives: true },
  { ...attempt('behind a body', {}, `${post('Content-Length: 3')}abc${wanted}`), carrierArrives: true },
  {
    ...attempt('behind chunks', {}, `${post('Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\n\r\n${wanted}`),
    carrierArrives: true,
  },
  {
    ...attempt(
      'behind a request that was the last',
      {},
      `GET /public/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${wanted}`,
    ),
    carrierArrives: true,
  },
  {
    ...attempt(
      'behind a request of HTTP/1.0',
      {},
      `GET /public/a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n${wanted}`,
    ),
    carrierArrives: true,
  },
  attempt('CL.TE', {}, post(`Content-Length: ${ended.length}`, 'Transfer-Encoding: chunked') + ended),
  attempt('TE.CL', { lengthWins: true }, post('Content-Length: 4', 'Transfer-Encoding: chunked') + wrapped),
  attempt('TE.0', { noCoding: true }, `${post('Transfer-Encoding: chunked', 'Connection: x')}${wanted}`),
  attempt(
    'CL.0 in GET',
    { noBodyOfGet: true },
    `GET /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${wanted.length}\r\n\r\n${wanted}`,
  ),
  attempt(
    'CL.0 in HEAD',
    { noBodyOfGet: true },
    `HEAD /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${wanted.length}\r\n\r\n${wanted}`,
  ),
  attempt(
    'two lengths, the first counts',
    { lengthOf: 'first' },
    post('Content-Length: 0', `Content-Length: ${wanted.length}`) + wanted,
  ),
  attempt(
    'two lengths, the last counts',
    { lengthOf: 'last' },
    post(`Content-Length: ${wanted.length}`, 'Content-Length: 0') + wanted,
  ),
  attempt('a list of lengths', {}, post(`Content-Length: 0, ${wanted.length}`) + wanted),
  attempt('a negative length', {}, post('Content-Length: -1') + wanted),
  attempt('an overlong length', {}, post('Content-Length: 00000000000000000000000000000000000') + wanted),
  attempt('a length that is hexadecimal', {}, post(`Content-Length: 0x${wanted.length.toString(16)}`) + wanted),
  attempt('a length with a sign', {}, post(`Content-Length: +0`) + wanted),
  attempt('an underscore in the length', {}, post('Content_Length: 0', `X-Content-Length: ${wanted.length}`) + wanted),
  coding('Transfer-Encoding: chunked'),
  coding('Transfer-Encoding: xchunked'),
  coding('Transfer-Encoding: chunked, identity'),
  coding('Transfer-Encoding: identity, chunked'),
  coding('Transfer-Encoding: "chunked"'),
  coding('Transfer-Encoding: CHUNKED'),
  coding('Transfer-Encoding:\tchunked'),
  coding('Transfer-Encoding: chunked\t'),
  coding('Transfer-Encoding : chunked'),
  coding('Transfer_Encoding: chunked'),
  coding(' Transfer-Encoding: chunked'),
  coding('X: y\nTransfer-Encoding: chunked', { looseLines: true, looseCoding: true }),
  coding('X: y\rTransfer-Encoding: chunked', { looseLines: true, looseCoding: true }),
  coding('Transfer-Encoding:\r\n chunked', 'none'),
  coding('Transfer-Encoding: \u000bchunked'),
  coding('Transfer-Encoding: \0chunked'),
  attempt('TE twice', { looseCoding: true }, post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity') + ended),
  attempt(
    'an extension that a line ends in',
    {},
    `${post('Transfer-Encoding: chunked')}2;\nxx\r\n4c\r\n0\r\n\r\n${wanted}`,
  ),
  attempt(
    'a size that overflows',
    { looseSizes: true },
    `${post('Transfer-Encoding: chunked')}100000005\r\nabcde\r\n0\r\n\r\n${wanted}`,
  ),
  attempt('a size that begins with 0x', {}, `${post('Transfer-Encoding: chunked')}0x2\r\nab\r\n0\r\n\r\n${wanted}`),
  attempt('a chunk that is longer than it says', 'none', `${post('Transfer-Encoding: chunked')}1\r\n${ended}`),
  attempt('LF only', { looseLines: true }, wanted.replaceAll('\r\n', '\n')),
  attempt('LF at the end of a head', { looseLines: true }, `GET /public/a HTTP/1.1\r\nHost: a\n\n${wanted}`),
  attempt('tabs in the request line', {}, 'GET\t/admin/x\tHTTP/1.1\r\nHost: a\r\n\r\n'),
  attempt('two targets', {}, 'GET /admin/x /public/a HTTP/1.1\r\nHost: a\r\n\r\n'),
  attempt('NUL in a target', {}, 'GET /admin/x\0/../../public/a HTTP/1.1\r\nHost: a\r\n\r\n'),
  attempt('a target with scheme and host', {}, 'GET http://a/admin/x HTTP/1.1\r\nHost: a\r\n\r\n'),
  attempt('a target with another host', {}, 'GET http://a/admin/x HTTP/1.1\r\nHost: b\r\n\r\n'),
  attempt('dot segments', {}, 'GET /public/../admin/x HTTP/1.1\r\nHost: a\r\n\r\n'),
  attempt('encoded dot segments', {}, 'GET /public/%2e%2e/admin/x HTTP/1.1\r\nHost: a\r\n\r\n'),
  attempt('a doubled slash', {}, 'GET //admin/x HTTP/1.1\r\nHost: a\r\n\r\n'),
  attempt('no Host', {}, 'GET /admin/x HTTP/1.1\r\n\r\n'),
  attempt('HTTP/0.9', 'none', 'GET /admin/x\r\n'),
  attempt('HTTP/1.2', {}, 'GET /admin/x HTTP/1.2\r\nHost: a\r\n\r\n'),
  attempt('behind empty lines', {}, `\r\n\r\n${wanted}`),
  attempt(
    'behind garbage',
    'none',
    Buffer.concat([Buffer.from([0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1]), Buffer.from(wanted)]),
  ),
  attempt(
    'behind a TLS record',
    'none',
    Buffer.concat([Buffer.from([0x16, 3, 1, 0, 4, 1, 0, 0, 0]), Buffer.from(wanted)]),
  ),
  attempt('behind a head without end', {}, `GET /admin/x HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(70_000)}\r\n\r\n`),
  attempt(
    'with an upgrade to HTTP/2',
    {},
    'GET /admin/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
  ),
  attempt(
    'in the body of what is denied',
    { noBodyOfGet: true },
    `DELETE /admin/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${wanted.length}\r\n\r\n${wanted}`,
  ),
  attempt('CONNECT', {}, 'CONNECT /admin/x HTTP/1.1\r\nHost: a\r\n\r\n'),
];

async function attack(port: number, segments: readonly (string | Buffer)[]): Promise<void> {
  await using client = await rawHttpClient(port);
  await client.send(...segments);
  await client.until(() => false);
}

const arrivedAt = (server: RecordingServer): boolean => server.seen.some(({ url }) => url.includes('/admin/'));

for (const { name, segments, control, carrierArrives = false } of attempts) {
  test(`evasion: ${name}`, async () => {
    for (const { server, proxy } of strict) {
      server.forget();
      await attack(proxy.port, segments);
      assert.ok(!arrivedAt(server), `it arrived at ${server.name}: ${JSON.stringify(server.seen)}`);
      assert.ok(!server.bytes().includes('/admin/'), `bytes of it arrived: ${JSON.stringify(server.bytes())}`);
      if (carrierArrives) assert.ok(server.seen.length > 0, `nothing arrived at ${server.name}`);
    }
    await using careless = await carelessServer(control === 'none' ? {} : control);
    await using proxy = await httpWorld(careless.port);
    await attack(proxy.port, segments);
    assert.ok(!arrivedAt(careless), 'it arrived at a careless server');
    assert.ok(!careless.bytes().includes('/admin/'));
    careless.forget();
    await attack(careless.port, segments);
    if (control !== 'none') assert.ok(arrivedAt(careless), 'straight it has to arrive');
  });
}

test('evasion: on a second connection while another one is served', async () => {
  for (const { server, proxy } of strict) {
    server.forget();
    await using one = await rawHttpClient(proxy.port);
    await using other = await rawHttpClient(proxy.port);
    for (let turn = 1; turn <= 20; turn++) {
      await Promise.all([one.send(allowed), other.send(wanted)]);
      await one.until(() => one.statuses().length === turn);
      await other.until(() => other.statuses().length === turn);
    }
    assert.deepEqual(
      one.statuses(),
      Array.from({ length: 20 }, () => 200),
    );
    assert.deepEqual(
      other.statuses(),
      Array.from({ length: 20 }, () => 403),
    );
    assert.ok(!arrivedAt(server));
  }
});

test('evasion: an IPv4 address in the clothes of IPv6 is the same peer', async () => {
  const [first] = strict;
  assert.ok(first !== undefined);
  const asked: string[] = [];
  await using proxy = await httpWorld(first.server.port, {
    listen: { host: '::', port: 0, destination: { address: '127.0.0.1', port: first.server.port } },
    subjectOf: (address) => {
      asked.push(address);
      return { id: address === '127.0.0.1' ? 'gateway-1' : '', binding: 'ip' };
    },
  });
  await using client = await rawHttpClient(proxy.port, '127.0.0.1');
  await client.send(allowed + wanted);
  await client.until(() => client.statuses().length === 2);
  assert.deepEqual(client.statuses(), [200, 403]);
  assert.deepEqual([...new Set(asked)], ['127.0.0.1']);
});

/** One request of a stream: whether it may be made, and what ends reading. */
interface Made {
  readonly text: string;
  readonly verdict: 'allowed' | 'denied' | 'refused';
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

const bodyText = fc.stringMatching(/^[ -~\r\n]{0,80}$/);
const bodyOf = fc.oneof(
  fc.constant({ head: '', text: '', body: '' }),
  bodyText.map((body) => ({ head: `Content-Length: ${body.length}\r\n`, text: body, body })),
  fc.array(fc.stringMatching(/^[ -~\r\n]{1,40}$/), { maxLength: 4 }).map((chunks) => ({
    head: 'Transfer-Encoding: chunked\r\n',
    text: `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`,
    body: chunks.join(''),
  })),
);
const well = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
    url: fc
      .tuple(fc.constantFrom('/public/', '/admin/', '/elsewhere/'), fc.stringMatching(/^[a-z]{1,6}$/))
      .map((parts) => parts.join('')),
    body: bodyOf,
    extra: fc.constantFrom('', 'X: y\r\n', 'Accept: */*\r\n'),
  })
  .map(({ method, url, body, extra }): Made => {
    const carried = method === 'GET' ? { head: '', text: '', body: '' } : body;
    return {
      text: `${method} ${url} HTTP/1.1\r\nHost: a\r\n${extra}${carried.head}\r\n${carried.text}`,
      verdict: url.startsWith('/public/') ? 'allowed' : 'denied',
      method,
      url,
      body: carried.body,
    };
  });
const ill = fc
  .constantFrom(
    'GET /public/x HTTP/1.1\r\n\r\n',
    'GET /public/x HTTP/1.1\nHost: a\n\n',
    'POST /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n',
    'GET /public/x HTTP/1.1\r\nHost: a\r\nX-Edgeward-Subject: y\r\n\r\n',
    '\u0000\u0001garbage',
  )
  .map((text): Made => ({ text, verdict: 'refused', method: '', url: '', body: '' }));

test(
  'what servers receive and read is exactly the allowed requests, in order, whatever the pieces',
  { timeout: 120_000 },
  async () => {
    const stream = fc.array(fc.oneof({ weight: 8, arbitrary: well }, { weight: 1, arbitrary: ill }), {
      minLength: 1,
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(stream, fc.array(fc.nat(1_000), { maxLength: 12 }), async (made, cuts) => {
        const end = made.findIndex(({ verdict }) => verdict === 'refused');
        const counted = end === -1 ? made : made.slice(0, end);
        const bytes = Buffer.from(made.map(({ text }) => text).join(''), 'latin1');
        const places = [0, ...cuts.map((cut) => cut % bytes.length).toSorted((a, b) => a - b), bytes.length];
        const statuses: number[] = counted.map(({ verdict }) => (verdict === 'allowed' ? 200 : 403));
        if (end !== -1) statuses.push(400);
        for (const { server, proxy } of strict) {
          server.forget();
          await using client = await rawHttpClient(proxy.port);
          await client.send(...places.slice(1).map((to, index) => bytes.subarray(places[index], to)));
          await client.until(() => client.statuses().length >= statuses.length);
          assert.deepEqual(client.statuses(), statuses, server.name);
          const may = counted.filter(({ verdict }) => verdict === 'allowed');
          assert.deepEqual(
            server.seen,
            may.map(({ method, url, body }) => ({ method, url, body })),
            server.name,
          );
          if (server.name === 'node') assert.equal(server.bytes(), may.map(({ text }) => text).join(''));
        }
      }),
      { numRuns: 60 },
    );
  },
);
