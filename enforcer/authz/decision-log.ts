// What is remembered of a decision: one event in the spool, floods of denials as counts (denials.ts).
import type { EmitEvent } from '../../audit/spool/index.ts';
import { decisionEvent } from './log/decision-event.ts';
import type { Judged, Question } from './question.ts';

export interface DecisionLog {
  /** Takes note without waiting; what the spool drops it counts. Never throws. */
  readonly note: (question: Question, judged: Judged) => void;
  /** Resolves when it is on disk, rejects when it cannot be. */
  readonly keep: (question: Question, judged: Judged) => Promise<void>;
}

export function createDecisionLog(emit: EmitEvent): DecisionLog {
  return {
    note(question, judged) {
      try {
        void emit(decisionEvent(question, judged)).catch(() => undefined);
      } catch {
        // An event that cannot even be made is no reason to answer otherwise: nobody asked for it on disk.
      }
    },
    async keep(question, judged) {
      await emit(decisionEvent(question, judged), true);
    },
  };
}
