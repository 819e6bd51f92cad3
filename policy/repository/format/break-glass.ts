// break-glass/*.yaml: what people may open for some minutes where no grant does, and whose approvals that takes.
import { z } from 'zod';
import { keyId, publicKeyFromJwk } from '../../../identity/index.ts';
import { MAX_BREAK_GLASS_MINUTES, MAX_BREAK_GLASS_USES, MIN_APPROVALS } from '../../bundle/slice.ts';
import { duration, id, selector } from './scalars.ts';

const minuteMs = 60_000;

const coordinate = z.string();
const key = z
  .strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate })
  .refine((jwk) => isPublicKey(jwk), 'expected a public P-256 key as edgeward break-glass key prints it');

function isPublicKey(jwk: unknown): boolean {
  try {
    publicKeyFromJwk(jwk);
    return true;
  } catch {
    return false;
  }
}

const approver = z.strictObject({ name: id, key });

const profile = z
  .strictObject({
    id,
    subjects: selector,
    interface: id,
    operations: z.array(id).min(1),
    binding: z.enum(['svid', 'port+mac+ip']).default('svid'),
    approvers: z
      .array(approver)
      .min(MIN_APPROVALS)
      .max(16)
      .refine(
        (all) =>
          new Set(all.map(({ name }) => name)).size === all.length &&
          new Set(all.map((one) => keyId(one.key))).size === all.length,
        'expected people with a name and a key of their own',
      ),
    approvals: z.int().min(MIN_APPROVALS).max(16).default(MIN_APPROVALS),
    maxDuration: duration.refine(
      (ms) => ms % minuteMs === 0 && ms <= MAX_BREAK_GLASS_MINUTES * minuteMs,
      `expected whole minutes, at most ${MAX_BREAK_GLASS_MINUTES}m`,
    ),
    uses: z.int().min(1).max(MAX_BREAK_GLASS_USES),
    generation: z.int().min(1),
    afterHardExpiry: z.boolean().default(false),
  })
  .refine(({ approvers, approvals }) => approvals <= approvers.length, {
    path: ['approvals'],
    message: 'expected no more approvals than there are approvers',
  });

export const breakGlassSchema = z.strictObject({ profiles: z.array(profile).min(1) });

/** Whole minutes of a parsed duration. */
export const minutesOf = (ms: number): number => ms / minuteMs;
