// The attributes that a test gives to its request: `site: plant-a` and `subject.site: plant-a` are the same.
import { z } from 'zod';
import { duration } from './scalars.ts';

const value = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);

/** A value just known, or with `ago` one that is older. */
export const givenAttributes = z.record(z.string(), z.union([value, z.strictObject({ value, ago: duration })]));
export type GivenAttributes = z.infer<typeof givenAttributes>;
