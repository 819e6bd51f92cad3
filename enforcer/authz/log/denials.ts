// Denied requests as events, bounded: each is recorded as it came while they are few; a flood of one caller becomes
// counts, so that whoever reaches the proxy cannot fill the spool and with it close the interfaces whose audit is durable.
import type { EmitEvent, NewEvent } from '../../../audit/spool/index.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { createRateLimit } from '../../../runtime/rate-limit.ts';
import type { Task } from '../../../runtime/tasks.ts';
import { createEventWindow } from '../../event-window.ts';
import { denialBurst, denialsPerSecond, denialWindowMs, maxDistinctDenials } from '../limits.ts';

export interface Denials {
  /** Stands where `emit` would: what is allowed goes straight through. */
  readonly emit: EmitEvent;
  /** Sends the counts of windows that have ended; all of them when its signal aborts. */
  readonly task: Task;
}

export function boundDenials(emit: EmitEvent, clock: Clock, onLost: (error: unknown) => void): Denials {
  const limit = createRateLimit({ burst: denialBurst, perSecond: denialsPerSecond }, clock);
  const window = createEventWindow(emit, clock, denialWindowMs, maxDistinctDenials, onLost);
  return {
    async emit(event, durable) {
      const { decision, subject = '', interface: name = '', source_ip: source = '' } = event.data;
      if (decision !== 'deny' || limit.take(JSON.stringify([subject, source])) === 0) return await emit(event, durable);
      const { method = '', path = '', reason = '', rule = '' } = event.data;
      window.add({
        key: JSON.stringify([subject, source, name, method, path, reason, rule]),
        event: () => event,
        coarse: () => ({ key: JSON.stringify([subject, name, reason]), event: () => withoutRequest(event) }),
      });
    },
    async task(signal) {
      while (!signal.aborted) {
        await clock.sleep(denialWindowMs, signal).catch(() => undefined);
        window.flush(signal.aborted);
      }
    },
  };
}

/** What stands for many different requests names none of them. */
function withoutRequest(event: NewEvent): NewEvent {
  const { method: _, path: __, source_ip: ___, source_port: ____, ...data } = event.data;
  return { ...event, data };
}
