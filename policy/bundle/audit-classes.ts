// How fully a proxy records what it allows, for each class of messages of an interface. Denials are always recorded.
import { z } from 'zod';

/** One request in so many: a busy interface has thousands a second. */
export const MAX_SAMPLE = 1_000_000;

/** Classes of messages by protocol; of http the one that `allows` is about. */
export const auditClasses = {
  http: ['request'],
  modbus: ['read', 'write', 'other'],
  mqtt: ['connect', 'publish', 'subscribe', 'receive'],
  tls: ['connect'],
  port: [],
} as const satisfies Record<string, readonly string[]>;

/**
 * `all`: each on its own. `counted`: the first of each peer and operation in a minute, the others as a count. `sample`: one in
 * so many on its own, the others as if counted.
 */
export const auditLevelSchema = z.union([
  z.enum(['all', 'counted']),
  z.strictObject({ sample: z.int().min(2).max(MAX_SAMPLE) }),
]);
export type AuditLevel = z.infer<typeof auditLevelSchema>;

/** What an interface says; a class that is left out is `counted`. */
export const auditClassesSchema = z.partialRecord(
  z.enum([...new Set(Object.values(auditClasses).flat())] as [string, ...string[]]),
  auditLevelSchema,
);

interface Audited {
  readonly protocol: keyof typeof auditClasses;
  readonly allowsSampled?: number | undefined;
  readonly auditClasses?: Readonly<Partial<Record<string, AuditLevel>>> | undefined;
}

/** Of a class that the protocol does not have, everything. */
export function auditClassOf({ protocol, allowsSampled, auditClasses: said = {} }: Audited, name: string): AuditLevel {
  const known: readonly string[] = auditClasses[protocol];
  if (!known.includes(name)) return 'all';
  if (protocol !== 'http') return said[name] ?? 'counted';
  if (allowsSampled === undefined) return 'all';
  return allowsSampled === 0 ? 'counted' : { sample: allowsSampled };
}
