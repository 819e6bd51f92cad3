// What the proxy tells audit: every denial counted, allows sampled, durable records before the request goes on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { rawClient, readRegisters, recordingServer, writeRegister } from '../../test/proxy/wire.ts';
import { decideBySlice, readOnlySlice, world } from '../../test/proxy/world.ts';
import type { SliceInterface } from '../../policy/bundle/index.ts';

test('events: a denied write names peer, operation, rule and both addresses, at once', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  await client.send(writeRegister(1, 50, 7));
  await client.answer();
  const [event] = w.events;
  const { source_port: port, ...data } = event?.data ?? {};
  assert.equal(typeof port, 'number');
  assert.deepEqual(
    [event?.kind, event?.activity, event?.severity, event?.bundle],
    ['modbus', 'deny', 'high', 'cd'.repeat(32)],
  );
  assert.deepEqual(data, {
    subject: 'gateway-1',
    peer: '127.0.0.1',
    interface: 'plc-modbus',
    decision: 'deny',
    reason: 'no-grant',
    protocol: 'modbus',
    source_ip: '127.0.0.1',
    destination_ip: '127.0.0.1',
    destination_port: server.port,
    unit: 1,
    function_code: 6,
    address: 50,
    quantity: 1,
    values: [7],
    operation: 'write',
    rule: '',
    place: '',
    count: 1,
  });
});

test('events: identical denials are one event a second with their count, different ones stay apart', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  for (let time = 0; time < 20; time++) {
    await client.send(writeRegister(1, 50, time));
    await client.answer();
  }
  await client.send(writeRegister(1, 51, 0));
  await client.answer();
  const counts = (): unknown[] => w.events.splice(0).map(({ data }) => [data['address'], data['count']]);
  assert.deepEqual(counts(), [
    [50, 1],
    [51, 1],
  ]);
  await w.clock.advance(1_500);
  assert.deepEqual(counts(), [[50, 19]]);
});

test('events: the first allow of a peer and operation in a minute leaves at once, the others as a count', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port);
  await using client = await rawClient(w.port);
  for (let time = 0; time < 10; time++) {
    await client.send(readRegisters(time, time));
    await client.answer();
  }
  await client.send(writeRegister(99, 10, 5));
  await client.answer();
  assert.deepEqual(
    w.events.map(({ activity, data }) => [activity, data['operation'], data['count']]),
    [
      ['allow', 'read', 1],
      ['allow', 'set-point', 1],
    ],
  );
  const all = await w.finish();
  assert.equal(
    all.reduce((sum, { data }) => sum + Number(data['count']), 0),
    11,
  );
});

test('events: where audit is durable the request waits for the disk, and is denied when it cannot be recorded', async () => {
  await using server = await recordingServer();
  const waiting: ((ok: boolean) => void)[] = [];
  const events: NewEvent[] = [];
  await using w = await world(server.port, {
    auditDurable: () => true,
    emit: (event, durable) => {
      events.push(event);
      if (durable !== true) return Promise.resolve();
      return new Promise((resolve, reject) => waiting.push((ok) => (ok ? resolve() : reject(new Error('disk full')))));
    },
  });
  await using client = await rawClient(w.port);
  const both = [readRegisters(1, 0), readRegisters(2, 0)];
  await client.send(Buffer.concat(both));
  while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(server.bytes().length, 0, 'nothing goes on before the record is on disk');
  assert.equal(waiting.length, 1, 'and nothing overtakes it');
  waiting[0]?.(true);
  assert.equal((await client.answer())?.functionCode, 3);
  while (waiting.length === 1) await new Promise((resolve) => setImmediate(resolve));
  waiting[1]?.(false);
  assert.equal((await client.answer())?.functionCode, 0x83);
  assert.deepEqual(server.bytes(), both[0]);
  assert.equal(events.at(-1)?.data['reason'], 'fault');
});

test('events: an unanswerable question about durability counts as durable', async () => {
  await using server = await recordingServer();
  let durableAsked = false;
  await using w = await world(server.port, {
    auditDurable: () => {
      throw new Error('broken');
    },
    emit: async (_event, durable) => {
      durableAsked ||= durable === true;
      await Promise.resolve();
    },
  });
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 0));
  await client.answer();
  assert.equal(durableAsked, true);
});

/** Five reads and five writes, all allowed; the counts of what is recorded of each, in order. */
async function recordedAs(classes: SliceInterface['auditClasses'], random = (bytes: number) => new Uint8Array(bytes)) {
  await using server = await recordingServer();
  const entry = { ...(readOnlySlice.interfaces[0] as SliceInterface), auditClasses: classes };
  await using w = await world(server.port, { entryOf: () => entry, random });
  await using client = await rawClient(w.port);
  for (let time = 0; time < 5; time++) {
    await client.send(readRegisters(time, time));
    await client.answer();
    await client.send(writeRegister(99, 10, time));
    await client.answer();
  }
  const all = await w.finish();
  const counts = (code: number) =>
    all.filter(({ data }) => data['function_code'] === code).map(({ data }) => data['count']);
  return { read: counts(3), write: counts(6), addresses: all.map(({ data }) => data['address']) };
}

test('events: of a class that is recorded whole each message is an event of its own', async () => {
  const { read, write, addresses } = await recordedAs({ read: 'all' });
  assert.deepEqual(
    [read, write],
    [
      [1, 1, 1, 1, 1],
      [1, 4],
    ],
  );
  assert.deepEqual(
    addresses.filter((at) => at !== 10),
    [0, 1, 2, 3, 4],
  );
});

test('events: of a class that is sampled what is drawn is whole, and every other message is in a count', async () => {
  // The smallest number is always drawn, the largest never.
  assert.deepEqual((await recordedAs({ write: { sample: 100 } })).write, [1, 1, 1, 1, 1]);
  const never = await recordedAs({ read: { sample: 2 } }, (bytes) => new Uint8Array(bytes).fill(0xff));
  assert.deepEqual(
    [never.read, never.write],
    [
      [1, 4],
      [1, 4],
    ],
  );
  assert.deepEqual(await recordedAs({ read: 'counted' }), await recordedAs(undefined));
});

test('events: what observe mode lets through is told apart by what it was, as denials are', async () => {
  await using server = await recordingServer();
  const [entry] = readOnlySlice.interfaces;
  assert.ok(entry);
  const observeUntil = Number.MAX_SAFE_INTEGER;
  await using w = await world(server.port, {
    decide: decideBySlice({ ...readOnlySlice, interfaces: [{ ...entry, observeUntil }], grants: [] }),
  });
  await using client = await rawClient(w.port);
  for (const address of [50, 51, 50]) {
    await client.send(writeRegister(1, address, 7));
    assert.equal((await client.answer())?.functionCode, 6);
  }
  assert.deepEqual(
    w.events.map(({ activity, data }) => [activity, data['observed'], data['address'], data['count']]),
    [
      ['allow', 'no-grant', 50, 1],
      ['allow', 'no-grant', 51, 1],
    ],
  );
});
