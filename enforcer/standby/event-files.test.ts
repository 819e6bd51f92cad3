// What a stand-in records reaches the spool: whole, in order, at least once, whatever ends in between; what has no room is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { openEventFiles, takeOver } from './event-files.ts';
import { GATHER_MS, MAX_FILE_BYTES, MAX_WAITING_BYTES } from './limits.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const folder = '/standby/events';
const event = (rule: string, more: object = {}): NewEvent => ({
  kind: 'modbus',
  activity: 'allow',
  severity: 'high',
  bundle: 'ab'.repeat(32),
  data: { rule, subject: 'hmi-1', ...more },
});

function spool() {
  const events: NewEvent[] = [];
  let full = false;
  return {
    events,
    fill: (now: boolean) => void (full = now),
    rules: () => events.map(({ data }) => data.rule),
    emit: (given: NewEvent, durable?: boolean) => {
      assert.equal(durable, true);
      if (full) return Promise.reject(new Error('full'));
      events.push(given);
      return Promise.resolve();
    },
  };
}

async function open(fs: SimulatedFiles, masked: readonly string[] = []) {
  const clock = new FakeClock(1_000);
  const files = await openEventFiles({ fs, folder, clock, log, masked });
  const stop = new AbortController();
  const running = files.task(stop.signal);
  return {
    clock,
    files,
    end: async () => {
      stop.abort();
      await running;
    },
  };
}

test('events are gathered into files, taken over in order, and removed', async () => {
  const fs = new SimulatedFiles();
  const first = await open(fs);
  await first.files.emit(event('a'));
  await first.files.emit(event('b'));
  await first.clock.advance(GATHER_MS);
  await first.end();
  const second = await open(fs);
  await second.files.emit(event('c'), true);
  await second.files.emit(event('d'));
  await second.end();
  assert.equal((await fs.list(folder)).length, 3);
  const { emit, rules, events } = spool();
  await takeOver({ fs, folder, emit, log });
  assert.deepEqual(rules(), ['a', 'b', 'c', 'd']);
  assert.deepEqual(events[0], {
    ...event('a'),
    data: { first_ms: 1_000, rule: 'a', subject: 'hmi-1', enforcement_point: 'standby' },
  });
  assert.deepEqual(await fs.list(folder), []);
  await takeOver({ fs, folder: '/nowhere', emit, log });
});

test('a spool that is full gets them later; nothing is removed before', async () => {
  const fs = new SimulatedFiles();
  const { files, end } = await open(fs);
  await files.emit(event('a'), true);
  await end();
  const into = spool();
  into.fill(true);
  await assert.rejects(takeOver({ fs, folder, emit: into.emit, log }));
  into.fill(false);
  await takeOver({ fs, folder, emit: into.emit, log });
  assert.deepEqual(into.rules(), ['a']);
});

test('what is masked is not stored', async () => {
  const fs = new SimulatedFiles();
  const { files, end } = await open(fs, ['subject']);
  await files.emit(event('a'), true);
  await end();
  const { emit, events } = spool();
  await takeOver({ fs, folder, emit, log });
  assert.equal(Object.hasOwn(events[0]?.data ?? {}, 'subject'), false);
});

test('the power is cut after every operation: what was durable is there', async () => {
  for (let cut = 1; ; cut++) {
    const fs = new SimulatedFiles({ seed: cut });
    const { files, end } = await open(fs);
    fs.cutAfter(cut);
    const durable: string[] = [];
    for (const rule of ['a', 'b', 'c']) {
      await files.emit(event(rule), true).then(
        () => durable.push(rule),
        () => undefined,
      );
    }
    await end();
    const after = fs.restart();
    const { emit, rules } = spool();
    await takeOver({ fs: after, folder, emit, log });
    for (const rule of durable) assert.ok(rules().includes(rule), `cut ${cut}: ${rule} of ${String(rules())}`);
    if (durable.length === 3) break;
  }
});

test('a full folder refuses who waits, counts the others, and says so when there is room', async () => {
  const fs = new SimulatedFiles();
  const { files, end } = await open(fs);
  const large = 'x'.repeat(MAX_FILE_BYTES / 2);
  const filling = async (): Promise<void> => {
    for (let kept = 0; kept < (2 * MAX_WAITING_BYTES) / large.length; kept++) await files.emit(event(large), true);
  };
  await assert.rejects(filling(), { code: 'STANDBY_EVENTS_FULL' });
  assert.equal(files.lost(), 1);
  const { emit, events } = spool();
  await takeOver({ fs, folder, emit, log });
  await files.emit(event('after'), true);
  await end();
  assert.equal(files.lost(), 0);
  events.length = 0;
  await takeOver({ fs, folder, emit, log });
  assert.deepEqual(
    events.map(({ activity, data }) => [activity, data.count ?? data.rule]),
    [
      ['lost', 1],
      ['allow', 'after'],
    ],
  );
});

test('a damaged file is told and removed, and does not stop the others', async () => {
  const fs = new SimulatedFiles();
  await fs.mkdir(folder);
  await writeDurably(fs, `${folder}/000000000001.json`, Buffer.from('{"format":1,'));
  const { files, end } = await open(fs);
  await files.emit(event('a'), true);
  await end();
  const { emit, events } = spool();
  await takeOver({ fs, folder, emit, log });
  assert.deepEqual(
    events.map(({ activity, data }) => [activity, data.rule ?? data.message]),
    [
      ['lost', '000000000001.json of the stand-in is damaged'],
      ['allow', 'a'],
    ],
  );
});
