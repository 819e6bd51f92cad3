import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { createLogger } from '../../../runtime/log.ts';
import { migrate } from '../../../store/migrations.ts';
import type { Database } from '../../../store/database.ts';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { createDetector, type Detector } from '../detector.ts';
import { judgedBatch } from '../limits.ts';
import { createDetection, type StoredRecord } from './detection.ts';
import { createFindings } from './findings.ts';
import { detectMigrations } from './migrations.ts';

const start = 1_800_000_000_000;
const write = `
title: Refused write
id: refused-write
level: critical
logsource: {product: edgeward, service: modbus}
detection: {refused: {activity: deny}, condition: refused}
`;
const denied = `
title: Denied request
id: denied
level: low
logsource: {product: edgeward, service: authz}
detection: {denied: {activity: deny}, condition: denied}
`;
const burst = `
title: Burst
id: burst
level: high
correlation: {type: event_count, rules: [denied], group-by: [subject], timespan: 30s, condition: {gte: 5}}
`;
const rules = { 'write.yml': write, 'denied.yml': denied, 'burst.yml': burst };
const log = createLogger({ name: 'test', level: 'silent' });

/** A log that the test writes, a detection over it, and what was handed on. */
async function world(db: Database, records: StoredRecord[] = []) {
  const clock = new FakeClock(start);
  const taken: string[] = [];
  const findings = createFindings({ db, trustDomain: 'plant.example', clock });
  let detector: Detector = createDetector(rules);
  let take: (id: string) => Promise<void> = () => Promise.resolve();
  const liars = new Set<string>();
  const detection = createDetection({
    clock,
    log,
    findings: { ...findings, record: async (...args) => (await store.before(), await findings.record(...args)) },
    detector: () => detector,
    read: (from, limit) => Promise.resolve(records.filter(({ index }) => index >= from).slice(0, limit)),
    mayAccuse: (reporter) => Promise.resolve(!liars.has(reporter)),
    onFinding: async (finding, isNew) => {
      await take(finding.device);
      const doubt = finding.attributed ? '' : 'unattributed ';
      taken.push(`${finding.ruleId} ${finding.device} ${finding.count} ${doubt}${isNew ? 'new' : 'grown'}`);
    },
  });
  const store = { before: (): Promise<void> => Promise.resolve() };
  const stop = new AbortController();
  const running = detection.task(stop.signal);
  return {
    clock,
    findings,
    detection,
    taken,
    liars,
    store,
    failTaking: (fail: typeof take) => void (take = fail),
    release: (texts: Record<string, string>) => void (detector = createDetector(texts)),
    say: (kind: string, subject: string, changes: Partial<StoredRecord> = {}) => {
      const event = {
        kind,
        class_uid: 6003,
        time: clock.now(),
        activity: 'deny',
        severity: 'medium',
        data: { subject },
      };
      const payload = new TextEncoder().encode(JSON.stringify(event));
      records.push({ index: records.length, deviceId: 'plc-1', payload, receivedAt: clock.now(), ...changes });
    },
    records,
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}
type World = Awaited<ReturnType<typeof world>>;

/** Lets the loop run until `done`; real I/O to the database is under way, so the fake clock moves step by step. */
async function until(given: World, done: () => boolean | Promise<boolean>): Promise<void> {
  for (let step = 0; step < 400; step++) {
    if (await done()) return;
    await given.clock.advance(step < 10 ? 0 : 100);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.fail(`did not happen; taken: ${given.taken.join(', ')}`);
}
const judgedAll = (given: World) => (): boolean => given.detection.position() === given.records.length;

forEachDatabase((name, open) => {
  const prepared = async (): Promise<Database> => {
    const db = await open();
    await migrate(db, 'detect', detectMigrations);
    return db;
  };

  test(`${name}: whom a reporter may not accuse it does not accuse, and it does not spoil the word of others`, async () => {
    const db = await prepared();
    const given = await world(db);
    given.liars.add('camera-1');
    given.say('modbus', 'gateway-1', { deviceId: 'camera-1' });
    for (let n = 0; n < 6; n++) given.say('authz', 'gateway-1', { deviceId: 'camera-1' });
    given.say('modbus', 'camera-1', { deviceId: 'camera-1' });
    given.say('modbus', 'gateway-1', { deviceId: 'plc-1' });
    await until(given, () => given.taken.length >= 4);
    assert.deepEqual(given.taken.toSorted(), [
      'burst camera-1 5 unattributed new',
      'refused-write camera-1 1 new',
      'refused-write camera-1 1 unattributed new',
      'refused-write gateway-1 1 new',
    ]);
    const [finding] = await given.findings.list({ device: 'gateway-1' });
    assert.equal(finding?.reporter, 'plc-1');
    await given.stop();
    await db.close();
  });

  test(`${name}: what is stored is judged once and handed on, also over batches`, async () => {
    const db = await prepared();
    const given = await world(db);
    for (let n = 0; n < judgedBatch + 20; n++) given.say('authz', `device-${n}`);
    given.say('modbus', 'gateway-1');
    given.detection.wake();
    await until(given, () => given.taken.length > 0);
    assert.deepEqual(given.taken, ['refused-write gateway-1 1 new']);
    given.say('modbus', 'gateway-1');
    given.detection.wake();
    await until(given, () => given.taken.length > 1);
    assert.deepEqual(given.taken.slice(1), ['refused-write gateway-1 2 grown']);
    await given.stop();
    await db.close();
  });

  test(`${name}: a finding that was not taken is handed on again as new, and holds up no other`, async () => {
    const db = await prepared();
    const given = await world(db);
    let attempts = 0;
    given.failTaking((device) =>
      device === 'gateway-1' && attempts++ < 3 ? Promise.reject(new Error('no orders now')) : Promise.resolve(),
    );
    given.say('modbus', 'gateway-1');
    given.say('modbus', 'hmi-1');
    await until(given, () => given.taken.length === 2);
    assert.deepEqual(given.taken, ['refused-write hmi-1 1 new', 'refused-write gateway-1 1 new']);
    await until(given, judgedAll(given));
    await given.clock.advance(10_000);
    assert.equal(given.taken.length, 2, 'each was handed on once it was taken');
    assert.equal(attempts, 4);
    assert.deepEqual(
      (await given.findings.list()).map((finding) => finding.count),
      [1, 1],
    );
    await given.stop();
    await db.close();
  });

  test(`${name}: a process that dies between storing and handing on leaves the finding to the next`, async () => {
    const db = await prepared();
    const first = await world(db);
    first.failTaking(() => new Promise(() => undefined));
    first.say('modbus', 'gateway-1');
    await until(first, async () => (await first.findings.pending()).length === 1);
    // It hangs in onFinding for ever; another process starts on the same database.
    const second = await world(db, first.records);
    await until(second, () => second.taken.length === 1);
    assert.deepEqual(second.taken, ['refused-write gateway-1 1 new']);
    await until(second, async () => (await second.findings.pending()).length === 0);
    await second.stop();
    await db.close();
  });

  test(`${name}: a batch that could not be stored is not counted twice`, async () => {
    const db = await prepared();
    const given = await world(db);
    let failures = 0;
    given.store.before = () => (failures++ < 3 ? Promise.reject(new Error('database gone')) : Promise.resolve());
    for (let n = 0; n < 3; n++) given.say('authz', 'gateway-1');
    await until(given, judgedAll(given));
    assert.equal(failures, 4);
    given.say('authz', 'gateway-1');
    given.detection.wake();
    await until(given, judgedAll(given));
    assert.deepEqual(given.taken, [], 'four denials are no burst, however often they were tried');
    given.say('authz', 'gateway-1');
    given.detection.wake();
    await until(given, () => given.taken.length === 1);
    assert.deepEqual((await given.findings.list())[0]?.evidence, [0, 1, 2, 3, 4]);
    await given.stop();
    await db.close();
  });

  test(`${name}: neither a restart nor a new release forgets half an attack, and neither finds it twice`, async () => {
    const db = await prepared();
    const first = await world(db);
    first.say('modbus', 'hmi-1');
    for (let n = 0; n < 4; n++) first.say('authz', 'gateway-1');
    await until(first, () => judgedAll(first)() && first.taken.length === 1);
    await first.stop();

    const second = await world(db, first.records);
    second.say('authz', 'gateway-1');
    await until(second, () => second.taken.length === 1);
    assert.deepEqual(second.taken, ['burst gateway-1 5 new']);
    for (let n = 0; n < 4; n++) second.say('authz', 'camera-1');
    second.detection.wake();
    await until(second, judgedAll(second));
    second.release({ ...rules, 'write.yml': write.replace('critical', 'low') });
    second.say('authz', 'camera-1');
    second.detection.wake();
    await until(second, () => second.taken.length === 2);
    assert.deepEqual(second.taken.slice(1), ['burst camera-1 5 new']);
    assert.equal((await second.findings.list()).length, 3);
    await second.stop();
    await db.close();
  });

  test(`${name}: late evidence makes a finding that says so`, async () => {
    const db = await prepared();
    const given = await world(db);
    given.say('modbus', 'gateway-1', { receivedAt: start + 3_600_000 });
    await until(given, () => given.taken.length === 1);
    assert.deepEqual(
      (await given.findings.list()).map((finding) => finding.retro),
      [true],
    );
    await given.stop();
    await db.close();
  });
});

test('records that are no events, or that a rule cannot be asked about, are passed over', async () => {
  const record = await recordedBy(['not json', '[]', '{"kind":"modbus"}', 'modbus', 'boom', 'modbus']);
  assert.deepEqual(record, { detections: ['refused-write 3', 'refused-write 5'], next: 6 });
});

/** Runs a detection over the given payloads until its first batch is stored. */
async function recordedBy(payloads: readonly string[]): Promise<{ detections: string[]; next: number }> {
  const stop = new AbortController();
  const real = createDetector(rules);
  const event = { kind: 'modbus', class_uid: 6003, time: start, activity: 'deny', severity: 'medium', data: {} };
  const records = payloads.map((text, index): StoredRecord => {
    const data = text === 'boom' ? { boom: true } : {};
    const json = text === 'modbus' || text === 'boom' ? JSON.stringify({ ...event, data }) : text;
    return { index, deviceId: 'plc-1', payload: new TextEncoder().encode(json), receivedAt: start };
  });
  return await new Promise((resolve) => {
    const detection = createDetection({
      clock: new FakeClock(start),
      log,
      findings: {
        cursor: () => Promise.resolve(0),
        pending: () => Promise.resolve([]),
        handedOn: () => Promise.resolve(),
        record: (found, next) => {
          stop.abort();
          const detections = found.map((one) => `${one.ruleId} ${one.evidence.join()}`);
          return Promise.resolve(resolve({ detections, next }));
        },
      },
      detector: () => ({
        ...real,
        observe: (seen) => {
          if (seen.data['boom'] === true) throw new Error('boom');
          return real.observe(seen);
        },
      }),
      read: (from) => Promise.resolve(records.slice(from)),
      mayAccuse: () => Promise.resolve(true),
      onFinding: () => Promise.resolve(),
    });
    void detection.task(stop.signal);
  });
}
