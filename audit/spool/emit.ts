// A spool as an enforcement point sees it: a function that takes events.
import type { EmitEvent } from './event.ts';
import type { Spool } from './spool.ts';

export function emitTo(spool: Pick<Spool, 'append'>): EmitEvent {
  return async (event, durable) => {
    await spool.append(event, durable);
  };
}
