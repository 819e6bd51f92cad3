// Admission in front of every decision: who waits is bounded, in number and in time. Deciding takes microseconds and no
// turn; what takes time is the disk, where audit has to be durable or a use is counted, and who verifies evidence. What
// finds no room, or comes when its asker has given up, is denied with reason `overload`, at the cost of a count.
import type { Clock } from '../../runtime/clock.ts';
import { answerMarginMs, maxWaitingAnswers, maxWaitMs } from './limits.ts';
import type { Answer, Question } from './question.ts';

export interface Admission {
  /** Whether it is looked at; if not, it has been counted, and `overloaded` is the answer. */
  readonly admits: (question: Question) => boolean;
  /** The answer, or `overloaded` when it does not come in time. Never rejects. */
  readonly wait: (question: Question, answer: Promise<Answer>) => Promise<Answer>;
  /** Answers that are waited for, for how long the first of them (milliseconds, 0 without any), and all that were refused. */
  readonly status: () => { readonly waiting: number; readonly oldestMs: number; readonly shed: number };
}

export const overloaded: Answer = {
  subject: '',
  decision: { allow: false, reason: 'overload', rule: '', place: '', operation: '', bundle: '' },
};

/** `count` is told of each that was refused, with its interface. */
export function createAdmission(clock: Clock, count: (interfaceName: string) => void): Admission {
  // In the order in which they came. One enforcement point does not take the room of another; how much of it one
  // connection takes is bounded by what carries it.
  const waiting: Readonly<Record<Question['source'], Set<{ readonly since: number }>>> = {
    'ext-authz': new Set(),
    'forward-auth': new Set(),
    authzen: new Set(),
  };

  let refused = 0;
  const shed = (name: string): void => {
    refused++;
    count(name);
  };

  return {
    admits({ source, interface: name, deadlineMs }) {
      const late = deadlineMs !== undefined && clock.monotonic() >= deadlineMs - answerMarginMs;
      if (!late && waiting[source].size < maxWaitingAnswers) return true;
      shed(name);
      return false;
    },
    async wait({ source, interface: name, deadlineMs = Infinity }, answer) {
      const since = clock.monotonic();
      const place = { since };
      waiting[source].add(place);
      // The place is taken for as long as something is done for the question, answered or not.
      const done = answer.then(
        (given) => {
          waiting[source].delete(place);
          return given;
        },
        () => {
          waiting[source].delete(place);
          return overloaded;
        },
      );
      const ended = new AbortController();
      const patienceMs = Math.min(maxWaitMs, deadlineMs - answerMarginMs - since);
      const given = await Promise.race([done, clock.sleep(patienceMs, ended.signal).catch(() => undefined)]);
      ended.abort();
      if (given !== undefined) return given;
      shed(name);
      return overloaded;
    },
    status() {
      const all = Object.values(waiting);
      const now = clock.monotonic();
      const ages = all.flatMap((places) => [...places].slice(0, 1)).map(({ since }) => now - since);
      return { waiting: all.reduce((sum, { size }) => sum + size, 0), oldestMs: Math.max(0, ...ages), shed: refused };
    },
  };
}
