// schema/*.json: the attributes of subjects, resources and context: type, and what a missing one means.
import { z } from 'zod';
import { worded } from './scalars.ts';

const attribute = z.strictObject({
  type: z.enum(['string', 'number', 'boolean', 'strings']),
  /** Missing always denies in this version; said aloud so that a later choice is a visible change. */
  missing: z.literal('deny').default('deny'),
  description: z.string().max(1024).optional(),
});

const attributes = z.record(worded(/^[a-z][a-z0-9._-]{0,63}$/, 'an attribute name in lower case'), attribute);

export const attributesSchema = z.strictObject({
  subject: attributes.default({}),
  resource: attributes.default({}),
  context: attributes.default({}),
});
export type AttributeType = z.infer<typeof attribute>['type'];
