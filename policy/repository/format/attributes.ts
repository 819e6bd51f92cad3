// schema/*.json: the attributes of subjects, resources and context: type, age, values, and what a missing one means.
import { z } from 'zod';
import { attributeNamePattern, attributeTypes } from '../../bundle/conditions.ts';
import { duration, worded } from './scalars.ts';

const attribute = z
  .strictObject({
    type: z.enum(attributeTypes),
    /**
     * `deny` is the only meaning there is: in a grant a missing attribute never holds, in a deny it counts as a match.
     * Said aloud so that a later choice is a visible change.
     */
    missing: z.literal('deny').default('deny'),
    /** A value known for longer, or without a date, counts as missing. */
    maxAge: duration.optional(),
    /** What a text, or each text of a list, may be; any other value counts as missing. */
    values: z.array(z.string().max(256)).min(1).max(256).optional(),
    /** Inclusive; a number outside counts as missing. */
    range: z
      .tuple([z.number(), z.number()])
      .refine(([least, most]) => least <= most, 'expected [smallest, largest]')
      .optional(),
    description: z.string().max(1024).optional(),
  })
  .refine(({ type, values }) => values === undefined || type === 'string' || type === 'strings', {
    path: ['values'],
    message: 'expected values only with type string or strings; a number has a range',
  })
  .refine(({ type, range }) => range === undefined || type === 'number' || type === 'integer', {
    path: ['range'],
    message: 'expected a range only with type number or integer',
  });

const attributes = z.record(worded(attributeNamePattern, 'an attribute name in lower case'), attribute);

export const attributesSchema = z.strictObject({
  subject: attributes.default({}),
  resource: attributes.default({}),
  context: attributes.default({}),
});
export type AttributeEntry = z.infer<typeof attribute>;
