// Cheap ways to good figures of swaps, kills and denials are no figures.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Figure } from '../machine.ts';
import { type Denials, denialFigures } from './denials.ts';
import { killFigures, type Kills } from './kills.ts';
import { swapFigures, type Swaps } from './swap.ts';

const metOf = (figures: readonly Figure[]): (boolean | null)[] => figures.map(({ met }) => met);
const nothing = (figures: readonly Figure[]): void => {
  for (const { value, met } of figures) assert.ok(value === null && met !== true);
};

const flooded = { sent: 80_000, refused: 0, seconds: 2, arrived: 80_000, accepted: 80_000 };
const swaps: Swaps = {
  entries: 10_000,
  swapMs: [1, 1, 1, 1, 1],
  generations: 5,
  granted: flooded,
  denied: { ...flooded, accepted: 0 },
  calm: { sent: 10, accepted: 10 },
};

test('swaps: lost and wrongly accepted packets count; what swaps nothing, denies all or sends nothing is no figure', () => {
  assert.deepEqual(metOf(swapFigures(swaps)), [true, true, true]);
  const worse = { ...swaps, granted: { ...flooded, accepted: 79_999 }, denied: { ...flooded, accepted: 1 } };
  assert.deepEqual(metOf(swapFigures(worse)), [false, false, true]);
  nothing(swapFigures({ ...swaps, generations: 0 }));
  nothing(swapFigures({ ...swaps, granted: { ...flooded, accepted: 0 } }));
  nothing(swapFigures({ ...swaps, denied: { ...flooded, arrived: 0, accepted: 0 } }));
});

const kills: Kills = {
  kills: 40,
  leftDead: 20,
  unconfirmed: 15,
  stuck: 0,
  lockOuts: 0,
  applies: 80,
  refused: 0,
  lockdowns: 0,
  denied: { sent: 100, arrived: 100, accepted: 0 },
  granted: { sent: 100, arrived: 100, accepted: 100 },
};

test('kills: lock-outs and generations that outlive their time count; kills that hit nothing are no figure', () => {
  assert.deepEqual(metOf(killFigures([kills], 40)), [true, true, null]);
  assert.deepEqual(metOf(killFigures([{ ...kills, stuck: 1 }], 40)), [false, true, null]);
  assert.deepEqual(metOf(killFigures([{ ...kills, denied: { sent: 100, arrived: 100, accepted: 1 } }], 40)), [
    true,
    false,
    null,
  ]);
  const tricks: readonly Partial<Kills>[] = [
    { kills: 39 },
    { leftDead: 0 },
    { unconfirmed: 0 },
    { refused: 40 },
    { granted: { sent: 100, arrived: 100, accepted: 0 } },
    { denied: { sent: 0, arrived: 0, accepted: 0 } },
  ];
  for (const trick of tricks) nothing(killFigures([{ ...kills, ...trick }], 40));
});

const denials: Denials = { sent: 100_000, seconds: 1, dropped: 100_000, received: 90_000, lost: 10_000 };

test('denials: one that is in no event and not counted as lost is seen; few denials are no figure', () => {
  assert.deepEqual(metOf(denialFigures([denials])), [true, true, null]);
  assert.deepEqual(metOf(denialFigures([{ ...denials, lost: 9_999 }])), [false, true, null]);
  nothing(denialFigures([{ ...denials, dropped: 99_999 }]));
  nothing(denialFigures([{ ...denials, sent: 10 }]));
  nothing(denialFigures([]));
});
