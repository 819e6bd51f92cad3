// When a rule holds: from a start date to an end date, on some days of the week, in a daily window. All UTC. The same
// answer for a request (conditions.ts) and for the kernel's timers (enforcer/firewall).
import { weekdayNames, type Weekday } from '../bundle/conditions.ts';
import { MAX_TIME_MS } from './limits.ts';

export interface Calendar {
  /** Milliseconds since the epoch; from `notBefore` on, and before `until`. */
  readonly notBefore?: number | undefined;
  readonly until?: number | undefined;
  /** Minutes of the day, end exclusive; from after to wraps over midnight; from equal to is never. */
  readonly timeWindow?: { readonly fromMinute: number; readonly toMinute: number } | undefined;
  /** Days on which the window begins; absent for all. */
  readonly weekdays?: readonly Weekday[] | undefined;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const dayMinutes = 1_440;
/** 1 January 1970 was a Thursday. */
const epochWeekday = 3;

/** Whether the daily window and the days of the week admit the time; the time has to be finite. */
export function inDailyWindow({ timeWindow, weekdays }: Calendar, time: number): boolean {
  const { fromMinute, toMinute } = timeWindow ?? { fromMinute: 0, toMinute: dayMinutes };
  const day = Math.floor(time / dayMs);
  const minute = Math.floor((time - day * dayMs) / minuteMs);
  if (fromMinute <= toMinute) return fromMinute <= minute && minute < toMinute && onWeekday(weekdays, day);
  if (minute >= fromMinute) return onWeekday(weekdays, day);
  return minute < toMinute && onWeekday(weekdays, day - 1);
}

function onWeekday(weekdays: readonly Weekday[] | undefined, day: number): boolean {
  if (weekdays === undefined) return true;
  const index = (((day + epochWeekday) % 7) + 7) % 7;
  return weekdays.some((name) => name === weekdayNames[index]);
}

export interface CalendarState {
  readonly open: boolean;
  /** When the answer changes next, milliseconds since the epoch; absent for never. */
  readonly changesAt?: number;
}

/** Open or closed at `now`, and the next moment at which that changes. */
export function calendarAt(calendar: Calendar, now: number): CalendarState {
  const { notBefore = -Infinity, until = Infinity } = calendar;
  // A time that is no date has no next change.
  if (!(Math.abs(now) <= MAX_TIME_MS) || now >= until) return { open: false };
  if (now < notBefore) {
    const opens = inDailyWindow(calendar, notBefore) ? notBefore : nextBoundary(calendar, notBefore, false);
    return opens < until ? changing(false, opens) : { open: false };
  }
  const open = inDailyWindow(calendar, now);
  const boundary = nextBoundary(calendar, now, open);
  if (open) return changing(true, Math.min(boundary, until));
  return boundary < until ? changing(false, boundary) : { open: false };
}

function changing(open: boolean, at: number): CalendarState {
  return at === Infinity ? { open } : { open, changesAt: at };
}

/** The first start or end of a window after `now` at which it is not `open` as now; Infinity when there is none. */
function nextBoundary(calendar: Calendar, now: number, open: boolean): number {
  const { fromMinute, toMinute } = calendar.timeWindow ?? { fromMinute: 0, toMinute: dayMinutes };
  const today = Math.floor(now / dayMs) * dayMs;
  // A week and a day see every boundary once.
  for (let day = 0; day <= 8; day++) {
    const minutes = fromMinute < toMinute ? [fromMinute, toMinute] : [toMinute, fromMinute];
    for (const minute of minutes) {
      const at = today + day * dayMs + minute * minuteMs;
      if (at > now && inDailyWindow(calendar, at) !== open) return at;
    }
  }
  return Infinity;
}
