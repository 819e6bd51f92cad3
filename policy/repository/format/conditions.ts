// The conditions that grants and denies share: attributes as schema/ declares them, attestation, risk, time.
import { z } from 'zod';
import { weekdayNames } from '../../bundle/conditions.ts';
import { attestationClass, duration, timeWindow, worded } from './scalars.ts';

/** `subject.site`: where an attribute is, and its name in schema/. */
export const attributeReference = worded(
  /^(subject|resource|context)\.[a-z][a-z0-9._-]{0,63}$/,
  'an attribute such as subject.site, resource.line or context.shift',
);

const text = z.string().max(256);
const oneOrMore = z
  .union([text, z.array(text).min(1).max(32)])
  .transform((value): string[] => (typeof value === 'string' ? [value] : value));

const attributeTest = z.strictObject({
  equals: z.union([text, z.number(), z.boolean()]).optional(),
  in: z
    .array(z.union([text, z.number()]))
    .min(1)
    .max(256)
    .optional(),
  min: z.number().optional(),
  max: z.number().optional(),
  contains: oneOrMore.optional(),
  present: z.literal(true).optional(),
});

const shared = {
  attestation: z.array(attestationClass).min(1).optional(),
  timeWindow: timeWindow.optional(),
  weekdays: z.array(z.enum(weekdayNames)).min(1).optional(),
  attributes: z.record(attributeReference, attributeTest).optional(),
};
const percent = z.int().min(0).max(100);

/** Of a grant: all have to hold. */
export const grantConditions = z.strictObject({
  ...shared,
  attestationMaxAge: duration.optional(),
  maxRisk: percent.optional(),
});

/** Of a deny: it matches unless one surely does not hold. */
export const denyConditions = z.strictObject({
  ...shared,
  attestationOlderThan: duration.optional(),
  minRisk: percent.optional(),
});

/** Of a deny: the values to take where an attribute cannot be known. */
export const assume = z.record(attributeReference, z.union([text, z.number(), z.boolean(), z.array(text).max(256)]));

export type GrantConditionsEntry = z.infer<typeof grantConditions>;
export type DenyConditionsEntry = z.infer<typeof denyConditions>;
export type AssumeEntry = z.infer<typeof assume>;
