// What is remembered of a decision: one event in the spool, floods of denials as counts (denials.ts).
import type { EmitEvent, NewEvent } from '../../audit/spool/index.ts';
import type { Decision } from '../../policy/engine/index.ts';
import { asksFor, obligationsOf } from './obligations.ts';
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

function decisionEvent(question: Question, { subject, decision, message }: Judged): NewEvent {
  const { address, port } = splitConnection(question.connection);
  const { operation } = question;
  return {
    kind: 'authz',
    activity: decision.allow ? 'allow' : 'deny',
    severity: severityOf(decision),
    bundle: decision.bundle,
    data: {
      subject,
      interface: question.interface,
      operation: operation.protocol === 'named' ? operation.name : decision.operation,
      ...(operation.protocol === 'http'
        ? { method: operation.method.slice(0, 32), path: operation.path.slice(0, 2048) }
        : { protocol: operation.protocol }),
      decision: decision.allow ? 'allow' : 'deny',
      reason: decision.reason,
      rule: decision.rule,
      place: decision.place,
      source_ip: address,
      source_port: port,
      enforcement_point: question.source,
      ...(decision.condition === undefined ? {} : { condition: decision.condition }),
      ...(decision.obligations === undefined ? {} : { obligations: obligationsOf(decision) }),
      ...(decision.observed === undefined ? {} : { observed: decision.observed }),
      ...(message === '' ? {} : { message: message.slice(0, 256) }),
    },
  };
}

function severityOf(decision: Decision): 'info' | 'medium' | 'high' {
  if (!decision.allow) return 'medium';
  return asksFor(decision, 'notification') ? 'high' : 'info';
}

/** Splits `192.0.2.1:443` or `[2001:db8::1]:443`; an unknown connection gives an empty address and port 0. */
export function splitConnection(connection: string): { address: string; port: number } {
  const match = /^\[?([0-9a-fA-F:.]+?)\]?:(\d{1,5})$/.exec(connection);
  return match === null ? { address: '', port: 0 } : { address: match[1] ?? '', port: Number(match[2]) };
}
