// Refusals as events, bounded: whoever knocks, with or without a certificate, must not be able to fill the log, which
// keeps everything. A few of each caller are recorded as they were; the rest is counted, and the count is recorded.
import type { EmitEvent, NewEvent } from '../../audit/spool/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { createRateLimit } from '../../runtime/rate-limit.ts';
import type { Logger } from '../../runtime/log.ts';

/** Refusals of one caller recorded at once after a rest, and each second from then on. */
const burst = 100;
const perSecond = 0.5;
/** Callers counted apart; those above share one count. */
const maxCallers = 1_000;
/** Callers without an identity are one: who floods chooses his address, his port and his token ids. */
export const nobody = '';

export interface Refusals {
  /** Never rejects. Resolves when it is recorded or counted. */
  tell(caller: string, event: NewEvent): Promise<void>;
  /** Records what was only counted; called periodically. Never rejects. */
  flush(): Promise<void>;
}

export function createRefusals(emit: EmitEvent, clock: Clock, log: Logger): Refusals {
  const limit = createRateLimit({ burst, perSecond, maxKeys: maxCallers }, clock);
  let counted = new Map<string, number>();

  async function record(event: NewEvent): Promise<void> {
    try {
      await emit(event);
    } catch (error) {
      log.error({ err: error, activity: event.activity }, 'a refusal could not be recorded');
    }
  }

  return {
    async tell(caller, event) {
      if (limit.take(caller) === 0) return await record(event);
      const key = counted.has(caller) || counted.size < maxCallers ? caller : nobody;
      counted.set(key, (counted.get(key) ?? 0) + 1);
    },
    async flush() {
      const all = counted;
      counted = new Map();
      for (const [caller, count] of all) {
        await record({
          kind: 'admin',
          activity: 'refuse',
          severity: 'medium',
          data: { ...(caller === nobody ? {} : { subject: caller }), count, message: `${count} refusals more` },
        });
      }
    },
  };
}
