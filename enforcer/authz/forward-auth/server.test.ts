// Clients of the socket that are no proxy: whatever they send, what comes back is a denial or the end of the connection.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { noRequestUsage } from '../../request-usage.ts';
import type { AuthzPorts } from '../authorize.ts';
import { maxForwardAuthHeaderBytes } from '../limits.ts';
import { createForwardAuth } from './server.ts';

const scratch = mkdtempSync(join(tmpdir(), 'edgeward-forward-'));
const path = join(scratch, 'forward-auth.sock');
let asked = 0;
let identify: AuthzPorts['identify'] = () => ({ id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} });
const ports: AuthzPorts = {
  decide: () => {
    asked++;
    return { allow: true, reason: 'granted', rule: 'grant:"ä\r\nx: y', place: '', operation: '', bundle: '' };
  },
  usage: () => noRequestUsage,
  identify: (peer) => identify(peer),
  log: { note: () => undefined, keep: () => Promise.resolve() },
  auditDurable: () => false,
  now: () => 0,
};
const server = createForwardAuth(ports);
before(async () => await once(server.listen(path), 'listening'));
after(() => {
  server.close();
  server.closeAllConnections();
  rmSync(scratch, { recursive: true, force: true });
});

const question =
  'X-Edgeward-Interface: web\r\nX-Original-Method: GET\r\nX-Original-URI: /\r\nX-Client-Verify: SUCCESS\r\nX-Client-Cert: x\r\n';
const good = `GET / HTTP/1.1\r\nHost: x\r\n${question}\r\n`;

/** Also after an error, which a reset is. */
const closeOf = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve));

/** All that the server says to these bytes until it closes, or until it has been silent long enough to be waiting for more. */
async function said(bytes: string | Buffer, { untilClosed = false } = {}): Promise<{ text: string; closed: boolean }> {
  const socket = connect(path);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk) => (text += chunk));
  socket.on('error', () => undefined);
  socket.write(bytes);
  const closed = closeOf(socket).then(() => true);
  const answered = untilClosed
    ? closed
    : Promise.race([
        closed,
        once(socket, 'data').then(
          () => false,
          () => closed,
        ),
      ]);
  const result = await answered;
  socket.destroy();
  return { text, closed: result };
}

const statuses = (text: string): string[] => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status = '']) => status);

/** Denied in a form that every proxy reads as such, and the connection ended, or ended without a word. */
function assertRefused({ text, closed }: { text: string; closed: boolean }, name: string): void {
  assert.ok(closed, `${name}: the connection stays open`);
  assert.ok(
    statuses(text).every((status) => status === '403'),
    `${name}: ${text}`,
  );
  if (text === '') return;
  assert.match(text, /^x-edgeward-decision: deny\r$/im, name);
  assert.match(text, /^x-edgeward-subject: ?\r$/im, name);
}

describe('forward-auth', () => {
  test('a proxy’s request is answered, with a rule that cannot break out of its header', async () => {
    const { text } = await said(good);
    assert.match(text, /^HTTP\/1\.1 200 /);
    assert.match(text, /^x-edgeward-rule: grant:"\?\?\?x: y\r$/im);
    assert.match(text, /^x-edgeward-subject: gateway-1\r$/im);
    assert.match(text, /^x-edgeward-obligations: ?\r$/im);
  });

  test('another path, method or an unfinished question is 403 with all identity headers', async () => {
    for (const head of ['GET /unknown', 'GET /caddy', 'GET *', 'GET http://evil/']) {
      const { text } = await said(`${head} HTTP/1.1\r\nHost: x\r\n${question}\r\n`);
      assert.deepEqual(statuses(text), ['403'], head);
      assert.match(text, /^x-edgeward-decision: deny\r$/im, head);
      assert.match(text, /^x-edgeward-subject: ?\r$/im, head);
    }
  });

  const smuggled: Readonly<Record<string, string>> = {
    'content-length and transfer-encoding': `${question}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${good}`,
    'transfer-encoding and content-length': `${question}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${good}`,
    'two content-lengths': `${question}Content-Length: 0\r\nContent-Length: 10\r\n\r\n${good}`,
    'a list of content-lengths': `${question}Content-Length: 0, 0\r\n\r\n${good}`,
    'a signed content-length': `${question}Content-Length: +0\r\n\r\n${good}`,
    'an obscured transfer-encoding': `${question}Transfer-Encoding: xchunked\r\n\r\n${good}`,
    'a space before the colon': `${question}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${good}`,
    'a folded header': `${question}X-A: b\r\n c: d\r\n\r\n${good}`,
    'a header without CR': `${question}X-A: b\nX-Original-Method: GET\r\n\r\n`,
    'a NUL in a header': `${question}X-A: b\0c\r\n\r\n`,
    'a body by length': `${question}Content-Length: 3\r\n\r\nabc`,
    'a body by chunks': `${question}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
    'a body that never comes': `${question}Content-Length: 1000000\r\n\r\n`,
    'a body that is announced': `${question}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n`,
    'another expectation': `${question}Expect: the-unexpected\r\n\r\n`,
  };
  for (const [name, rest] of Object.entries(smuggled)) {
    test(`${name} is refused, and nothing after it is heard`, async () => {
      const before = asked;
      assertRefused(await said(`GET / HTTP/1.1\r\nHost: x\r\n${rest}`, { untilClosed: true }), name);
      assert.equal(asked, before, 'the engine was asked');
    });
  }

  test('another method, a tunnel, another protocol and noise are refused', async () => {
    const head = `Host: x\r\n${question}\r\n`;
    for (const bytes of [
      `POST / HTTP/1.1\r\n${head}`,
      `HEAD / HTTP/1.1\r\n${head}`,
      `CONNECT evil:443 HTTP/1.1\r\n${head}`,
      `GET / HTTP/2.0\r\n${head}`,
      `GET / HTTP/1.1\r\n${question}\r\n`,
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'x'.repeat(100),
    ]) {
      const before = asked;
      assertRefused(await said(bytes, { untilClosed: true }), bytes.slice(0, 20));
      assert.equal(asked, before, bytes.slice(0, 20));
    }
  });

  test('more header bytes than any proxy has reason to send are refused; as many as it may are not', async () => {
    const filler = (bytes: number): string => `X-A: ${'a'.repeat(bytes)}\r\n`;
    const head = (more: string): string => `GET / HTTP/1.1\r\nHost: x\r\n${more}${question}\r\n`;
    assertRefused(await said(head(filler(maxForwardAuthHeaderBytes)), { untilClosed: true }), 'oversized');
    assert.match((await said(head(filler(maxForwardAuthHeaderBytes - 1_024)))).text, /^HTTP\/1\.1 200 /);
  });

  test('a second header of a name is seen behind thousands of others', async () => {
    const many = Array.from({ length: 3_000 }, () => 'a:b\r\n').join('');
    const ask = async (last: string) => await said(`GET / HTTP/1.1\r\nHost: x\r\n${question}${many}${last}\r\n`);
    assert.deepEqual(statuses((await ask('')).text), ['200']);
    assert.deepEqual(statuses((await ask('X-Original-URI: /other\r\n')).text), ['403']);
  });

  test('a request before the answer to the last one is refused', async () => {
    const held = Promise.withResolvers<void>();
    identify = async () => {
      await held.promise;
      return { id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} };
    };
    const answers = said(good + good, { untilClosed: true });
    const slow = said(good);
    await new Promise((resolve) => setImmediate(resolve));
    held.resolve();
    const { text, closed } = await answers;
    assert.deepEqual([statuses(text), closed], [['200', '403'], true]);
    assert.deepEqual(statuses((await slow).text), ['200'], 'another connection is not concerned');
  });

  test('one after the other on one connection is as ever', async () => {
    const socket = connect(path);
    socket.setEncoding('latin1');
    for (let turn = 0; turn < 3; turn++) {
      socket.write(good);
      const [text] = (await once(socket, 'data')) as [string];
      assert.deepEqual(statuses(text), ['200']);
    }
    socket.destroy();
  });

  test('who says nothing, stops midway, or sends byte by byte is hung up on', async () => {
    const dripping = (async () => {
      const socket = connect(path);
      socket.on('error', () => undefined);
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk) => (text += chunk));
      const drip = setInterval(() => socket.write('a'), 20);
      socket.write('GET / HTTP/1.1\r\nX-A: ');
      await closeOf(socket);
      clearInterval(drip);
      return { text, closed: true };
    })();
    const halves = ['', 'GET', good.slice(0, -2), good.slice(0, 30)];
    for (const heard of await Promise.all([dripping, ...halves.map((half) => said(half, { untilClosed: true }))])) {
      assertRefused(heard, 'unfinished');
    }
  });

  test('no change of a few bytes makes an allow out of anything but a GET without a body', async () => {
    const anyChange = fc.array(
      fc.tuple(fc.nat(good.length - 1), fc.constantFrom('\0', '\r', '\n', ' ', ':', 'A', '\xff', '\t'), fc.boolean()),
      { minLength: 1, maxLength: 3 },
    );
    await fc.assert(
      fc.asyncProperty(anyChange, async (changes) => {
        let bytes = good;
        for (const [at, character, insert] of changes) {
          bytes = bytes.slice(0, at) + character + bytes.slice(insert ? at : at + 1);
        }
        const socket = connect(path);
        socket.on('error', () => undefined);
        let text = '';
        socket.setEncoding('latin1').on('data', (chunk) => (text += chunk));
        // A client that closes its side ends what the change has left unfinished.
        socket.end(Buffer.from(bytes, 'latin1'));
        await closeOf(socket);
        if (statuses(text).some((status) => status === '200'))
          assert.match(bytes, /^[\r\n]*GET +[^ ]+ +HTTP\/1\.[01]\r?\n/);
        assert.ok(
          statuses(text).every((status) => ['200', '401', '403'].includes(status)),
          text,
        );
      }),
      { numRuns: 300 },
    );
  });
});
