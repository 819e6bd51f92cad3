// What a safety operation meets at a proxy when something of ours fails: a record that cannot be kept, a disk that hangs, a flood
// of connections. Each beside an operation that is no safety operation and is denied.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { NewEvent } from '../../audit/spool/index.ts';
import { rawClient, readRegisters, recordingServer, writeRegister } from '../../test/proxy/wire.ts';
import { world } from '../../test/proxy/world.ts';
import type { Decision } from '../../policy/engine/index.ts';
import { noRequestUsage } from '../request-usage.ts';
import { RECORD_MS, SAFETY_PLACES, SAFETY_RECORD_MS } from './limits.ts';
import type { ProxyOptions } from './proxy.ts';

const untilTrue = async (condition: () => boolean): Promise<void> => {
  for (let turns = 0; turns < 5_000 && !condition(); turns++) await turn();
  assert.ok(condition(), 'it never happened');
};

const granted: Decision = { allow: true, reason: 'granted', rule: 'grant:stop', place: '', operation: '', bundle: '' };
/** Writes to register 20 are the emergency stop. */
const stop = 20;
const spare: ProxyOptions['spare'] = (_connection, operation, because) =>
  operation.protocol === 'modbus' && operation.functionCode === 6 && operation.address === stop
    ? { ...granted, spared: because }
    : undefined;
const allowed: Partial<ProxyOptions> = { decide: () => granted, spare };

test('a full disk: the stop passes and is told as far as there is room, everything else is denied', async () => {
  await using server = await recordingServer();
  const told: NewEvent[] = [];
  await using w = await world(server.port, {
    ...allowed,
    auditDurable: () => true,
    emit: (event, durable) => {
      if (durable === true) return Promise.reject(new Error('full'));
      told.push(event);
      return Promise.resolve();
    },
  });
  await using client = await rawClient(w.port);
  await client.send(writeRegister(1, 10, 5));
  assert.equal((await client.answer())?.functionCode, 0x86);
  assert.equal(server.bytes().length, 0);
  await client.send(writeRegister(2, stop, 1));
  assert.equal((await client.answer())?.functionCode, 6);
  assert.deepEqual(server.bytes(), writeRegister(2, stop, 1));
  const passed = told.find(({ activity }) => activity === 'allow');
  assert.deepEqual([passed?.severity, passed?.data.spared, passed?.data.rule], ['high', 'fault', 'grant:stop']);
});

test('a disk that hangs: the stop waits a moment, others longer, and then they are denied', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, {
    ...allowed,
    auditDurable: () => true,
    emit: (_event, durable) => (durable === true ? new Promise(() => undefined) : Promise.resolve()),
  });
  await using other = await rawClient(w.port);
  await using panel = await rawClient(w.port);
  await other.send(writeRegister(1, 10, 5));
  await panel.send(writeRegister(2, stop, 1));
  // Two waits, and the looks of the proxy.
  await untilTrue(() => w.clock.sleeping >= 3);
  await w.clock.advance(SAFETY_RECORD_MS);
  assert.equal((await panel.answer())?.functionCode, 6);
  await w.clock.advance(RECORD_MS);
  assert.equal((await other.answer())?.functionCode, 0x86);
  assert.deepEqual(server.bytes(), writeRegister(2, stop, 1));
});

test('a use that could not be counted does not stop it', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, {
    ...allowed,
    usage: () => ({ ...noRequestUsage, recorded: () => Promise.resolve(false) }),
  });
  await using client = await rawClient(w.port);
  await client.send(writeRegister(1, 10, 5));
  assert.equal((await client.answer())?.functionCode, 0x86);
  await client.send(writeRegister(2, stop, 1));
  assert.equal((await client.answer())?.functionCode, 6);
});

test('a real denial is not spared, and neither is a fault while sparing', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, {
    decide: () => ({ ...granted, allow: false, reason: 'denied' }),
    spare,
    auditDurable: () => true,
  });
  await using client = await rawClient(w.port);
  await client.send(writeRegister(1, stop, 1));
  assert.equal((await client.answer())?.functionCode, 0x86);
  await using broken = await world(server.port, {
    decide: () => granted,
    spare: () => {
      throw new Error('a fault');
    },
    auditDurable: () => true,
    emit: (_event, durable) => (durable === true ? Promise.reject(new Error('full')) : Promise.resolve()),
  });
  await using second = await rawClient(broken.port);
  await second.send(writeRegister(2, stop, 1));
  assert.equal((await second.answer())?.functionCode, 0x86);
  assert.equal(server.bytes().length, 0);
});

type Client = Awaited<ReturnType<typeof rawClient>>;
const answers = async (client: Client): Promise<number | undefined> => {
  await client.send(readRegisters(1, 0));
  return (await client.answer())?.functionCode;
};
const panel = '127.0.0.7';

test('a flood takes every place but those that are kept for who holds a safety operation', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, {
    ...allowed,
    isSafety: ({ source }) => source.address === panel || source.address.startsWith('127.0.1.'),
    limits: { maxConnections: 2 },
  });
  await using one = await rawClient(w.port);
  await using _two = await rawClient(w.port);
  await untilTrue(() => w.proxy.connections().length === 2);
  await using flood = await rawClient(w.port);
  await flood.closed;
  assert.equal(w.events[0]?.data.message, 'too many connections');
  // One that only we believe to be open, the one in use, and a third, which takes the place of the first.
  await using halfOpen = await rawClient(w.port, undefined, panel);
  await using inUse = await rawClient(w.port, undefined, panel);
  assert.equal(await answers(inUse), 3);
  await using again = await rawClient(w.port, undefined, panel);
  assert.equal(await answers(again), 3);
  await halfOpen.closed;
  assert.deepEqual([await answers(inUse), await answers(one)], [3, 3]);
  assert.equal(w.proxy.connections().length, 4);
  // The flood has not got those places, and they are bounded.
  await using more = await rawClient(w.port);
  await more.closed;
  const panels: Client[] = [];
  for (let at = 0; at < SAFETY_PLACES; at++) panels.push(await rawClient(w.port, undefined, `127.0.1.${at + 1}`));
  assert.ok(w.proxy.connections().length <= 2 + SAFETY_PLACES);
  for (const client of panels) await client[Symbol.asyncDispose]();
});

test('a peer at its own bound gives its oldest connection for a new one, if it holds a safety operation', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, {
    ...allowed,
    isSafety: ({ source }) => source.address === panel,
    limits: { maxConnectionsPerPeer: 2 },
  });
  await using oldest = await rawClient(w.port, undefined, panel);
  assert.equal(await answers(oldest), 3);
  await using other = await rawClient(w.port, undefined, panel);
  assert.equal(await answers(other), 3);
  await using next = await rawClient(w.port, undefined, panel);
  assert.equal(await answers(next), 3);
  await oldest.closed;
  assert.equal(await answers(other), 3);
});
