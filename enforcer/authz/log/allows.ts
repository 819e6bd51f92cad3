// Allowed requests of an interface whose policy has them sampled: one in so many is recorded whole, drawn by chance that no
// client can foresee; every other one is counted. An allow is in a record of its own or in exactly one count.
import type { EmitEvent, NewEvent } from '../../../audit/spool/index.ts';
import type { Decision } from '../../../policy/engine/index.ts';
import { createDraw } from '../../draw.ts';
import { maxDistinctAllows } from '../limits.ts';
import type { Judged, Question } from '../question.ts';

export interface Allows {
  /** Whether this one is recorded whole; if not, it has been counted. */
  readonly isRecorded: (question: Question, judged: Judged, oneIn: number) => boolean;
  /** Puts the counts on disk. What finds no place there stays for the next time. Never rejects. */
  readonly flush: () => Promise<void>;
}

/** `random`: unpredictable bytes, as node:crypto randomBytes. */
export function createAllows(
  emit: EmitEvent,
  random: (bytes: number) => Uint8Array,
  onLost: (error: unknown) => void,
): Allows {
  const draw = createDraw(random);
  let tally = new Tally();

  return {
    isRecorded(question, { subject, decision, limited }, oneIn) {
      if (isRemarkable(decision, limited) || (oneIn > 0 && draw(oneIn))) return true;
      tally.add(subject, question.interface, decision, 1);
      return false;
    },
    async flush() {
      const done = tally;
      if (done.size === 0) return;
      tally = new Tally();
      await Promise.all(
        done.entries().map(async (count) => {
          try {
            // On disk or not at all: a count that was dropped would be more than one event lost.
            await emit(countEvent(count), true);
          } catch (error) {
            tally.add(count.subject, count.interface, count.decision, count.requests);
            onLost(error);
          }
        }),
      );
    },
  };
}

/** Whoever looks for these finds each of them: obligations, limits of use, observe mode, and what no grant opened. */
const isRemarkable = ({ obligations, observed, rule }: Decision, limited = false): boolean =>
  limited || obligations !== undefined || observed !== undefined || !rule.startsWith('grant:');

interface Count {
  readonly subject: string;
  readonly interface: string;
  readonly decision: Decision;
  requests: number;
}

/** By rule, operation, interface, subject: texts that come with the policy first, so that most maps are small. */
class Tally {
  readonly #byRule = new Map<string, Map<string, Map<string, Map<string, Count>>>>();
  /** Above the bound by interface alone, and there are only those of the bundle. */
  readonly #coarse = new Map<string, Count>();
  #distinct = 0;

  get size(): number {
    return this.#distinct + this.#coarse.size;
  }

  add(subject: string, name: string, decision: Decision, requests: number): void {
    const known = this.#byRule.get(decision.rule)?.get(decision.operation)?.get(name)?.get(subject);
    // A count is of one bundle: the same rule may be another one in the next.
    if (known !== undefined && known.decision.bundle === decision.bundle) known.requests += requests;
    else this.#begin(subject, name, decision, requests, known !== undefined);
  }

  #begin(subject: string, name: string, decision: Decision, requests: number, changed: boolean): void {
    if (changed || decision.rule === '' || this.#distinct >= maxDistinctAllows) {
      const open = this.#coarse.get(name);
      if (open !== undefined) open.requests += requests;
      else this.#coarse.set(name, { subject: '', interface: name, decision: withoutRule(decision), requests });
      return;
    }
    this.#distinct++;
    const { rule, operation } = decision;
    const byName = inner(inner(inner(this.#byRule, rule), operation), name);
    byName.set(subject, { subject, interface: name, decision, requests });
  }

  entries(): Count[] {
    const exact = [...this.#byRule.values()]
      .flatMap((byOperation) => [...byOperation.values()])
      .flatMap((byName) => [...byName.values()])
      .flatMap((bySubject) => [...bySubject.values()]);
    return [...exact, ...this.#coarse.values()];
  }
}

function inner<K, V>(outer: Map<string, Map<K, V>>, key: string): Map<K, V> {
  const found = outer.get(key) ?? new Map<K, V>();
  outer.set(key, found);
  return found;
}

const withoutRule = (decision: Decision): Decision => ({ ...decision, rule: '', place: '', operation: '', bundle: '' });

function countEvent({ subject, interface: name, decision, requests }: Count): NewEvent {
  const { rule, place, operation, bundle } = decision;
  return {
    kind: 'authz',
    activity: 'allow',
    ...(bundle === '' ? {} : { bundle }),
    data: { count: requests, decision: 'allow', interface: name, operation, place, reason: 'granted', rule, subject },
  };
}
