import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { CodedError } from '../../../runtime/errors.ts';
import { migrate } from '../../../store/migrations.ts';
import type { Database } from '../../../store/database.ts';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { NewEvent } from '../../spool/event.ts';
import { builtInRules, createDetector } from '../index.ts';
import type { ObservedEvent } from '../detector.ts';
import type { StoredRecord } from './detection.ts';
import { createFindings } from './findings.ts';
import { detectMigrations } from './migrations.ts';
import { createReview } from './review.ts';

const start = 1_800_000_000_000;

/** Events of hmi-1 in the log, by index from 0. */
const opening = (by: unknown, activity = 'break-glass') => ({
  kind: 'authz',
  class_uid: 6003,
  time: start,
  activity,
  severity: 'critical',
  data: { rule: 'break-glass:p/1', peer: 'gateway-1', by },
});

async function world(open: () => Promise<Database>, events: readonly object[]) {
  const db = await open();
  await migrate(db, 'detect', detectMigrations);
  const findings = createFindings({ db, trustDomain: 'plant.example', clock: new FakeClock(start) });
  const detector = createDetector(builtInRules);
  const records: StoredRecord[] = events.map((event, index) => ({
    index,
    deviceId: 'hmi-1',
    payload: Buffer.from(JSON.stringify(event)),
    receivedAt: start,
  }));
  const detected = events.flatMap((event, index) =>
    detector.observe({ ...(event as Omit<ObservedEvent, 'index'>), index, reporter: 'hmi-1', receivedAt: start }),
  );
  await findings.record(detected, events.length);
  const emitted: NewEvent[] = [];
  const review = createReview({
    findings,
    read: (from, limit) => Promise.resolve(records.slice(from, from + limit)),
    emit: (event) => Promise.resolve(void emitted.push(event)),
  });
  const code = async (by: string, id?: string, note = 'the panel hung; firmware is updated'): Promise<string> => {
    try {
      await review({ id: id ?? (await findings.list())[0]?.id ?? '', note, by });
      return 'reviewed';
    } catch (error) {
      assert.ok(error instanceof CodedError, String(error));
      return error.code;
    }
  };
  return { db, findings, emitted, code };
}

forEachDatabase((name, open) => {
  test(`${name}: an opening is a critical finding about the edge, until somebody else has reviewed it`, async () => {
    const { db, findings, emitted, code } = await world(open, [
      opening(['anna', 'ben', 'dora']),
      opening(['ben', 'cleo', 'dora']),
      opening(['x'], 'break-glass-end'),
    ]);
    const [finding, ...others] = await findings.list();
    assert.deepEqual(others, []);
    assert.deepEqual(
      [finding?.device, finding?.level, finding?.state, finding?.evidence, finding?.attributed],
      ['hmi-1', 'critical', 'open', [0, 1], false],
    );
    await findings.close('hmi-1', 're-imaged');
    assert.equal((await findings.list())[0]?.state, 'open', 're-imaging is no review');
    for (const by of ['anna', 'ben', 'cleo', 'dora', 'Anna']) assert.equal(await code(by), 'DETECT_REVIEW_OWN', by);
    assert.equal(await code('erin', undefined, '  '), 'DETECT_REVIEW_REFUSED');
    assert.deepEqual(emitted, []);
    assert.equal(await code('erin'), 'reviewed');
    const [closed] = await findings.list();
    assert.deepEqual(
      [closed?.state, closed?.closedWhy],
      ['closed', 'reviewed by erin: the panel hung; firmware is updated'],
    );
    assert.deepEqual(
      emitted.map(({ kind, activity, data }) => [kind, activity, data['by'], data['finding']]),
      [['finding', 'review', 'erin', finding?.id]],
    );
    assert.equal(await code('erin'), 'DETECT_REVIEW_REFUSED', 'closed');
    assert.equal(await code('erin', 'f-0'), 'DETECT_FINDING_UNKNOWN');
    await db.close();
  });

  test(`${name}: what does not say who opened, or is cut, is not reviewed; nor is another finding`, async () => {
    for (const by of [undefined, [], 'sha256:ab', ['sha256:ab'], 7]) {
      const { db, code } = await world(open, [opening(by)]);
      assert.equal(await code('erin'), 'DETECT_REVIEW_EVIDENCE', JSON.stringify(by));
      await db.close();
    }
    const many = await world(
      open,
      Array.from({ length: 201 }, () => opening(['anna', 'ben', 'dora'])),
    );
    assert.equal(await many.code('erin'), 'DETECT_REVIEW_EVIDENCE');
    await many.db.close();
  });

  test(`${name}: an opening that comes while it is reviewed is not reviewed with it`, async () => {
    const { db, findings } = await world(open, [opening(['anna', 'ben', 'dora'])]);
    const [read] = await findings.list();
    assert.ok(read);
    const detector = createDetector(builtInRules);
    const event = { ...opening(['ben', 'cleo', 'dora']), index: 1, reporter: 'hmi-1', receivedAt: start };
    await findings.record(detector.observe(event as unknown as ObservedEvent), 2);
    assert.equal(await findings.closeOne(read, 'reviewed'), false);
    assert.equal((await findings.list())[0]?.state, 'open');
    await db.close();
  });
});

test('a release cannot take the place of a rule that is built in', () => {
  const text = (builtInRules['built-in/break-glass.yml'] ?? '').replace('activity: break-glass', 'activity: nothing');
  assert.throws(() => createDetector({ ...builtInRules, 'mine.yml': text }), /used in built-in\/break-glass\.yml/);
});
