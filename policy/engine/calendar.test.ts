// Days, windows, start and end: one answer for requests and for the kernel's timers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { weekdayNames, type Weekday } from '../bundle/conditions.ts';
import { calendarAt, inDailyWindow, type Calendar } from './calendar.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** Sunday 22 November 2026, 00:00 UTC. */
const sunday = Date.UTC(2026, 10, 22);
const at = (day: number, hours: number, minutes = 0): number =>
  sunday + day * dayMs + (hours * 60 + minutes) * minuteMs;
const window = (from: number, to: number) => ({ timeWindow: { fromMinute: from * 60, toMinute: to * 60 } });

test('calendar: a weekday is that of UTC, before 1970 too', () => {
  const days: Weekday[] = [...weekdayNames];
  for (const [index, day] of days.entries()) {
    assert.equal(inDailyWindow({ weekdays: [day] }, at(index + 1, 12)), true, day);
    assert.equal(inDailyWindow({ weekdays: [day] }, at(index + 2, 0)), false, day);
    assert.equal(inDailyWindow({ weekdays: [day] }, at(index + 1 - 7_000 * 7, 12)), true, day);
  }
});

test('calendar: a window over midnight belongs to the day on which it begins', () => {
  const night: Calendar = { ...window(22, 6), weekdays: ['sun'] };
  assert.equal(inDailyWindow(night, at(0, 3)), false, 'began on Saturday');
  assert.equal(inDailyWindow(night, at(0, 23)), true);
  assert.equal(inDailyWindow(night, at(1, 5, 59)), true, 'began on Sunday');
  assert.equal(inDailyWindow(night, at(1, 6)), false);
  assert.equal(inDailyWindow(night, at(1, 23)), false);
});

test('calendar: says when the answer changes next', () => {
  const office: Calendar = { ...window(8, 17), weekdays: ['mon', 'fri'] };
  assert.deepEqual(calendarAt(office, at(0, 12)), { open: false, changesAt: at(1, 8) });
  assert.deepEqual(calendarAt(office, at(1, 8)), { open: true, changesAt: at(1, 17) });
  assert.deepEqual(calendarAt(office, at(1, 17)), { open: false, changesAt: at(5, 8) });
  assert.deepEqual(calendarAt({ ...office, until: at(1, 12) }, at(1, 8)), { open: true, changesAt: at(1, 12) });
  assert.deepEqual(calendarAt({ ...office, until: at(1, 12) }, at(1, 12)), { open: false });
  assert.deepEqual(calendarAt({ ...office, until: at(1, 7) }, at(0, 12)), { open: false });
  assert.deepEqual(calendarAt({ notBefore: at(1, 0) }, at(0, 12)), { open: false, changesAt: at(1, 0) });
  assert.deepEqual(calendarAt({ notBefore: at(1, 0), until: at(0, 20) }, at(0, 12)), { open: false });
  assert.deepEqual(calendarAt({ weekdays: [...weekdayNames] }, at(0, 12)), { open: true });
  assert.deepEqual(calendarAt({ ...window(10, 10) }, at(0, 12)), { open: false });
  assert.deepEqual(calendarAt({}, Number.NaN), { open: false });
  assert.deepEqual(calendarAt({}, 8.65e15), { open: false });
});

const calendar: fc.Arbitrary<Calendar> = fc.record(
  {
    timeWindow: fc.record({
      fromMinute: fc.integer({ min: 0, max: 1_439 }),
      toMinute: fc.integer({ min: 0, max: 1_440 }),
    }),
    weekdays: fc.subarray([...weekdayNames], { minLength: 1 }),
    notBefore: fc.integer({ min: at(0, 0) / minuteMs, max: at(9, 0) / minuteMs }).map((minute) => minute * minuteMs),
    until: fc.integer({ min: at(0, 0) / minuteMs, max: at(9, 0) / minuteMs }).map((minute) => minute * minuteMs),
  },
  { requiredKeys: [] },
);

/** Asked minute by minute, as a clock would. */
const openAt = (when: Calendar, time: number): boolean => {
  const date = new Date(time);
  const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
  const name = (day: Date): Weekday => weekdayNames[(day.getUTCDay() + 6) % 7] ?? 'mon';
  const { fromMinute, toMinute } = when.timeWindow ?? { fromMinute: 0, toMinute: 1_440 };
  const wraps = fromMinute > toMinute;
  const inside = wraps ? minute >= fromMinute || minute < toMinute : minute >= fromMinute && minute < toMinute;
  const began = wraps && minute < toMinute ? new Date(time - dayMs) : date;
  if (time < (when.notBefore ?? -Infinity) || time >= (when.until ?? Infinity)) return false;
  return inside && (when.weekdays?.includes(name(began)) ?? true);
};

test('calendar: between now and the next change the answer stays, and there it is another', () => {
  fc.assert(
    fc.property(calendar, fc.integer({ min: 0, max: 9 * 1_440 }), (when, minute) => {
      const now = sunday + minute * minuteMs;
      const { open, changesAt } = calendarAt(when, now);
      assert.equal(open, openAt(when, now));
      const end = changesAt ?? now + 16 * dayMs;
      for (let time = now; time < end; time += 7 * minuteMs) assert.equal(openAt(when, time), open, String(time));
      if (changesAt !== undefined) assert.notEqual(openAt(when, changesAt), open);
      if (changesAt !== undefined) assert.equal(openAt(when, changesAt - minuteMs), open);
    }),
    { numRuns: 400 },
  );
});
