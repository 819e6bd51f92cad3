import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { defaultLimits } from '../limits.ts';
import type { Direction, Exchange, JudgedOperation } from '../protocol.ts';
import { HELLO_MS } from './limits.ts';
import { tlsProtocol } from './passthrough.ts';

let hello: Buffer;
before(async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const arrived = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ port: (server.address() as AddressInfo).port, servername: 'cam-1.plant.example' });
  client.on('error', () => undefined);
  const [socket] = await arrived;
  [hello] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
});

const clock = new FakeClock();
const connection = () => ({
  source: { address: '192.0.2.1', port: 1 },
  destination: { address: '192.0.2.2', port: 443 },
  interface: 'camera-tls',
  subject: { id: 'gateway-1', binding: 'ip' } as const,
});
const open = (): Exchange =>
  tlsProtocol.open({ connection, entry: () => undefined, onDeny: () => 'answer', clock, limits: defaultLimits });

const granted: JudgedOperation['decision'] = {
  allow: true,
  reason: 'granted',
  rule: '',
  place: '',
  operation: '',
  bundle: '',
};

/** Bytes that go on when every name is allowed, as the frame carries it out; and why it ended. */
function feed(direction: Direction, chunks: readonly Buffer[]): { readonly onward: Buffer; readonly fault?: string } {
  const onward: Buffer[] = [];
  for (const chunk of chunks) {
    const { messages, fault } = direction.push(chunk);
    for (const message of messages) {
      const ask = message.ask();
      const operations = ask.kind === 'operations' ? ask.operations : [];
      const outcome = message.settle(operations.map((operation) => ({ operation, decision: granted })));
      if (outcome.onward !== undefined) onward.push(outcome.onward);
      outcome.done?.();
    }
    if (fault !== undefined) return { onward: Buffer.concat(onward), fault };
  }
  return { onward: Buffer.concat(onward) };
}

function pieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const anySizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 10 });

/** A ServerHello, or the request for another hello; with `behind` in records of their own. */
function serverHello(kind: 'choice' | 'retry', ...behind: readonly Buffer[]): Buffer {
  const random = kind === 'choice' ? Buffer.alloc(32, 7) : createHash('sha256').update('HelloRetryRequest').digest();
  const body = Buffer.concat([Buffer.from([3, 3]), random, Buffer.alloc(6)]);
  const message = Buffer.concat([Buffer.from([2, 0, 0, body.length]), body]);
  return Buffer.concat([Buffer.from([22, 3, 3, 0, message.length]), message, ...behind]);
}

const changeCipherSpec = Buffer.from('140303000101', 'hex');

describe('the client', () => {
  test('whatever it sends, what goes on is the beginning of it, the same in whatever pieces, and nothing before a whole hello', () => {
    fc.assert(
      fc.property(
        anySizes,
        fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { maxLength: 3 }),
        fc.uint8Array({ maxLength: 80 }),
        (sizes, edits, behind) => {
          const bytes = Buffer.concat([hello, changeCipherSpec, behind]);
          for (const { at, value } of edits) bytes[at % bytes.length] = value;
          const whole = feed(open().client, [bytes]);
          const split = feed(open().client, pieces(bytes, sizes));
          assert.ok(bytes.subarray(0, split.onward.length).equals(split.onward));
          assert.ok(split.onward.length === 0 || split.onward.length >= hello.length);
          assert.deepEqual(split, whole);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('who says nothing for long is ended; who was heard is not', () => {
    const [silent, heard] = [open(), open()];
    feed(heard.client, [hello]);
    assert.equal(silent.tick?.(clock.monotonic() + HELLO_MS - 1), undefined);
    assert.match(silent.tick?.(clock.monotonic() + HELLO_MS) ?? '', /no ClientHello within/);
    assert.equal(heard.tick?.(clock.monotonic() + 10 * HELLO_MS), undefined);
  });

  test('what it stands on is the operation that was allowed, from then on', () => {
    const exchange = open();
    assert.deepEqual(exchange.standing?.(), []);
    feed(exchange.client, [hello]);
    assert.deepEqual(exchange.standing?.(), [{ protocol: 'tls', serverName: 'cam-1.plant.example', alpn: [] }]);
  });

  test('another message before the server has answered, and a hello with something else within, are refused', () => {
    const other = Buffer.from('1603030005100000010a', 'hex');
    assert.match(feed(open().client, [hello, other]).fault ?? '', /handshake message 16/);
    const begun = Buffer.concat([Buffer.from([22, 3, 1, 0, 10]), hello.subarray(5, 15)]);
    const { onward, fault } = feed(open().client, [hello, begun, changeCipherSpec]);
    assert.match(fault ?? '', /a record of type 20 within a ClientHello/);
    assert.deepEqual(onward, hello, 'the second one was held back');
  });
});

describe('the server', () => {
  const after = (
    answer: Buffer,
    sizes: readonly number[] = [1_000],
  ): { exchange: Exchange; fault: string | undefined } => {
    const exchange = open();
    feed(exchange.client, [hello]);
    const { onward, fault } = feed(exchange.server, pieces(answer, sizes));
    if (fault === undefined) assert.deepEqual(onward, answer, 'it goes back as it came');
    return { exchange, fault };
  };
  /** Nothing that TLS has, but bytes are bytes once the server has chosen. */
  const anything = Buffer.from('any bytes at all');
  const isThrough = ({ exchange }: ReturnType<typeof after>): boolean =>
    feed(exchange.client, [anything]).onward.equals(anything);

  test('a ServerHello in whatever pieces lets everything through, also after a request for another hello', () => {
    fc.assert(
      fc.property(anySizes, fc.boolean(), (sizes, retried) => {
        const choice = serverHello('choice', anything);
        const answer = retried ? serverHello('retry', changeCipherSpec, choice) : choice;
        assert.ok(isThrough(after(answer, sizes)));
      }),
    );
  });

  test('until then nothing but TLS is', () => {
    const cut = serverHello('choice').subarray(0, 30);
    for (const answer of [cut, serverHello('retry'), Buffer.from('15030300020170', 'hex')]) {
      assert.equal(isThrough(after(answer)), false);
    }
  });

  test('an answer that is no ServerHello ends it', () => {
    for (const [answer, why] of [
      [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), /no TLS/],
      [Buffer.from('1703030001aa', 'hex'), /type 23 before a ServerHello/],
      [Buffer.from('16030300040e000000', 'hex'), /handshake message 14 before/],
      [serverHello('retry', serverHello('retry')), /two requests for another ClientHello/],
    ] as const) {
      assert.match(after(answer).fault ?? 'accepted', why);
    }
  });
});
