// edgeward.yaml: what holds for the whole trust domain.
import { z } from 'zod';
import { MAX_EXPIRY_MS, MIN_EXPIRY_MS } from '../../limits.ts';
import { duration, trustDomain } from './scalars.ts';

const expiry = duration.refine(
  (ms) => ms >= MIN_EXPIRY_MS && ms <= MAX_EXPIRY_MS,
  'expected a duration from 60s to 90d, such as 24h',
);

export const rootSchema = z
  .strictObject({
    format: z.literal(1),
    trustDomain,
    softExpiry: expiry.default(24 * 3_600_000),
    hardExpiry: expiry.default(7 * 24 * 3_600_000),
  })
  .refine((root) => root.softExpiry < root.hardExpiry, {
    path: ['hardExpiry'],
    message: 'expected a duration longer than softExpiry',
  });
