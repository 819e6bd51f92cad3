// The proxy between a raw client and a server that notes what reaches it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { CodedError } from '../../runtime/errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import {
  frame,
  rawClient,
  readRegisters,
  recordingServer,
  writeRegister,
  writeRegisters,
} from '../../test/proxy/wire.ts';
import { decideBySlice, readOnlySlice, world } from '../../test/proxy/world.ts';
import { noUsage, requireFulfilment } from '../../policy/engine/index.ts';
import type { Decision, Obligation } from '../../policy/engine/index.ts';
import { noRequestUsage } from '../request-usage.ts';
import type { ProxyOptions } from './proxy.ts';

const untilTrue = async (condition: () => boolean): Promise<void> => {
  for (let turns = 0; turns < 5_000 && !condition(); turns++) await turn();
  assert.ok(condition(), 'it never happened');
};

test('proxy: an allowed request goes on as it is, and its answer comes back as it is', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  const request = readRegisters(0x0102, 5);
  await client.send(request);
  assert.deepEqual(await client.answer(), { transaction: 0x0102, functionCode: 3, data: Buffer.from([2, 0, 7]) });
  assert.deepEqual(server.bytes(), request);
});

test('proxy: a denied request is answered with exception 1, no byte of it reaches the server, the connection stays', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  for (const denied of [
    writeRegister(1, 50, 1),
    writeRegisters(1, 9, [1, 1]),
    writeRegister(1, 10, 1_001),
    frame(1, 1, [8, 0, 1, 0, 0]),
  ]) {
    await client.send(denied);
    const answer = await client.answer();
    assert.deepEqual([answer?.transaction, answer?.functionCode, answer?.data[0]], [1, (denied[7] ?? 0) | 0x80, 1]);
  }
  assert.equal(server.accepted(), 0, 'nobody even connected to the server');
  const allowed = [readRegisters(2, 0), writeRegister(3, 10, 1_000)];
  await client.send(...allowed);
  assert.equal((await client.answer())?.transaction, 2);
  assert.equal((await client.answer())?.transaction, 3);
  assert.deepEqual(server.bytes(), Buffer.concat(allowed));
});

test('proxy: a source that packet rules do not admit is reset before anything is read', async () => {
  await using server = await recordingServer();
  const asked: string[] = [];
  const admits = ({ address }: { readonly address: string }): boolean => {
    asked.push(address);
    return false;
  };
  await using w = await world(server.port, { admits });
  const client = connect({ host: '127.0.0.1', port: w.port });
  client.write(readRegisters(1, 0));
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNRESET');
  assert.deepEqual([asked.length, server.accepted(), w.proxy.connections().length], [1, 0, 0]);
});

test('proxy: in a pipeline each request is judged alone', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  await client.send(
    Buffer.concat([readRegisters(1, 0), writeRegister(2, 50, 9), readRegisters(3, 1), writeRegister(4, 50, 9)]),
  );
  const answers = [await client.answer(), await client.answer(), await client.answer(), await client.answer()];
  const byTransaction = new Map(answers.map((answer) => [answer?.transaction, answer?.functionCode]));
  assert.deepEqual(
    [1, 2, 3, 4].map((transaction) => byTransaction.get(transaction)),
    [3, 0x86, 3, 0x86],
  );
  assert.deepEqual(server.bytes(), Buffer.concat([readRegisters(1, 0), readRegisters(3, 1)]));
});

test('proxy: a chunk of refused requests that are dear to judge leaves the others their turns', async () => {
  await using server = await recordingServer();
  let turns = 0;
  const seen: number[] = [];
  const counting = setInterval(() => turns++, 0);
  await using w = await world(server.port, {
    clock: systemClock,
    decide: () => {
      seen.push(turns);
      const until = performance.now() + 25;
      while (performance.now() < until);
      return { allow: false, reason: 'denied', rule: '', place: '', operation: '', bundle: '' };
    },
  });
  await using client = await rawClient(w.port);
  await client.send(Buffer.concat(Array.from({ length: 8 }, (_, n) => writeRegister(n + 1, 50, 9))));
  for (let n = 1; n <= 8; n++) assert.equal((await client.answer())?.transaction, n);
  clearInterval(counting);
  assert.ok(new Set(seen).size > 4, `judged in ${new Set(seen).size} turns`);
});

test('proxy: reading and writing at once needs both halves allowed', async () => {
  await using server = await recordingServer();
  for (const forbidden of ['write', 'read']) {
    const asked: string[] = [];
    await using w = await world(server.port, {
      decide: (_connection, operation) => {
        assert.ok(operation.protocol === 'modbus');
        const { functionCode, address, values } = operation;
        asked.push(`${functionCode} ${address} ${values.length}`);
        const allow = (values.length === 0 ? 'read' : 'write') !== forbidden;
        return { allow, reason: allow ? 'granted' : 'no-grant', rule: '', place: '', operation: '', bundle: '' };
      },
    });
    await using client = await rawClient(w.port);
    await client.send(frame(1, 1, [23, 0, 3, 0, 6, 0, 14, 0, 1, 2, 0, 255]));
    assert.equal((await client.answer())?.functionCode, 0x97);
    assert.deepEqual(asked, ['23 14 1', '23 3 0']);
  }
  assert.equal(server.bytes().length, 0);
});

test('proxy: what the specification forbids is answered here with its own exception', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  const rows: [number[], number, number][] = [
    [[3, 0, 0, 0, 0], 0x83, 3],
    [[3, 0xff, 0xff, 0, 2], 0x83, 2],
    [[0x90, 1], 0x90, 1],
    [[0, 1], 0x80, 1],
  ];
  for (const [pdu, code, exception] of rows) {
    await client.send(frame(9, 1, pdu));
    const answer = await client.answer();
    assert.deepEqual([answer?.functionCode, answer?.data[0]], [code, exception]);
  }
  assert.equal(server.accepted(), 0);
});

test('proxy: malformed input ends the connection after what was judged before it, and is an event', async () => {
  await using server = await recordingServer(() => null);
  for (const garbage of [
    Buffer.from('GET / HTTP/1.1\r\n'),
    Buffer.from([0, 1, 0, 1]),
    frame(1, 1, [16, 0, 0, 0, 1, 4, 0, 1, 0, 1]),
  ]) {
    await using w = await world(server.port);
    await using client = await rawClient(w.port);
    await client.send(Buffer.concat([garbage, writeRegister(2, 50, 1), readRegisters(2, 0)]));
    await client.closed;
    const refused = (await w.finish()).filter(({ activity }) => activity === 'refuse');
    assert.equal(refused.length, 1);
    assert.equal(refused[0]?.data['reason'], 'malformed');
    assert.equal(refused[0]?.data['subject'], 'gateway-1');
  }
  assert.equal(server.bytes().length, 0);
});

test('proxy: a frame that is begun and never finished ends the connection', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0), readRegisters(2, 0).subarray(0, 11));
  await client.answer();
  await w.clock.advance(9_000);
  assert.equal(client.isClosed(), false);
  await w.clock.advance(2_000);
  await client.closed;
});

test('proxy: only answers that somebody waits for come through', async () => {
  await using server = await recordingServer((request) =>
    Buffer.concat([
      frame(0x7777, 1, [3, 2, 6, 6]),
      frame(request.readUInt16BE(0), 9, [3, 2, 6, 6]),
      frame(request.readUInt16BE(0), 1, [4, 2, 6, 6]),
      frame(request.readUInt16BE(0), 1, [3, 2, 0, 1]),
      frame(request.readUInt16BE(0), 1, [3, 2, 6, 6]),
    ]),
  );
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  for (const transaction of [1, 2]) {
    await client.send(readRegisters(transaction, 0));
    assert.deepEqual(await client.answer(), { transaction, functionCode: 3, data: Buffer.from([2, 0, 1]) });
  }
});

test('proxy: a server that answers with anything but Modbus ends the connection', async () => {
  await using server = await recordingServer(() => Buffer.from('HTTP/1.1 200 OK\r\n\r\n'));
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  assert.equal(await client.answer(), undefined);
  assert.match(String((await w.finish()).at(-1)?.data['message']), /^answer of the server/);
});

test('proxy: no more requests are on their way than the bound; overdue ones make room', async () => {
  await using server = await recordingServer(() => null);
  await using w = await world(server.port, { limits: { maxOutstanding: 4, responseTimeoutMs: 3_000 } });
  await using client = await rawClient(w.port);
  const requests = Array.from({ length: 10 }, (_, transaction) => readRegisters(transaction, 0));
  await client.send(Buffer.concat(requests));
  await untilTrue(() => server.bytes().length === 4 * 12);
  await w.clock.advance(1_000);
  assert.equal(server.bytes().length, 4 * 12);
  await w.clock.advance(3_000);
  await untilTrue(() => server.bytes().length === 8 * 12);
});

test('proxy: a client that sent as much as may be under way is read from again with the first answer', async () => {
  let answer = (): void => undefined;
  await using server = await recordingServer((request, respond) => {
    answer = () => respond(frame(request.readUInt16BE(0), 1, [3, 2, 0, 7]));
    return null;
  });
  // Time stands still: nothing but the answers can wake the connection.
  await using w = await world(server.port, { limits: { maxOutstanding: 1 } });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  await untilTrue(() => server.bytes().length === 12);
  await client.send(readRegisters(2, 0));
  answer();
  assert.equal((await client.answer())?.transaction, 1);
  await untilTrue(() => server.bytes().length === 24);
});

test('proxy: a client that does not read its answers is not read from, and is ended in the end', async () => {
  await using server = await recordingServer();
  let judged = 0;
  const decide = decideBySlice();
  await using w = await world(server.port, {
    decide: (connection, operation, abilities) => {
      judged++;
      return decide(connection, operation, abilities);
    },
    limits: { stallTimeoutMs: 2_000 },
  });
  await using client = await rawClient(w.port);
  client.socket.pause();
  const many = Buffer.concat(Array.from({ length: 4_000 }, () => writeRegister(1, 50, 1)));
  let written = 0;
  while (written < 500 && !client.socket.writableNeedDrain) {
    client.socket.write(many);
    written++;
    await turn();
  }
  let before = -1;
  while (judged !== before) {
    before = judged;
    for (let turns = 0; turns < 50; turns++) await turn();
  }
  assert.ok(judged < written * 4_000, 'it goes on judging for somebody who does not listen');
  await w.clock.advance(5_000);
  client.socket.resume();
  await client.closed;
});

test('proxy: the connections of a subject are ended on both sides, those of others go on', async () => {
  await using server = await recordingServer();
  const owners: Record<string, string> = { '127.0.0.1': 'gateway-1', '127.0.0.2': 'camera-1' };
  const decide = decideBySlice();
  await using w = await world(server.port, {
    subjectOf: (address) => ({ id: owners[address] ?? '', binding: 'ip' }),
    decide: (connection, operation, abilities) =>
      decide({ ...connection, subject: { id: 'gateway-1', binding: 'ip' } }, operation, abilities),
  });
  await using gateway = await rawClient(w.port);
  await using camera = await rawClient(w.port, '127.0.0.1', '127.0.0.2');
  for (const client of [gateway, camera]) {
    await client.send(readRegisters(1, 0));
    await client.answer();
  }
  assert.equal(w.proxy.close('nobody'), 0);
  assert.equal(w.proxy.close('gateway-1'), 1);
  await gateway.closed;
  await untilTrue(() => server.connections().length === 1);
  await camera.send(readRegisters(2, 0));
  assert.equal((await camera.answer())?.transaction, 2);
  // Whose an address is, the inventory in force says, not the one of when the connection began.
  owners['127.0.0.2'] = 'gateway-1';
  assert.equal(w.proxy.close('gateway-1'), 1);
  await camera.closed;
  assert.deepEqual(w.proxy.connections(), []);
});

test('proxy: nothing is remembered: another answer of policy counts for the next request of a live connection', async () => {
  await using server = await recordingServer();
  let decide: ProxyOptions['decide'] = decideBySlice();
  await using w = await world(server.port, { decide: (...asked) => decide(...asked) });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  assert.equal((await client.answer())?.functionCode, 3);
  decide = () => ({ allow: false, reason: 'state', rule: '', place: '', operation: '', bundle: '' });
  await client.send(readRegisters(2, 0));
  assert.equal((await client.answer())?.functionCode, 0x83);
});

test('proxy: a fault while deciding denies, one while looking up the peer makes it nobody', async () => {
  await using server = await recordingServer();
  const broken = (): never => {
    throw new Error('broken');
  };
  for (const more of [{ decide: broken }, { subjectOf: broken }, { interfaceOf: broken }]) {
    await using w = await world(server.port, more);
    await using client = await rawClient(w.port);
    await client.send(readRegisters(1, 0));
    assert.equal((await client.answer())?.functionCode, 0x83);
  }
  assert.equal(server.accepted(), 0);
});

test('proxy: a server that is not there ends the connection', async () => {
  const gone = await recordingServer();
  const { port } = gone;
  await gone[Symbol.asyncDispose]();
  await using w = await world(port);
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  assert.equal(await client.answer(), undefined);
  const [said] = (await w.finish()).filter(({ activity }) => activity === 'refuse');
  assert.deepEqual([said?.data['reason'], said?.data['code']], ['unreachable', 'PROXY_UPSTREAM_UNREACHABLE']);
});

test('proxy: a policy that changes while the server is dialled counts', async () => {
  await using server = await recordingServer();
  let allow = true;
  let dialled = (): void => undefined;
  const dialling = new Promise<void>((resolve) => (dialled = resolve));
  let proceed = (): void => undefined;
  const gate = new Promise<void>((resolve) => (proceed = resolve));
  await using w = await world(server.port, {
    decide: () => ({ allow, reason: allow ? 'granted' : 'state', rule: '', place: '', operation: '', bundle: '' }),
    connectUpstream: async ({ address, port }) => {
      dialled();
      await gate;
      return (await rawClient(port, address)).socket;
    },
  });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  await dialling;
  allow = false;
  proceed();
  assert.equal((await client.answer())?.functionCode, 0x83);
  assert.equal(server.bytes().length, 0);
});

test('proxy: a policy that changes while the record of a request is written counts, and what cannot be written is denied', async () => {
  await using server = await recordingServer();
  let allow = true;
  const disk: { written: () => void; failed: (error: Error) => void }[] = [];
  await using w = await world(server.port, {
    decide: () => ({ allow, reason: allow ? 'granted' : 'no-grant', rule: '', place: '', operation: '', bundle: '' }),
    auditDurable: () => true,
    emit: async (_event, durable) => {
      if (durable === true) await new Promise<void>((written, failed) => disk.push({ written, failed }));
    },
  });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  await untilTrue(() => disk.length === 1);
  allow = false;
  disk[0]?.written();
  assert.equal((await client.answer())?.functionCode, 0x83);
  allow = true;
  await client.send(readRegisters(2, 0));
  await untilTrue(() => disk.length === 2);
  disk[1]?.failed(new Error('disk full'));
  assert.equal((await client.answer())?.functionCode, 0x83);
  assert.equal(server.bytes().length, 0);
});

const granted: Decision = { allow: true, reason: 'granted', rule: '', place: '', operation: '', bundle: '' };

test('proxy: a use is on disk before the request goes on, and taken once though it is judged again', async () => {
  await using server = await recordingServer();
  const usages = new Set<unknown>();
  let asked = 0;
  const disk: ((written: boolean) => void)[] = [];
  const usage = () => {
    const counts = { recorded: () => new Promise<boolean>((written) => disk.push(written)) };
    return { ...noRequestUsage, ...counts, settled: { ...noUsage } };
  };
  await using w = await world(server.port, {
    usage,
    decide: (_connection, _operation, abilities) => {
      usages.add(abilities.usage);
      asked++;
      return granted;
    },
  });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  await untilTrue(() => disk.length === 1);
  assert.equal(server.bytes().length, 0, 'not before');
  disk[0]?.(true);
  await untilTrue(() => server.bytes().length > 0);
  const [sent, judged] = [server.bytes().length, asked];
  assert.ok(judged >= 2);
  assert.equal(usages.size, 2, 'the counts of the request, and the same after the wait');
  await client.send(readRegisters(2, 0));
  await untilTrue(() => disk.length === 2);
  disk[1]?.(false);
  // The answer to the first request, and the refusal of the second.
  assert.deepEqual([(await client.answer())?.functionCode, (await client.answer())?.functionCode], [3, 0x83]);
  assert.equal(server.bytes().length, sent);
  assert.equal(usages.size, 3);
  const events = await w.finish();
  assert.ok(events.some(({ data }) => data['condition'] === 'the use could not be recorded'));
});

test('proxy: judged again after the disk, a request takes no use that nobody waits for', async () => {
  await using server = await recordingServer();
  const limit = { uses: { key: 'g', count: 1 }, words: { rate: '', uses: '', unavailable: '' } };
  let waited = false;
  const usage = () => ({
    take: () => 'taken' as const,
    look: () => 'taken' as const,
    recorded: () => Promise.resolve((waited = true)),
    settled: noUsage,
  });
  await using w = await world(server.port, {
    usage,
    decide: (_connection, _operation, abilities) => {
      const free = !waited || abilities.usage.take(limit, 'a', 0) === 'taken';
      return free ? granted : { ...granted, allow: false, reason: 'condition' };
    },
  });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  assert.equal((await client.answer())?.functionCode, 0x83);
  assert.equal(server.bytes().length, 0);
});

test('proxy: a request of two halves takes no use for one when the other is denied', async () => {
  await using server = await recordingServer();
  const limit = { uses: { key: 'g', count: 1 }, words: { rate: '', uses: '', unavailable: '' } };
  let taken = 0;
  let denying = true;
  const usage = () => ({ ...noRequestUsage, take: () => (taken++, 'taken' as const), look: () => 'taken' as const });
  await using w = await world(server.port, {
    usage,
    decide: (_connection, operation, abilities) => {
      assert.ok(operation.protocol === 'modbus');
      if (denying && operation.values.length > 0) return { ...granted, allow: false, reason: 'denied' };
      abilities.usage.take(limit, 'a', 0);
      return granted;
    },
  });
  await using client = await rawClient(w.port);
  // Function 23: reads register 0, writes register 50.
  const both = Buffer.from([0, 1, 0, 0, 0, 13, 1, 23, 0, 0, 0, 1, 0, 50, 0, 1, 2, 0, 7]);
  await client.send(both);
  assert.equal((await client.answer())?.functionCode, 0x97);
  assert.deepEqual([taken, server.bytes().length], [0, 0]);
  denying = false;
  await client.send(both);
  await untilTrue(() => server.bytes().length > 0);
  assert.ok(taken > 0);
});

test('proxy: where no uses are counted, what has a limit is denied', async () => {
  await using server = await recordingServer();
  const [grant, ...others] = readOnlySlice.grants;
  assert.ok(grant);
  const limited = { ...readOnlySlice, grants: [{ ...grant, uses: 5 }, ...others] };
  await using w = await world(server.port, { decide: decideBySlice(limited) });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  assert.equal((await client.answer())?.functionCode, 0x83);
});

test('proxy: what has to be done with a request is done before it goes on; what it cannot do denies', async () => {
  await using server = await recordingServer();
  let obligations: Obligation[] = [{ id: 'log' }];
  const durable: unknown[] = [];
  const records: (() => void)[] = [];
  await using w = await world(server.port, {
    decide: (_connection, _operation, { fulfilment }) => requireFulfilment({ ...granted, obligations }, fulfilment),
    emit: async (event, wait) => {
      if (wait !== true) return;
      durable.push([event.severity, event.data['obligations'], event.data['count']]);
      await new Promise<void>((written) => records.push(written));
    },
  });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  await untilTrue(() => records.length === 1);
  assert.equal(server.bytes().length, 0);
  records[0]?.();
  assert.equal((await client.answer())?.functionCode, 3);
  obligations = [{ id: 'notification' }];
  await client.send(readRegisters(2, 0));
  await untilTrue(() => records.length === 2);
  // Another bundle came while the record was written, and asks for something that was not done.
  obligations = [{ id: 'log' }];
  records[1]?.();
  assert.equal((await client.answer())?.functionCode, 0x83);
  obligations = [{ id: 'step-up', level: 'mfa' }];
  await client.send(readRegisters(3, 0));
  assert.equal((await client.answer())?.functionCode, 0x83);
  assert.deepEqual(durable, [
    ['info', 'log', 1],
    ['high', 'notification', 1],
  ]);
});

test('proxy: a connection that comes from itself goes nowhere', async () => {
  let port = 0;
  await using server = await recordingServer();
  await using w = await world(server.port, {
    connectUpstream: async () => (await rawClient(port)).socket,
  });
  port = w.port;
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  assert.deepEqual((await client.answer())?.data, Buffer.from([1]));
  assert.equal(w.proxy.connections().length, 2);
});

test('proxy: one peer does not take all connections', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, { limits: { maxConnectionsPerPeer: 2 } });
  await using _one = await rawClient(w.port);
  await using _two = await rawClient(w.port);
  await untilTrue(() => w.proxy.connections().length === 2);
  await using three = await rawClient(w.port);
  await three.closed;
  assert.equal(w.events[0]?.data['message'], 'too many connections of one peer');
});

test('proxy: a flood of connections is bounded, said, and those that are there go on', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, { limits: { maxConnections: 2 } });
  await using one = await rawClient(w.port);
  await using _two = await rawClient(w.port);
  await untilTrue(() => w.proxy.connections().length === 2);
  for (let time = 0; time < 5; time++) {
    await using refused = await rawClient(w.port);
    await refused.closed;
  }
  assert.deepEqual(
    w.events.map(({ data }) => [data['message'], data['peer']]),
    [['too many connections', '127.0.0.1']],
    'at once for the first; the others are counted',
  );
  await one.send(readRegisters(1, 0));
  assert.equal((await one.answer())?.functionCode, 3);
});

test('proxy: a port that is taken is a coded error', async () => {
  await using server = await recordingServer();
  await assert.rejects(
    world(1, { listen: { host: '127.0.0.1', port: server.port, destination: { address: '127.0.0.1', port: 1 } } }),
    (error) => error instanceof CodedError && error.code === 'PROXY_LISTEN_FAILED',
  );
});

test('proxy: what a write replaced, and by how much, is known once the registers were read', async () => {
  await using server = await recordingServer((request) =>
    request[7] === 3 ? frame(request.readUInt16BE(0), 1, [3, 2, 0, 100]) : request,
  );
  const seen: unknown[] = [];
  await using w = await world(server.port, {
    auditDurable: () => true,
    decide: (_connection, operation) => {
      seen.push('change' in operation ? operation.change : undefined);
      return granted;
    },
  });
  await using client = await rawClient(w.port);
  for (const request of [
    writeRegister(1, 10, 7),
    readRegisters(2, 10),
    // Pipelined: the second is measured against the first as well, whether the server has answered or not.
    Buffer.concat([writeRegister(3, 10, 130), writeRegister(4, 10, 140)]),
  ]) {
    await client.send(request);
    await client.answer();
  }
  await client.answer();
  // 7 was written, then 100 was read; 130 differs from 7 by 123, 140 by 133.
  assert.deepEqual(
    seen.filter((change) => change !== undefined),
    [123, 123, 133, 133],
    'each is judged again when its record is on disk',
  );
  const writes = (await w.finish()).filter(({ data }) => data['function_code'] === 6);
  assert.deepEqual(
    writes.map(({ data }) => data['values_before']),
    [undefined, [100], [130]],
  );
});

test('proxy: a server that begins an answer and does not finish it ends the connection', async () => {
  await using server = await recordingServer((request) => request.subarray(0, 8));
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  await untilTrue(() => server.bytes().length > 0);
  for (let turns = 0; turns < 50; turns++) await turn();
  await w.clock.advance(11_000);
  await client.closed;
  assert.match(String((await w.finish()).at(-1)?.data['message']), /^answer of the server: begun and not finished/);
});

test('proxy: drained, it takes no more requests, waits for the answers under way, and ends both sides without a reset', async () => {
  let answer = (): void => undefined;
  await using server = await recordingServer((request, respond) => {
    answer = () => respond(frame(request.readUInt16BE(0), 1, [3, 2, 0, 7]));
    return null;
  });
  await using w = await world(server.port);
  await using idle = await rawClient(w.port);
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  await untilTrue(() => server.bytes().length === 12);
  const drained = w.proxy.drain();
  await idle.closed;
  await client.send(readRegisters(2, 0));
  for (let turns = 0; turns < 20; turns++) await turn();
  answer();
  assert.equal((await client.answer())?.transaction, 1);
  await client.closed;
  await w.clock.advance(100);
  await drained;
  assert.equal(server.bytes().length, 12);
});
