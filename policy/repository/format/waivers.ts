// waivers/*.yaml: exceptions from a lint rule, each with an owner and an end date.
import { z } from 'zod';
import { id, until } from './scalars.ts';

const waiver = z.strictObject({
  id,
  rule: z.literal('POLICY_WRITE_OVER_ADDRESS'),
  grant: id,
  /** A person or team that answers for it. */
  owner: z.string().min(1).max(256),
  reason: z.string().min(1).max(1024),
  until,
});

export const waiversSchema = z.strictObject({ waivers: z.array(waiver).default([]) });
