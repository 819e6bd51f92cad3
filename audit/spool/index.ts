// What other rooms may use of the spool. The enforcer needs the event types and EmitEvent; bin/ opens the spool.
export { eventFields, eventKinds, eventSchema } from './event.ts';
export type { AuditEvent, EmitEvent, EventData, EventField, EventKind, NewEvent, NewEventData } from './event.ts';
export { emitTo } from './emit.ts';
export { openSpool } from './spool.ts';
export type { Appended, Spool, SpoolOptions, SpoolStatus } from './spool.ts';
export type { SpoolRecord } from './segment.ts';
export type { ChainHead } from './segments.ts';
export { defaultSpoolLimits } from '../limits.ts';
export type { SpoolLimits } from '../limits.ts';
