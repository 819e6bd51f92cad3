// Denied requests, bounded: each is recorded as it came while they are few; a flood of one caller, or of callers who are many,
// becomes counts, so that whoever reaches the proxy cannot fill the spool and with it close the interfaces whose audit is durable.
import type { EmitEvent, NewEvent } from '../../../audit/spool/index.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { createRateLimit } from '../../../runtime/rate-limit.ts';
import { type Counter, createCounters } from '../../event-window.ts';
import {
  allDenialsBurst,
  allDenialsPerSecond,
  denialBurst,
  denialsPerSecond,
  denialWindowMs,
  maxDistinctDenials,
  maxRecordedPath,
} from '../limits.ts';
import type { Judged, Question } from '../question.ts';
import { addressOf } from './connection.ts';
import { decisionEvent } from './decision-event.ts';

export interface Denials {
  /** Whether this one is recorded whole; if not, it has been counted. */
  readonly isRecorded: (question: Question, judged: Judged) => boolean;
  /** Counts a request of this interface that was refused before anybody looked at it. */
  readonly shed: (interfaceName: string) => void;
  /** Sends the counts of windows that have ended, or of all. */
  readonly flush: (all: boolean) => void;
}

/** A flood of one request of one caller. */
interface Flood {
  readonly address: string;
  readonly question: Question;
  readonly judged: Judged;
  readonly counter: Counter;
}

export function createDenials(emit: EmitEvent, clock: Clock, onLost: (error: unknown) => void): Denials {
  const limit = createRateLimit({ burst: denialBurst, perSecond: denialsPerSecond }, clock);
  // Addresses are free where there is IPv6, and so are subjects that a caller of AuthZEN asserts.
  const all = createRateLimit({ burst: allDenialsBurst, perSecond: allDenialsPerSecond }, clock);
  const counters = createCounters(emit, clock, denialWindowMs, onLost);
  /** By what differs most. A flood is found without making a key: that would cost more than all the rest. */
  const floods = new Map<string, Flood[]>();
  let distinct = 0;
  const coarse = new Map<string, Counter>();

  const begin = (path: string, address: string, question: Question, judged: Judged): void => {
    const counter = counters.open(decisionEvent(question, judged), () => {
      const others = (floods.get(path) ?? []).filter((flood) => flood.counter !== counter);
      if (others.length === 0) floods.delete(path);
      else floods.set(path, others);
      distinct--;
    });
    floods.set(path, [...(floods.get(path) ?? []), { address, question, judged, counter }]);
    distinct++;
  };
  const beginCoarse = (key: string, event: NewEvent): void => {
    coarse.set(
      key,
      counters.open(event, () => coarse.delete(key)),
    );
  };

  return {
    isRecorded(question, judged) {
      const address = addressOf(question.connection);
      const path = pathOf(question);
      const flood = floods.get(path)?.find((open) => isAlike(open, address, question, judged));
      if (flood !== undefined) {
        flood.counter.further++;
        return false;
      }
      const { subject, decision } = judged;
      // Subjects are ids, and hold no line feed.
      if (limit.take(`${subject}\n${address}`) === 0 && all.take('') === 0) return true;
      if (distinct < maxDistinctDenials && path.length <= maxRecordedPath) {
        begin(path, address, question, judged);
        return false;
      }
      // What stands for many different requests names none of them, and nothing that is not of the bundle.
      const named = decision.reason === 'unknown-interface' ? '' : question.interface;
      const wanted = `${subject}\n${decision.reason}\n${named}`;
      const isNamed = coarse.has(wanted) || coarse.size < maxDistinctDenials;
      // Beyond the bound by reason alone, and there are only so many of those.
      const key = isNamed ? wanted : `\n${decision.reason}\n`;
      const open = coarse.get(key);
      if (open !== undefined) open.further++;
      else {
        const data = isNamed ? coarseData(named, subject, question, judged) : coarseData('', '', question, judged);
        beginCoarse(key, { ...decisionEvent(question, judged), data });
      }
      return false;
    },
    shed(name) {
      // Beyond the bound under no name.
      const known = coarse.has(`overload\n${name}`) || coarse.size < maxDistinctDenials ? name : '';
      const key = `overload\n${known}`;
      const open = coarse.get(key);
      if (open !== undefined) open.further++;
      else beginCoarse(key, shedEvent(known));
    },
    flush: (all) => counters.flush(all),
  };
}

const pathOf = ({ operation }: Question): string =>
  operation.protocol === 'http' ? operation.path : operation.protocol === 'named' ? operation.name : '';

function isAlike(flood: Flood, address: string, question: Question, { subject, decision }: Judged): boolean {
  const { question: first, judged } = flood;
  return (
    flood.address === address &&
    judged.subject === subject &&
    judged.decision.reason === decision.reason &&
    judged.decision.rule === decision.rule &&
    first.interface === question.interface &&
    first.operation.protocol === question.operation.protocol &&
    (first.operation.protocol !== 'http' ||
      question.operation.protocol !== 'http' ||
      first.operation.method === question.operation.method)
  );
}

const coarseData = (name: string, subject: string, { source }: Question, { decision }: Judged): NewEvent['data'] => ({
  decision: 'deny',
  enforcement_point: source,
  interface: name,
  reason: decision.reason,
  subject,
});

function shedEvent(name: string): NewEvent {
  return {
    kind: 'authz',
    activity: 'deny',
    severity: 'medium',
    data: { decision: 'deny', interface: name, reason: 'overload', rule: '', subject: '' },
  };
}
