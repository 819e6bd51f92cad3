import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { migrate } from '../../../store/migrations.ts';
import type { Database } from '../../../store/database.ts';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { Detection } from '../detector.ts';
import { maxEvidence, sameFindingMs } from '../limits.ts';
import { createFindings } from './findings.ts';
import { detectMigrations } from './migrations.ts';

const start = 1_800_000_000_000;

function detection(indices: readonly number[], changes: Partial<Detection> = {}): Detection {
  return {
    ruleId: 'port-scan',
    title: 'Port scan',
    level: 'high',
    tags: ['attack.t0846'],
    device: 'gateway-1',
    reporter: 'plc-1',
    firstTime: start + (indices[0] ?? 0),
    lastTime: start + (indices.at(-1) ?? 0),
    count: indices.length,
    evidence: indices,
    attributed: true,
    retro: false,
    ...changes,
  };
}

async function openFindings(open: () => Promise<Database>, trustDomain = 'plant.example') {
  const db = await open();
  await migrate(db, 'detect', detectMigrations);
  const clock = new FakeClock(start);
  return { db, clock, findings: createFindings({ db, trustDomain, clock }) };
}

forEachDatabase((name, open) => {
  test(`${name}: the same rule on the same device extends the open finding`, async () => {
    const { db, clock, findings } = await openFindings(open);
    await findings.record([detection([3, 4, 5])], 6);
    const [first] = await findings.list();
    await clock.advance(1000);
    await findings.record([detection([8, 9]), detection([11], { level: 'critical' })], 12);
    const [grown, ...others] = await findings.list();
    assert.deepEqual(others, []);
    assert.deepEqual(grown, { ...first, level: 'critical', count: 6, evidence: [3, 4, 5, 8, 9, 11] });
    assert.equal(await findings.cursor(), 12);
    await db.close();
  });

  test(`${name}: another rule, device, or kind of evidence is another finding`, async () => {
    const { db, findings } = await openFindings(open);
    const different: Partial<Detection>[] = [
      {},
      { ruleId: 'burst' },
      { device: 'hmi-1' },
      // Late evidence starts no response, nor does evidence that names nobody: neither may hide what does.
      { retro: true },
      { attributed: false },
    ];
    await findings.record(
      different.map((changes, n) => detection([n], changes)),
      10,
    );
    assert.equal((await findings.list()).length, different.length);
    await findings.record(
      different.map((changes, n) => detection([10 + n], changes)),
      20,
    );
    assert.deepEqual(
      (await findings.list()).map((finding) => finding.count),
      different.map(() => 2),
    );
    await db.close();
  });

  test(`${name}: judging the same events again changes nothing`, async () => {
    const { db, clock, findings } = await openFindings(open);
    const many = Array.from({ length: maxEvidence + 50 }, (_, n) => detection([n * 2]));
    await findings.record(many.slice(0, 40), 80);
    await findings.record(many, 500);
    const [before] = await findings.list();
    assert.equal(before?.count, many.length);
    assert.equal(before?.evidence.length, maxEvidence);
    await findings.handedOn(before);
    for (const again of [many, many.slice(10, 20), many.slice(-1)]) await findings.record(again, 400);
    assert.deepEqual(await findings.list(), [before]);
    assert.equal(await findings.cursor(), 500, 'the cursor never goes back');
    await clock.advance(2 * sameFindingMs);
    await findings.record(many, 500);
    assert.deepEqual(await findings.list(), [before], 'also when it has become too old to be extended');
    await findings.close('gateway-1', 're-imaged');
    await findings.record(many, 500);
    const closed = { ...before, state: 'closed', closedWhy: 're-imaged' };
    assert.deepEqual(await findings.list(), [closed], 'also when it has been closed');
    assert.deepEqual(await findings.pending(), []);
    await db.close();
  });

  test(`${name}: a flood keeps its count and the first of its evidence`, async () => {
    const { db, findings } = await openFindings(open);
    const many = Array.from({ length: maxEvidence + 50 }, (_, n) => detection([n]));
    await findings.record(many, 500);
    const [flood] = await findings.list();
    assert.equal(flood?.count, many.length);
    assert.deepEqual(
      flood.evidence,
      many.slice(0, maxEvidence).flatMap((one) => one.evidence),
    );
    await db.close();
  });

  test(`${name}: what comes after a close or an hour of silence is a new finding`, async () => {
    const { db, clock, findings } = await openFindings(open);
    await findings.record([detection([1])], 2);
    await findings.close('gateway-1', 're-imaged');
    await findings.record([detection([2])], 3);
    assert.deepEqual(
      (await findings.list({ state: 'open' })).map((finding) => finding.evidence),
      [[2]],
    );
    await clock.advance(sameFindingMs + 1);
    await findings.record([detection([3])], 4);
    assert.equal((await findings.list({ state: 'open' })).length, 2);
    assert.equal((await findings.list({ state: 'closed' })).length, 1);
    assert.equal((await findings.list({ limit: 2 })).length, 2);
    await db.close();
  });

  test(`${name}: a finding stays pending until it has been handed on as it is`, async () => {
    const { db, findings } = await openFindings(open);
    await findings.record([detection([1])], 2);
    const [first] = await findings.pending();
    assert.ok(first);
    assert.equal(first.isNew, true);
    await findings.record([detection([2])], 3);
    assert.deepEqual(
      (await findings.pending()).map(({ finding, isNew }) => [finding.count, isNew]),
      [[2, true]],
    );
    await findings.handedOn(first.finding);
    const [second] = await findings.pending();
    assert.deepEqual([second?.finding.count, second?.isNew], [2, false], 'it grew while it was handed on');
    assert.ok(second);
    await findings.handedOn(second.finding);
    assert.deepEqual(await findings.pending(), []);
    await db.close();
  });

  test(`${name}: what is open since counts by the time of the last event`, async () => {
    const { db, findings } = await openFindings(open);
    await findings.record([detection([100])], 101);
    assert.equal(await findings.openSince('gateway-1', start + 99), 1);
    assert.equal(await findings.openSince('gateway-1', start + 100), 0, 'it was over by then');
    await findings.record([detection([200])], 201);
    assert.equal(await findings.openSince('gateway-1', start + 150), 1, 'the attack went on');
    assert.equal(await findings.openSince('hmi-1', 0), 0);
    await findings.record([detection([300], { device: 'hmi-1' })], 301);
    await findings.record([detection([301], { device: 'plc-1', attributed: false })], 302);
    assert.equal(await findings.openSince('plc-1', 0), 0, 'somebody unknown tried something at it');
    await findings.record(
      [detection([302], { ruleId: 'token', device: 'plc-1', reporter: 'control', attributed: false })],
      303,
    );
    assert.equal(await findings.openSince('plc-1', 0), 1, 'the control plane named it');
    await findings.close('gateway-1', 're-imaged');
    assert.equal(await findings.openSince('gateway-1', 0), 0);
    assert.equal(await findings.openSince('hmi-1', 0), 1, 'others stay open');
    await db.close();
  });

  test(`${name}: two replicas that judge the same events make one finding`, async () => {
    const { db, clock, findings } = await openFindings(open);
    const other = createFindings({ db, trustDomain: 'plant.example', clock });
    const seen = Array.from({ length: 20 }, (_, n) => detection([n]));
    await Promise.all([
      findings.record(seen, 20),
      other.record(seen.slice(0, 7), 7).then(() => other.record(seen, 20)),
    ]);
    assert.deepEqual(
      (await findings.list()).map((finding) => finding.count),
      [20],
    );
    await db.close();
  });

  test(`${name}: findings of one trust domain are invisible to another`, async () => {
    const { db, clock, findings } = await openFindings(open);
    const other = createFindings({ db, trustDomain: 'other.example', clock });
    await findings.record([detection([1])], 2);
    await other.close('gateway-1', 'not ours');
    assert.deepEqual(await other.list(), []);
    assert.deepEqual(await other.pending(), []);
    assert.equal(await other.cursor(), 0);
    assert.equal(await other.openSince('gateway-1', 0), 0);
    assert.equal((await findings.list({ state: 'open' })).length, 1);
    await db.close();
  });
});
