// grants/*.yaml: who may use which operations of which interface, and the denies that beat every grant.
import { z } from 'zod';
import { assume, denyConditions, grantConditions } from './conditions.ts';
import { binding, id, notBefore, selector, selectorOrAll, until } from './scalars.ts';

const period = { notBefore: notBefore.optional(), until: until.optional() };
const isPeriod = (entry: { notBefore?: number | undefined; until?: number | undefined }): boolean =>
  entry.notBefore === undefined || entry.until === undefined || entry.notBefore < entry.until;
const noPeriod = { path: ['notBefore'], message: 'expected a start before the end' };

const grant = z
  .strictObject({
    id,
    subjects: selector,
    interface: id,
    operations: z.array(id).min(1),
    binding: binding.default('svid'),
    conditions: grantConditions.default({}),
    ...period,
  })
  .refine(isPeriod, noPeriod);

const deny = z
  .strictObject({
    id,
    subjects: selectorOrAll,
    interface: id,
    operations: z.union([z.literal('all'), z.array(id).min(1)]),
    conditions: denyConditions.optional(),
    assume: assume.optional(),
    ...period,
  })
  .refine(isPeriod, noPeriod)
  .refine((entry) => entry.assume === undefined || entry.conditions !== undefined, {
    path: ['assume'],
    message: 'expected assume only beside conditions',
  });

export const grantsSchema = z.strictObject({
  grants: z.array(grant).default([]),
  denies: z.array(deny).default([]),
});
