import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { systemClock } from '../../runtime/clock.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import type { FileSystem } from '../../store/files.ts';
import { chainNext, chainStart } from '../log/chain.ts';
import type { SpoolLimits } from '../limits.ts';
import { eventSchema, type AuditEvent, type NewEvent } from './event.ts';
import { openSpool, type Spool } from './spool.ts';
import type { SpoolRecord } from './segment.ts';

const directory = '/spool';

function open(fs: FileSystem, limits: Partial<SpoolLimits> = {}): Promise<Spool> {
  return openSpool({ fs, directory, clock: systemClock, random: randomBytes, limits });
}

const deny = (n: number, more: Partial<NewEvent> = {}): NewEvent => ({
  kind: 'authz',
  activity: 'deny',
  data: { count: n },
  ...more,
});

async function all(spool: Spool, after = 0): Promise<SpoolRecord[]> {
  const records: SpoolRecord[] = [];
  for await (const record of spool.read(after, Number.POSITIVE_INFINITY)) records.push(record);
  return records;
}

const eventOf = (record: SpoolRecord): AuditEvent => eventSchema.parse(JSON.parse(record.payload.toString()));
const counts = (records: SpoolRecord[]): unknown[] => records.map((record) => eventOf(record).data['count']);

test('records come back in order with the chain of the contract', async () => {
  const spool = await open(new SimulatedFiles());
  assert.deepEqual(await spool.append(deny(1), true), { sequence: 1 });
  assert.deepEqual(await spool.append(deny(2)), {});
  await spool.flush();
  const { epoch, sequence, chain } = spool.head();
  assert.equal(sequence, 2);
  let expected = chainStart(epoch);
  for (const record of await all(spool)) {
    expected = chainNext(expected, record.sequence, record.payload);
    assert.deepEqual(record.chain, expected);
  }
  assert.deepEqual(chain, expected);
  assert.deepEqual(counts(await all(spool)), [1, 2]);
});

test('an event nobody waits for is on disk after the group time, without being asked for', async () => {
  const clock = new FakeClock();
  const spool = await openSpool({ fs: new SimulatedFiles(), directory, clock, random: randomBytes });
  await spool.append(deny(1));
  await clock.advance(9);
  assert.equal(spool.head().sequence, 0);
  await clock.advance(1);
  assert.equal(spool.head().sequence, 1);
});

test('a restart continues chain and epoch; segments roll and come back', async () => {
  const fs = new SimulatedFiles();
  const limits = { segmentBytes: 2_000, recentBytes: 500 };
  const first = await open(fs, limits);
  for (let n = 1; n <= 40; n += 1) await first.append(deny(n), true);
  const { epoch } = first.head();
  await first.close();
  await assert.rejects(first.append(deny(41)), { code: 'SPOOL_CLOSED' });
  const second = await open(fs, limits);
  assert.deepEqual(second.head().epoch, epoch);
  await second.append(deny(41), true);
  assert.deepEqual(
    counts(await all(second)),
    Array.from({ length: 41 }, (_, at) => at + 1),
  );
  assert.ok((await fs.list(directory)).filter((name) => name.endsWith('.segment')).length > 3);
});

test('acknowledged segments are freed, the rest stays readable', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs, { segmentBytes: 1_000, recentBytes: 100 });
  for (let n = 1; n <= 60; n += 1) await spool.append(deny(n), true);
  const before = spool.status().bytes;
  await spool.acknowledged(50);
  const { bytes, firstSequence, acknowledged } = spool.status();
  assert.ok(bytes < before / 2);
  assert.ok(firstSequence > 30 && firstSequence <= 51);
  assert.equal(acknowledged, 50);
  assert.deepEqual(counts(await all(spool, 50)), [51, 52, 53, 54, 55, 56, 57, 58, 59, 60]);
  await spool.acknowledged(49);
  assert.equal(spool.status().acknowledged, 50);
});

test('changed wakes on a new head and rejects on abort', async () => {
  const spool = await open(new SimulatedFiles());
  const waits = spool.changed(new AbortController().signal);
  await spool.append(deny(1), true);
  await waits;
  const stop = new AbortController();
  const aborted = spool.changed(stop.signal);
  stop.abort(new Error('over'));
  await assert.rejects(aborted, /over/);
});

test('masked fields never reach the disk', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs, { maskedKeys: ['subject'] });
  await spool.append(deny(1, { data: { subject: 'patient-4711' } }), true);
  await spool.close();
  for (const name of await fs.list(directory)) {
    const bytes = await fs.readFile(`${directory}/${name}`, 1e9);
    assert.equal(bytes.includes('patient-4711'), false, name);
  }
});

test('full disk: durable appends are refused, others counted, and the loss is told when there is room', async () => {
  const fs = new SimulatedFiles();
  const clock = new FakeClock();
  const spool = await openSpool({ fs, directory, clock, random: randomBytes, limits: { reserveBytes: 4_096 } });
  await spool.append(deny(1), true);
  fs.setFreeBytes(0);
  await assert.rejects(spool.append(deny(2), true), { code: 'SPOOL_FULL' });
  assert.equal(spool.status().state, 'full');
  await spool.append(deny(3));
  await assert.rejects(spool.append(deny(4), true), { code: 'SPOOL_FULL' });
  await spool.append(deny(5));
  await clock.advance(5_000);
  assert.equal(spool.status().state, 'full');
  fs.setFreeBytes(1e6);
  await clock.advance(1_000);
  assert.equal(spool.status().state, 'writable');
  await spool.append(deny(6), true);
  const events = (await all(spool)).map(eventOf);
  assert.deepEqual(
    events.map((event) => event.activity),
    ['deny', 'lost', 'deny'],
  );
  const lost = events[1]?.data;
  assert.equal(lost?.['count'], 2);
  assert.equal(lost?.['sequence'], 1);
  assert.equal(lost?.['reason'], 'full');
  assert.equal(spool.status().lost, 2);
});

test('full by quota: grave events use the reserve; freeing by acknowledgement makes it writable', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs, { totalBytes: 20_000, reserveBytes: 4_000, segmentBytes: 2_000 });
  let stored = 0;
  await assert.rejects(
    async () => {
      for (; stored < 1_000; stored += 1) await spool.append(deny(stored), true);
    },
    { code: 'SPOOL_FULL' },
  );
  assert.ok(stored > 40);
  await spool.append(deny(5_000, { severity: 'critical' }), true);
  assert.ok(spool.status().bytes <= 20_000);
  await spool.acknowledged(spool.head().sequence);
  assert.equal(spool.status().state, 'writable');
  await spool.append(deny(5_001), true);
});

test('losses that a crash interrupts are told after the restart', async () => {
  const fs = new SimulatedFiles();
  const clock = new FakeClock();
  const limits = { reserveBytes: 8_192 };
  const spool = await openSpool({ fs, directory, clock, random: randomBytes, limits });
  await spool.append(deny(1), true);
  fs.setFreeBytes(10);
  await spool.append(deny(2));
  await spool.flush();
  // The simulation does not give freed bytes back by itself.
  fs.setFreeBytes(3_000);
  await spool.append(deny(3, { severity: 'high' }), true);
  fs.setFreeBytes(0);
  await spool.append(deny(4, { severity: 'high' })).catch(() => undefined);
  fs.setFreeBytes(2_000);
  await spool.append(deny(5, { severity: 'high' }), true);
  const lostBefore = spool.status().lost;
  await spool.close();
  const after = fs.restart();
  after.setFreeBytes(1e6);
  const again = await openSpool({ fs: after, directory, clock, random: randomBytes, limits });
  const told = (await all(again)).map(eventOf).filter((event) => event.activity === 'lost');
  assert.equal(told.at(-1)?.data['count'], lostBefore);
});

test('after a crash with a full disk the last group is not delivered before it is certain', async () => {
  const fs = new SimulatedFiles();
  const clock = new FakeClock();
  const crashed = await openSpool({ fs, directory, clock, random: randomBytes });
  await crashed.append(deny(1), true);
  await crashed.append(deny(2), true);
  fs.setFreeBytes(0);
  const spool = await openSpool({ fs, directory, clock, random: randomBytes });
  assert.equal(spool.status().state, 'full');
  assert.deepEqual(counts(await all(spool)), [1]);
  await assert.rejects(spool.append(deny(3, { severity: 'critical' }), true), { code: 'SPOOL_FULL' });
  fs.setFreeBytes(1e6);
  await clock.advance(1_000);
  assert.equal(spool.status().state, 'writable');
  await spool.append(deny(4), true);
  assert.deepEqual(counts(await all(spool)), [1, 2, 4]);
});

test('a failed sync loses nothing: the group goes to a new segment', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs);
  await spool.append(deny(1), true);
  fs.failSyncs(1);
  assert.deepEqual(await spool.append(deny(2), true), { sequence: 2 });
  await spool.append(deny(3), true);
  const again = await open(fs.restart());
  assert.deepEqual(counts(await all(again)), [1, 2, 3]);
});

test('a disk that refuses everything is an error to who waits and a loss to who does not', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs);
  await spool.append(deny(1), true);
  fs.failSyncs(2);
  await assert.rejects(spool.append(deny(2), true), { code: 'SPOOL_UNWRITABLE' });
  fs.failSyncs(2);
  await spool.append(deny(3));
  await spool.flush();
  fs.failSyncs(0);
  await spool.append(deny(4), true);
  const events = (await all(spool)).map(eventOf);
  assert.deepEqual(
    events.map((event) => [event.activity, event.data['count']]),
    [
      ['deny', 1],
      ['deny', 4],
      ['lost', 1],
    ],
  );
});

test('too many waiting: counted as lost, refused to who waits, grave ones still taken', async () => {
  const fs = new SimulatedFiles();
  const clock = new FakeClock();
  const spool = await openSpool({ fs, directory, clock, random: randomBytes, limits: { queueBytes: 1_000 } });
  for (let n = 1; n <= 50; n += 1) await spool.append(deny(n));
  await assert.rejects(spool.append(deny(51), true), { code: 'SPOOL_OVERLOADED' });
  await spool.append(deny(52, { severity: 'critical' }));
  await spool.flush();
  const { lost } = spool.status();
  const events = (await all(spool)).map(eventOf);
  assert.ok(lost > 30);
  assert.equal(events.filter((event) => event.activity === 'deny').length, 51 - lost);
  assert.equal(events.find((event) => event.activity === 'lost')?.data['reason'], 'overload');
});

async function firstSegment(fs: SimulatedFiles): Promise<string> {
  const name = (await fs.list(directory)).find((found) => found.endsWith('.segment'));
  return `${directory}/${name}`;
}

test('damage found at start: quarantined, the rest goes on under a new epoch with a gap event', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs);
  for (let n = 1; n <= 10; n += 1) await spool.append(deny(n), true);
  const old = spool.head().epoch;
  await spool.acknowledged(2);
  await spool.close();
  fs.flipBit(await firstSegment(fs), 8 * 700);
  const again = await open(fs);
  assert.notDeepEqual(again.head().epoch, old);
  const records = await all(again);
  const gap = eventOf(records.at(-1) as SpoolRecord);
  assert.equal(gap.activity, 'gap');
  assert.equal(gap.data['epoch'], old.toString('hex'));
  assert.equal(gap.data['count'], 1);
  assert.equal(gap.data['first_sequence'], gap.data['last_sequence']);
  const missing = Number(gap.data['first_sequence']);
  const left = [3, 4, 5, 6, 7, 8, 9, 10].filter((n) => n !== missing);
  assert.deepEqual(counts(records.slice(0, -1)), left);
  assert.equal(records[0]?.sequence, 1);
  const names = await fs.list(directory);
  assert.equal(names.filter((name) => name.startsWith('quarantine-')).length, 1);
  assert.ok(names.every((name) => !name.startsWith(old.toString('hex'))));
});

test('a chain that ends before what was once durable is damage, not a torn tail', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs);
  for (let n = 1; n <= 5; n += 1) await spool.append(deny(n), true);
  await spool.close();
  const path = await firstSegment(fs);
  const file = await fs.open(path, 'append');
  await file.truncate((await file.size()) - 20);
  await file.sync();
  const again = await open(fs);
  const records = await all(again);
  assert.deepEqual(counts(records.slice(0, -1)), [1, 2, 3, 4]);
  assert.equal(eventOf(records.at(-1) as SpoolRecord).data['first_sequence'], 5);
});

test('damage in an older segment shows when it is read; renew keeps the rest', async () => {
  const fs = new SimulatedFiles();
  const limits = { segmentBytes: 1_000, recentBytes: 100 };
  const spool = await open(fs, limits);
  for (let n = 1; n <= 30; n += 1) await spool.append(deny(n), true);
  fs.flipBit(await firstSegment(fs), 8 * 400);
  const got: number[] = [];
  await assert.rejects(
    async () => {
      for await (const record of spool.read(0, 100)) got.push(record.sequence);
    },
    { code: 'SPOOL_DAMAGED' },
  );
  assert.ok(got.length >= 1 && got.length < 8);
  await spool.acknowledged(got.length);
  await spool.renew('damage');
  const records = await all(spool);
  assert.equal(records.length, 30 - got.length - 1 + 1);
  assert.equal(eventOf(records.at(-1) as SpoolRecord).data['kept'], 30 - got.length - 1);
});

test('a lost state file keeps the chain and says so', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs);
  await spool.append(deny(1), true);
  const { epoch } = spool.head();
  await spool.close();
  fs.flipBit(`${directory}/state`, 100);
  const again = await open(fs);
  assert.deepEqual(again.head().epoch, epoch);
  const events = (await all(again)).map(eventOf);
  assert.deepEqual(
    events.map((event) => [event.activity, event.data['reason']]),
    [
      ['deny', undefined],
      ['gap', 'state-lost'],
    ],
  );
});

test('segments that vanished are damage', async () => {
  const fs = new SimulatedFiles();
  const spool = await open(fs);
  await spool.append(deny(1), true);
  await spool.close();
  await fs.unlink(await firstSegment(fs));
  const again = await open(fs);
  const [gap] = (await all(again)).map(eventOf);
  assert.equal(gap?.activity, 'gap');
  assert.equal(gap?.data['count'], 1);
});
