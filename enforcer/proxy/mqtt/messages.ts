// Messages of the frame that ask for no decision.
import type { Message, Outcome } from '../protocol.ts';

/** Goes on, or is answered, without a question. */
export function passing(settle: () => Outcome): Message {
  return { ask: () => ({ kind: 'pass' }), settle };
}

/** Ends the connection; `back` is what the client hears before. */
export function closing(why: string, back?: Buffer): Message {
  return { ask: () => ({ kind: 'close', why, ...(back === undefined ? {} : { back }) }), settle: () => ({}) };
}

/** An outcome without what is undefined. */
export function outcome(parts: { readonly [Name in keyof Outcome]: Outcome[Name] | undefined }): Outcome {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}
