// The verdict on a message, and its record: each operation is asked about at the moment when the message would go on, and
// again when something had to be waited for. A fault of ours denies.
import {
  type Asked,
  type Decision,
  lookOnly,
  type Reason,
  unusedUsage,
  type Usage,
  withdrawn,
} from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { noRequestUsage, type RequestUsage, unrecorded } from '../request-usage.ts';
import { proxyFulfilment } from './events.ts';
import { RECORD_MS, SAFETY_RECORD_MS } from './limits.ts';
import {
  type Ask,
  type Decide,
  isDenied,
  type JudgedOperation,
  type Message,
  type ProxyOperation,
  type Spare,
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
  /**
   * The allow that takes the place of a denial for which something of ours is to blame: of a safety operation that policy
   * grants. Default: none.
   */
  readonly spare?: Spare | undefined;
  readonly clock: Pick<Clock, 'sleep'>;
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
  /** Whether what was allowed before still is; its use was taken then. */
  readonly look: (operation: ProxyOperation) => Decision;
}

const fault: Decision = { allow: false, reason: 'fault', rule: '', place: '', operation: '', bundle: '' };

export function createJudging(ports: JudgingPorts): Judging {
  /** Of messages that are judged again when the server is there, or the disk has answered; one or two at a time. */
  const usages = new Map<Message, RequestUsage>();
  const usageOf = (message: Message): RequestUsage => {
    const known = usages.get(message);
    if (known !== undefined) return known;
    const usage = ports.usage();
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

  const spared = (
    connection: ConnectionInfo,
    { operation }: JudgedOperation,
    because: Reason,
    usage: Usage,
  ): Decision | undefined => {
    try {
      return ports.spare?.(connection, operation, because, { usage, fulfilment: proxyFulfilment });
    } catch {
      return undefined;
    }
  };

  return {
    judge(message, { operations, combine }) {
      const connection = ports.describe();
      const usage = usageOf(message);
      const [only] = operations;
      if (only !== undefined && operations.length === 1) return [one(connection, only, usage)];
      const judging = (counts: Usage) => operations.map((operation) => one(connection, operation, counts));
      if (combine === 'each') return judging(usage);
      // The half of a message that is allowed takes no use when the other is denied.
      const refused = judging(lookOnly(usage)).find(isDenied);
      const judged = refused === undefined ? judging(usage) : [refused];
      const denied = judged.find(isDenied);
      return denied === undefined ? judged : [denied];
    },
    record(message, ask, judged, told) {
      const connection = ports.describe();
      const records: Promise<void>[] = [];
      for (const entry of told) {
        const record = isDenied(entry) ? ports.onDenied(connection, entry) : ports.onAllowed(connection, entry);
        if (record !== undefined) records.push(record);
      }
      const usage = usages.get(message) ?? noRequestUsage;
      usages.delete(message);
      const used = usage.recorded();
      if (records.length === 0 && used === undefined) return undefined;
      return waitAndJudge(Promise.all(records), used);

      async function waitAndJudge(
        recorded: Promise<unknown>,
        counting: Promise<boolean> | undefined,
      ): Promise<readonly JudgedOperation[]> {
        const isSafety = judged.every((was) => isDenied(was) || spared(connection, was, 'fault', usage) !== undefined);
        const patience = isSafety ? SAFETY_RECORD_MS : RECORD_MS;
        const { written, counted } = await inTime(ports.clock, patience, recorded, counting);
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
          const lost = !written
            ? withdrawn(before.decision, 'fault')
            : counted
              ? undefined
              : unrecorded(before.decision);
          if (lost === undefined) return again(now, before, usage.settled);
          return { ...before, decision: spared(now, before, lost.reason, usage) ?? lost };
        });
        // What passes all the same is told as far as there is room; the spool counts what it has to drop.
        for (const entry of settled) if (entry.decision.spared !== undefined) void ports.onAllowed(now, entry);
        const fallen = settled.filter((entry, index) => isDenied(entry) && !isDenied(judged[index] ?? entry));
        for (const entry of ask.combine === 'all' ? fallen.slice(0, 1) : fallen) ports.onDenied(now, entry);
        return ask.combine === 'all' && fallen[0] !== undefined ? [fallen[0]] : settled;
      }
    },
    look: (operation) => one(ports.describe(), operation, unusedUsage).decision,
  };
}

/** A disk that neither writes nor fails is one that fails. */
async function inTime(
  clock: Pick<Clock, 'sleep'>,
  withinMs: number,
  recorded: Promise<unknown>,
  counting: Promise<boolean> | undefined,
): Promise<{ readonly written: boolean; readonly counted: boolean }> {
  const settled = new AbortController();
  const late = clock.sleep(withinMs, settled.signal).then(
    () => false,
    () => false,
  );
  const written = recorded.then(
    () => true,
    () => false,
  );
  const answer = {
    written: await Promise.race([written, late]),
    counted: counting === undefined || (await Promise.race([counting, late])),
  };
  settled.abort();
  return answer;
}

/** One message is told once, and each thing that has to be done with it besides; a denial alone. */
export function toldOf(judged: readonly JudgedOperation[]): readonly JudgedOperation[] {
  if (judged.length === 1) return judged;
  const denied = judged.find(isDenied);
  if (denied !== undefined) return [denied];
  return judged.filter((entry, index) => index === 0 || entry.decision.obligations !== undefined);
}
