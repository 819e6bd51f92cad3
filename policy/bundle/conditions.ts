// What a grant or a deny may ask of attributes and of time, as a slice carries it, and the schema of the attributes
// that its rules read (repository `schema/`).
import { z } from 'zod';

export const attributeSources = ['subject', 'resource', 'context'] as const;
export const attributeTypes = ['string', 'number', 'integer', 'boolean', 'strings'] as const;
/** ISO 8601 order; index 0 is Monday. */
export const weekdayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

export const attributeNamePattern: RegExp = /^[a-z][a-z0-9._-]{0,63}$/;

/** Characters of one text that a condition names. */
const text = z.string().max(256);
const attribute = { source: z.enum(attributeSources), name: z.string().regex(attributeNamePattern) };

export const sliceAttributeSchema = z.strictObject({
  ...attribute,
  type: z.enum(attributeTypes),
  /** A value known for longer, or that does not say since when, counts as missing. */
  maxAgeSeconds: z.int().positive().optional(),
  /** Of a string, or of each of `strings`: what it may be. */
  values: z.array(text).min(1).max(256).optional(),
  /** Of a number, inclusive. */
  range: z.tuple([z.number(), z.number()]).optional(),
});

/** Every operator that is there has to hold. */
export const attributeTestSchema = z.strictObject({
  ...attribute,
  equals: z.union([text, z.number(), z.boolean()]).optional(),
  in: z
    .array(z.union([text, z.number()]))
    .min(1)
    .max(256)
    .optional(),
  /** Inclusive. */
  min: z.number().optional(),
  max: z.number().optional(),
  /** All of them are in the list. */
  contains: z.array(text).min(1).max(32).optional(),
  present: z.literal(true).optional(),
});

/** When a rule holds. */
export const timeConditions = {
  /** Daily window, minutes of the UTC day, end exclusive; may wrap over midnight. */
  timeWindow: z.strictObject({ fromMinute: z.int().min(0).max(1439), toMinute: z.int().min(0).max(1440) }).optional(),
  /** UTC; of a window over midnight the day on which it begins. */
  weekdays: z.array(z.enum(weekdayNames)).min(1).optional(),
};

const shared = {
  /** Attestation classes, e.g. `["software", "tpm"]`. */
  attestation: z.array(z.string()).min(1).optional(),
  ...timeConditions,
  attributes: z.array(attributeTestSchema).min(1).max(64).optional(),
};

export const sliceConditionsSchema = z.strictObject({
  ...shared,
  attestationMaxAgeSeconds: z.int().positive().optional(),
  maxRisk: z.int().min(0).max(100).optional(),
});

/** Allowed requests in one window: what keeps the memory of a rate small. */
export const MAX_RATE_COUNT = 1_000;
/** Milliseconds of the longest window. */
export const MAX_RATE_WINDOW_MS = 365 * 86_400_000;
/** Allowed requests in all; more is no limit. */
export const MAX_USES = 1_000_000_000;
export const MAX_OBLIGATIONS = 16;

/** What the enforcement point has to do with an allow; an unknown one is refused with the bundle. */
export const obligationSchema = z.discriminatedUnion('id', [
  /** Recorded by itself and on disk before the request goes on. */
  z.strictObject({ id: z.literal('log') }),
  /** Recorded so that detection can tell somebody. */
  z.strictObject({ id: z.literal('notification') }),
  /** The subject proves itself again; `level` names how. */
  z.strictObject({ id: z.literal('step-up'), level: text.min(1) }),
  /** Known to the consumer by its name. */
  z.strictObject({ id: z.literal('custom'), name: z.string().regex(attributeNamePattern) }),
]);

/** A value for one attribute: what a deny assumes, what a self-test gives. */
export const attributeValueSchema = z.strictObject({
  ...attribute,
  value: z.union([text, z.number(), z.boolean(), z.array(text).max(256)]),
});

/** In a deny, what cannot be known counts as a match, unless it says what to assume. */
export const sliceDenyConditionsSchema = z.strictObject({
  ...shared,
  attestationOlderThanSeconds: z.int().positive().optional(),
  minRisk: z.int().min(0).max(100).optional(),
  assume: z.array(attributeValueSchema).min(1).optional(),
});

export type AttributeSource = (typeof attributeSources)[number];
export type AttributeType = (typeof attributeTypes)[number];
export type Weekday = (typeof weekdayNames)[number];
export type SliceAttribute = z.infer<typeof sliceAttributeSchema>;
export type Obligation = z.infer<typeof obligationSchema>;
export type NamedValue = z.infer<typeof attributeValueSchema>;
export type AttributeTest = z.infer<typeof attributeTestSchema>;
export type SliceConditions = z.infer<typeof sliceConditionsSchema>;
export type SliceDenyConditions = z.infer<typeof sliceDenyConditionsSchema>;
