// Safety operations (an emergency stop) on faults of ours: asked again when the answer was a fault, when counts of use stood in
// the way, or when a record could not be kept. The engine is asked as past hard expiry, where nothing but class `safety` is left,
// so that policy denies what it denies; where the engine itself fails, a table answers.
import {
  type AccessRequest,
  type Decision,
  type Engine,
  type Fulfilment,
  type Reason,
  unusedUsage,
  type Usage,
} from '../../policy/engine/index.ts';
import { type Abilities, createDecide } from './decide.ts';
import type { Active } from './activate.ts';
import { compileSafetyTable, type SafetyTable } from './safety-table.ts';
import type { TrustedTime } from './trusted-clock.ts';

type Asking = Pick<Engine, 'decide' | 'decideOpened' | 'operationsOf'>;

export interface SafetyParts {
  readonly current: () => Active<Asking> | undefined;
  readonly time: () => TrustedTime;
  readonly island: () => boolean;
}

export interface Safety {
  /** The decision if the request is an operation of class `safety` and nothing else was open. Never throws. */
  decide(request: AccessRequest, fulfilment: Fulfilment, usage?: Usage): Decision;
  /**
   * The allow that takes the place of a denial for which something of ours is to blame, or undefined. `usage` are the counts
   * that would have been asked: a number of uses that is spent stays spent, a rate may have been taken by other requests.
   */
  spare(
    request: AccessRequest,
    because: Reason,
    abilities: Pick<Abilities, 'fulfilment' | 'usage'>,
  ): Decision | undefined;
  /** Whether the subject holds a grant of a safety operation there, conditions aside: who is always given room. */
  mayServe(subject: string, interfaceName: string): boolean;
}

export function createSafety({ current, time, island }: SafetyParts): Safety {
  const ask = createDecide(
    () => safetyAlone(current()),
    time,
    () => [],
    island,
  );
  const tables = new WeakMap<object, SafetyTable>();
  const tableOf = ({ bundle }: Active<Asking>): SafetyTable => {
    const known = tables.get(bundle) ?? compileSafetyTable(bundle.slice);
    tables.set(bundle, known);
    return known;
  };

  function decide(request: AccessRequest, fulfilment: Fulfilment, usage: Usage = unusedUsage): Decision {
    const answer = caught(() => ask(request, { usage, fulfilment }));
    if (answer.reason !== 'fault') return answer;
    try {
      return fromTable(current(), request) ?? answer;
    } catch {
      return answer;
    }
  }

  function fromTable(active: Active<Asking> | undefined, request: AccessRequest): Decision | undefined {
    if (active === undefined) return undefined;
    const { trusted, floor = 0 } = time();
    const context = {
      ...request.context,
      ...(trusted ? {} : { timeFloor: floor }),
      ...(island() ? { island: true as const } : {}),
    };
    const asked = { ...request, context };
    const found = tableOf(active).allows(asked, active.engine.operationsOf(asked));
    if (found === undefined) return undefined;
    const { rule, place, operation } = found;
    return { allow: true, reason: 'granted', rule, place, operation, bundle: active.bundle.digest };
  }

  return {
    decide,
    spare(request, because, { fulfilment, usage }) {
      const answer = decide(request, fulfilment, forgiving(usage));
      return answer.allow ? { ...answer, spared: because } : undefined;
    },
    mayServe(subject, interfaceName) {
      const active = current();
      return active !== undefined && tableOf(active).mayServe(subject, interfaceName);
    },
  };
}

function caught(ask: () => Decision): Decision {
  try {
    return ask();
  } catch {
    return { allow: false, reason: 'fault', rule: '', place: '', operation: '', bundle: '' };
  }
}

/** The same engine, past hard expiry: what is asked of it is what policy leaves then, and observe mode softens nothing. */
function safetyAlone(active: Active<Asking> | undefined): Active<Asking> | undefined {
  if (active === undefined) return undefined;
  const { engine } = active;
  return {
    ...active,
    engine: {
      decide: (request, _freshness, usage) => engine.decide(request, 'hard-expired', usage),
      decideOpened: engine.decideOpened,
      operationsOf: engine.operationsOf,
    },
  };
}

/** Takes nothing, and forgives what is not the doing of who asks. */
function forgiving({ look }: Usage): Usage {
  const forgive: Usage['look'] = (limit, subject, time) => {
    const answer = look(limit, subject, time);
    return answer === 'uses' ? answer : 'taken';
  };
  return { look: forgive, take: forgive };
}

/**
 * A decision as an enforcement point asks for it, with safety operations spared. What the counts of use say is heard here: a
 * denial for their sake is asked again.
 */
export function sparing(
  decide: (request: AccessRequest, abilities: Abilities) => Decision,
  safety: Pick<Safety, 'spare'>,
): (request: AccessRequest, abilities: Abilities) => Decision {
  return (request, abilities) => {
    let stopped = false;
    const hearing =
      (ask: Usage['look']): Usage['look'] =>
      (...use) => {
        const answer = ask(...use);
        stopped ||= answer === 'unavailable' || answer === 'rate';
        return answer;
      };
    const { usage } = abilities;
    const heard: Usage = { look: hearing(usage.look), take: hearing(usage.take) };
    const decision = caught(() => decide(request, { ...abilities, usage: heard }));
    if (decision.allow || !(decision.reason === 'fault' || (decision.reason === 'condition' && stopped)))
      return decision;
    return safety.spare(request, decision.reason, abilities) ?? decision;
  };
}
