// The verdict on a message, and its record: each operation is asked about at the moment when the message would go on, and
// again when something had to be waited for. A fault of ours denies.
import { type Asked, type Decision, lookOnly, type Usage, withdrawn } from '../../policy/engine/index.ts';
import { noRequestUsage, type RequestUsage, unrecorded } from '../request-usage.ts';
import { proxyFulfilment } from './events.ts';
import {
  type Ask,
  type Decide,
  isDenied,
  type JudgedOperation,
  type Message,
  type ProxyOperation,
} from './protocol.ts';
import type { ConnectionInfo } from './protocol.ts';

export interface JudgingPorts {
  /** As it is now: whose address this is may change with the bundle. */
  readonly describe: () => ConnectionInfo;
  readonly decide: Decide;
  /** The counts of limited grants for one message. */
  readonly usage: () => RequestUsage;
  /** A promise where the record has to be on disk before the message goes on; rejecting it denies. */
  readonly onAllowed: (connection: ConnectionInfo, judged: JudgedOperation) => Promise<void> | undefined;
  readonly onDenied: (connection: ConnectionInfo, judged: JudgedOperation) => void;
}

type Operations = Extract<Ask, { kind: 'operations' }>;

export interface Judging {
  readonly judge: (message: Message, ask: Operations) => readonly JudgedOperation[];
  /** Records what is told of it. A promise of the verdicts as they are then, when something had to be waited for. */
  readonly record: (
    message: Message,
    ask: Operations,
    judged: readonly JudgedOperation[],
    told: readonly JudgedOperation[],
  ) => Promise<readonly JudgedOperation[]> | undefined;
  /** Whether one operation would be allowed now; takes no use. */
  readonly look: (operation: ProxyOperation) => Decision;
}

const fault: Decision = { allow: false, reason: 'fault', rule: '', place: '', operation: '', bundle: '' };

export function createJudging(ports: JudgingPorts): Judging {
  /** Of messages that are judged again when the server is there, or the disk has answered. */
  const usages = new WeakMap<Message, RequestUsage>();
  const usageOf = (message: Message): RequestUsage => {
    const usage = usages.get(message) ?? ports.usage();
    usages.set(message, usage);
    return usage;
  };

  const one = (connection: ConnectionInfo, operation: ProxyOperation, usage: Usage): JudgedOperation => {
    try {
      let asked: Asked | undefined;
      const heard = (what: Asked): void => void (asked = what);
      const decision = ports.decide(connection, operation, { usage, fulfilment: proxyFulfilment, heard });
      return { operation, decision, asked };
    } catch {
      return { operation, decision: fault };
    }
  };

  /** A bundle that meanwhile asks for something else than was done has not got it. */
  const again = (connection: ConnectionInfo, before: JudgedOperation, usage: Usage): JudgedOperation => {
    const judged = one(connection, before.operation, usage);
    const same = JSON.stringify(judged.decision.obligations) === JSON.stringify(before.decision.obligations);
    return same || isDenied(judged) ? judged : { ...judged, decision: withdrawn(judged.decision, 'fault') };
  };

  return {
    judge(message, { operations, combine }) {
      const connection = ports.describe();
      const usage = usageOf(message);
      const judging = (counts: Usage) => operations.map((operation) => one(connection, operation, counts));
      if (combine === 'each') return judging(usage);
      // The half of a message that is allowed takes no use when the other is denied.
      const refused = operations.length > 1 ? judging(lookOnly(usage)).find(isDenied) : undefined;
      const judged = refused === undefined ? judging(usage) : [refused];
      const denied = judged.find(isDenied);
      return denied === undefined ? judged : [denied];
    },
    record(message, ask, judged, told) {
      const connection = ports.describe();
      const records = told.flatMap((entry) => {
        if (!isDenied(entry)) return ports.onAllowed(connection, entry) ?? [];
        ports.onDenied(connection, entry);
        return [];
      });
      const usage = usages.get(message) ?? noRequestUsage;
      const used = usage.recorded();
      if (records.length === 0 && used === undefined) return undefined;
      return waitAndJudge(Promise.all(records), used);

      async function waitAndJudge(
        recorded: Promise<unknown>,
        counting: Promise<boolean> | undefined,
      ): Promise<readonly JudgedOperation[]> {
        const written = await recorded.then(
          () => true,
          () => false,
        );
        const counted = counting === undefined || (await counting);
        // Much can happen until the disk has answered: what is in force now decides.
        const now = ports.describe();
        const asked = message.ask();
        const operations = asked.kind === 'operations' ? asked.operations : [];
        const settled = judged.map((was, index): JudgedOperation => {
          if (isDenied(was)) return was;
          const operation = operations[index];
          if (operation === undefined) return { ...was, decision: withdrawn(was.decision, 'fault') };
          const before = { ...was, operation };
          // What cannot be remembered is not allowed where somebody asked for durable audit, or counts the uses.
          if (!written) return { ...before, decision: withdrawn(before.decision, 'fault') };
          if (!counted) return { ...before, decision: unrecorded(before.decision) };
          return again(now, before, usage.settled);
        });
        const fallen = settled.filter((entry, index) => isDenied(entry) && !isDenied(judged[index] ?? entry));
        for (const entry of ask.combine === 'all' ? fallen.slice(0, 1) : fallen) ports.onDenied(now, entry);
        return ask.combine === 'all' && fallen[0] !== undefined ? [fallen[0]] : settled;
      }
    },
    look: (operation) => one(ports.describe(), operation, lookOnly(ports.usage())).decision,
  };
}

/** One message is told once, and each thing that has to be done with it besides; a denial alone. */
export function toldOf(judged: readonly JudgedOperation[]): readonly JudgedOperation[] {
  const denied = judged.find(isDenied);
  if (denied !== undefined) return [denied];
  return judged.filter((entry, index) => index === 0 || entry.decision.obligations !== undefined);
}
