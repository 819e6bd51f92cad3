// grants/*.yaml: who may use which operations of which interface, and the denies that beat every grant.
import { z } from 'zod';
import { attestationClass, binding, duration, id, selector, selectorOrAll, timeWindow, until } from './scalars.ts';

const conditions = z.strictObject({
  attestation: z.array(attestationClass).min(1).optional(),
  attestationMaxAge: duration.optional(),
  maxRisk: z.int().min(0).max(100).optional(),
  timeWindow: timeWindow.optional(),
});

const grant = z.strictObject({
  id,
  subjects: selector,
  interface: id,
  operations: z.array(id).min(1),
  binding: binding.default('svid'),
  conditions: conditions.default({}),
  until: until.optional(),
});

const deny = z.strictObject({
  id,
  subjects: selectorOrAll,
  interface: id,
  operations: z.union([z.literal('all'), z.array(id).min(1)]),
});

export const grantsSchema = z.strictObject({
  grants: z.array(grant).default([]),
  denies: z.array(deny).default([]),
});
