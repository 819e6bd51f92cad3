// What is remembered of a decision: an event in the spool, or a part of a count in one. Denials as they came until they are
// a flood (log/denials.ts), allows as the policy of the interface says (log/allows.ts).
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Task } from '../../runtime/tasks.ts';
import { allowWindowMs } from './limits.ts';
import { createAllows } from './log/allows.ts';
import { decisionEvent } from './log/decision-event.ts';
import { createDenials } from './log/denials.ts';
import type { Judged, Question } from './question.ts';

export interface DecisionLog {
  /** Takes note without waiting; what the spool drops it counts. Never throws. */
  readonly note: (question: Question, judged: Judged) => void;
  /** Resolves when it is on disk, rejects when it cannot be. A flood of denials is counted, and waits for nothing. */
  readonly keep: (question: Question, judged: Judged) => Promise<void>;
}

export interface CountingLog extends DecisionLog {
  /** Counts a request that was refused for want of room or time. */
  readonly shed: (interfaceName: string) => void;
  /** Sends counts every second. */
  readonly task: Task;
  /** Sends all counts, when nothing more is asked. */
  readonly close: () => Promise<void>;
}

export interface LogSettings {
  readonly clock: Clock;
  /** Unpredictable bytes, as node:crypto randomBytes. */
  readonly random: (bytes: number) => Uint8Array;
  /** Of an interface's allows one in so many is recorded whole; 0: none; undefined: all. */
  readonly allowsSampled: (interfaceName: string) => number | undefined;
  readonly onLost: (error: unknown) => void;
}

export function createDecisionLog(emit: EmitEvent, settings: LogSettings): CountingLog {
  const { clock, random, allowsSampled, onLost } = settings;
  const denials = createDenials(emit, clock, onLost);
  const allows = createAllows(emit, random, onLost);

  const isRecorded = (question: Question, judged: Judged): boolean => {
    if (!judged.decision.allow) return denials.isRecorded(question, judged);
    const oneIn = allowsSampled(question.interface);
    return oneIn === undefined || allows.isRecorded(question, judged, oneIn);
  };
  const flush = async (all: boolean): Promise<void> => {
    denials.flush(all);
    await allows.flush();
  };

  return {
    note(question, judged) {
      try {
        if (isRecorded(question, judged)) void emit(decisionEvent(question, judged)).catch(() => undefined);
      } catch (error) {
        // An event that cannot even be made is no reason to answer otherwise: nobody asked for it on disk.
        onLost(error);
      }
    },
    async keep(question, judged) {
      if (judged.decision.allow || denials.isRecorded(question, judged)) {
        await emit(decisionEvent(question, judged), true);
      }
    },
    shed: (name) => denials.shed(name),
    async task(signal) {
      while (!signal.aborted) {
        await clock.sleep(allowWindowMs, signal).catch(() => undefined);
        await flush(signal.aborted);
      }
    },
    close: () => flush(true),
  };
}
