import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../../../runtime/errors.ts';
import { syslog, syslogMessage } from './deliver-findings.ts';
import { sampleFinding } from './sample-finding.ts';

/** C0, DEL and C1. */
const control = /\p{Cc}/u;

interface Message {
  readonly priority: number;
  readonly header: readonly string[];
  readonly id: string;
  readonly data: Readonly<Record<string, string>>;
  readonly text: string;
}

/** RFC 5424 section 6 read character by character, with nothing of the writer: refuses what the grammar does not allow. */
function parseMessage(message: string): Message {
  assert.doesNotMatch(message, control);
  let at = 0;
  const expect = (text: string): void => {
    assert.equal(message.slice(at, at + text.length), text, `at ${at}`);
    at += text.length;
  };
  const until = (end: string): string => {
    const start = at;
    while (message[at] !== end) assert.ok(++at < message.length, `no ${end}`);
    return message.slice(start, at);
  };
  expect('<');
  const priority = until('>');
  assert.match(priority, /^(0|[1-9]\d{0,2})$/);
  expect('>1 ');
  const header = Array.from({ length: 5 }, () => {
    const field = until(' ');
    assert.match(field, /^[!-~]+$/);
    expect(' ');
    return field;
  });
  expect('[');
  const id = until(' ');
  const data: Record<string, string> = {};
  while (message[at] === ' ') {
    at++;
    const name = until('=');
    assert.match(name, /^[!#-<>-\\^-~]{1,32}$/);
    expect('="');
    let value = '';
    for (; message[at] !== '"'; at++) {
      assert.notEqual(message[at], ']', 'an unescaped ] in a value');
      if (message[at] === '\\') assert.match(message[++at] ?? '', /["\\\]]/);
      value += message[at] ?? assert.fail('the value does not end');
    }
    at++;
    data[name] = value;
  }
  expect('] ');
  return { priority: Number(priority), header, id, data, text: message.slice(at) };
}

/** RFC 6587 section 3.4.1: `MSG-LEN SP SYSLOG-MSG`, repeated; the length counts octets. */
function parseOctetCounted(bytes: Buffer): string[] {
  const messages: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = bytes.toString('latin1', at, space);
    assert.match(length, /^[1-9]\d*$/);
    const end = space + 1 + Number(length);
    assert.ok(end <= bytes.length, 'a message is cut');
    messages.push(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(space + 1, end)));
    at = end;
  }
  return messages;
}

/** A TCP receiver on loopback that collects each connection's bytes. */
async function tcpReceiver(t: TestContext) {
  const connections: Buffer[] = [];
  const server = createServer((socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => connections.push(Buffer.concat(chunks)));
    t.after(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { connections, target: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('over TCP a foreign parser reads every field back, whatever is in it', async (t) => {
  const { connections, target } = await tcpReceiver(t);
  const send = syslog(target);
  await send(sampleFinding);
  await send({ ...sampleFinding, level: 'low' });
  const [first, second, ...more] = connections.flatMap((bytes) => parseOctetCounted(bytes)).map(parseMessage);
  assert.deepEqual(more, []);
  assert.equal(second?.priority, 13 * 8 + 5);
  assert.equal(first?.priority, 13 * 8 + 2, 'log audit, critical');
  assert.equal(first.header[0], '2027-01-15T08:00:00.123Z');
  assert.deepEqual(first.header.slice(2), ['edgeward', '-', 'finding']);
  assert.equal(first.id, 'edgeward@32473');
  const { id, ruleId, level, device, reporter } = sampleFinding;
  const evidence = sampleFinding.evidence.slice(0, 20).join(',');
  assert.deepEqual(first.data, { id, rule: ruleId, level, device, reporter, count: '12', evidence });
  assert.equal(first.text, String.raw`Scan "of" a\b [c]\u000a<110>1 - - forged - - \u001b[2J\u2028 Förderband`);
});

test('over UDP one datagram is one message', async (t) => {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const received = once(socket, 'message') as Promise<[Buffer]>;
  await syslog(`udp://127.0.0.1:${socket.address().port}`)(sampleFinding);
  const [datagram] = await received;
  assert.ok(datagram.length < 2048, 'RFC 5424 section 6.1: receivers should take 2,048 octets');
  assert.equal(parseMessage(datagram.toString('utf8')).data['device'], sampleFinding.device);
});

test('any text of a finding stays inside its field', () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom('"', '\\', ']', '[', '\n', '\0', ' ', '='),
      fc.string({ minLength: 1, maxLength: 1 }),
    ),
  });
  fc.assert(
    fc.property(text, text, (title, device) => {
      const { data, text: shown, id } = parseMessage(syslogMessage({ ...sampleFinding, title, device }, 'host'));
      assert.equal(id, 'edgeward@32473');
      assert.equal(Object.keys(data).length, 7);
      if (!control.test(title + device)) assert.deepEqual([shown, data['device']], [title, device]);
    }),
  );
});

test('a receiver that is away is a failure', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await assert.rejects(
    syslog(`tcp://127.0.0.1:${port}`)(sampleFinding),
    (error) => error instanceof CodedError && error.code === 'DETECT_DELIVERY_FAILED',
  );
});

test('a target that is none is refused when it is configured', () => {
  for (const target of [
    '',
    'localhost:514',
    'http://localhost:514',
    'tcp://localhost',
    'udp://localhost:0',
    'tcp://localhost:65536',
  ]) {
    assert.throws(
      () => syslog(target),
      (error) => error instanceof CodedError && error.code === 'DETECT_TARGET_INVALID',
      target,
    );
  }
  assert.equal(typeof syslog('tcp://[::1]:601'), 'function');
});
