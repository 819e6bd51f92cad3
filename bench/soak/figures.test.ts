// The soak fails whenever something failed: no figure hides a fault, a part that stopped early, or what was not measured.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allMet, benchDocument, type Figure } from '../machine.ts';
import type { AttackRound } from './attacks.ts';
import { attackFigures, killFigures, noKillFigures, publishFigures } from './figures.ts';
import type { KillsResult, Share } from './kills.ts';
import type { Publication } from './publishes.ts';

const missed = (figures: readonly Figure[]): string[] => figures.filter(({ met }) => met === false).map(({ id }) => id);
const times = <T>(n: number, one: T): T[] => Array.from({ length: n }, () => one);

const good: AttackRound = { action: 'port scan', containMs: 100 };
const published: Publication = { enforcedMs: 200, probedMs: 100, commandMs: 300 };
const share: Share = { asked: 100, allowed: 100, askedInAll: 100, allowedInAll: 90, refused: [] };
const killed: KillsResult = {
  kills: { control: 3, 'gateway-1': 2, 'plc-1': 3, 'hmi-1': 2 },
  seconds: 60,
  outages: {},
  faults: [],
  eventsPerSecond: 600,
  reckoning: { entries: 36_100, acknowledged: 36_000, lost: [], twice: [], chains: 14, gaps: 0 },
  verified: true,
  probes: { perSecond: 110, sent: 6_600, saw: {} },
  wrong: [],
  granted: { web: share },
  drainSeconds: 2,
};

test('what went well meets every goal', () => {
  const figures = [
    ...attackFigures(times(20, good), 20),
    ...publishFigures(times(20, published), 20),
    ...killFigures(killed, 10),
  ];
  assert.deepEqual(missed(figures), []);
  assert.ok(figures.every(({ reason }) => reason === undefined));
  assert.equal(allMet(benchDocument('loop', figures)), true);
});

test('one attack of a hundred that got through is not hidden by the percentile', () => {
  const through: AttackRound = { action: 'refused PLC write', containMs: undefined, fault: 'mbpoll wrote' };
  assert.deepEqual(missed(attackFigures([...times(99, good), through], 100)), ['attackFaults']);
  const changed: AttackRound = { ...good, fault: 'the set-point of the PLC is 1001' };
  assert.deepEqual(missed(attackFigures([...times(99, good), changed], 100)), ['attackFaults']);
});

test('one publication of twenty that did not arrive is not hidden by the percentile', () => {
  const late: Publication = { enforcedMs: undefined, probedMs: 0, commandMs: 300, fault: 'the mark of plc-1' };
  assert.deepEqual(missed(publishFigures([...times(19, published), late], 20)), ['publishFaults']);
});

test('an end that no kill caused, a gap, and a log that does not verify each fail', () => {
  assert.deepEqual(missed(killFigures({ ...killed, faults: ['plc-1 ended by itself'] }, 10)), ['unexpectedEnds']);
  assert.deepEqual(missed(killFigures({ ...killed, reckoning: { ...killed.reckoning, gaps: 1 } }, 10)), ['logGaps']);
  assert.deepEqual(missed(killFigures({ ...killed, verified: false }, 10)), ['auditVerified']);
});

test('a part that stopped early meets no goal, says so, and still tells what it saw', () => {
  for (const [figures, reason] of [
    [attackFigures(times(3, good), 100), 'only 3 of 100 attacks'],
    [publishFigures(times(3, published), 20), 'only 3 of 20 publications'],
    [killFigures(killed, 200), 'only 10 of 200 kills'],
  ] as const) {
    assert.deepEqual(
      missed(figures),
      figures.map(({ id }) => id),
    );
    assert.ok(figures.every((one) => one.reason === reason && one.value !== null));
  }
});

test('what did not run at all has the same figures, none of them met', () => {
  const ids = (figures: readonly Figure[]): string[] => figures.map(({ id }) => id);
  for (const [absent, present] of [
    [attackFigures([], 100), attackFigures([good], 1)],
    [publishFigures([], 20), publishFigures([published], 1)],
    [noKillFigures('requires nft'), killFigures(killed, 10)],
  ] as const) {
    assert.deepEqual(ids(absent), ids(present));
    assert.deepEqual(missed(absent), ids(absent));
  }
});
