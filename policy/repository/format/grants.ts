// grants/*.yaml: who may use which operations of which interface, and the denies that beat every grant.
import { z } from 'zod';
import {
  MAX_OBLIGATIONS,
  MAX_RATE_COUNT,
  MAX_RATE_WINDOW_MS,
  MAX_USES,
  obligationSchema,
} from '../../bundle/conditions.ts';
import { obligationName } from '../../engine/obligations.ts';
import { assume, denyConditions, grantConditions } from './conditions.ts';
import { binding, duration, id, notBefore, selector, selectorOrAll, until } from './scalars.ts';

const period = { notBefore: notBefore.optional(), until: until.optional() };
const isPeriod = (entry: { notBefore?: number | undefined; until?: number | undefined }): boolean =>
  entry.notBefore === undefined || entry.until === undefined || entry.notBefore < entry.until;
const noPeriod = { path: ['notBefore'], message: 'expected a start before the end' };

/** At most `count` allowed requests of each subject in any window of `per`. */
const rate = z.strictObject({
  count: z.int().min(1).max(MAX_RATE_COUNT),
  per: duration.refine((ms) => ms <= MAX_RATE_WINDOW_MS, 'expected a duration of at most 365d'),
});

const obligations = z
  .array(obligationSchema)
  .min(1)
  .max(MAX_OBLIGATIONS)
  .refine(
    (all) => new Set(all.map((entry) => obligationName(entry))).size === all.length,
    'expected each obligation once',
  );

const grant = z
  .strictObject({
    id,
    subjects: selector,
    interface: id,
    operations: z.array(id).min(1),
    binding: binding.default('svid'),
    conditions: grantConditions.default({}),
    ...period,
    rate: rate.optional(),
    uses: z.int().min(1).max(MAX_USES).optional(),
    obligations: obligations.optional(),
    workload: id.optional(),
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
