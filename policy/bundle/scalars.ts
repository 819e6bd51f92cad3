// The words that every part of a slice shares.
import { z } from 'zod';

/** Ids of devices, interfaces, operations and rules, in the repository as in the bundle. */
export const idPattern: RegExp = /^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/;
export const id: z.ZodString = z
  .string()
  .regex(idPattern, 'lower case letters, digits, dots, dashes; 1 to 64 characters');
/** `file:line` in the policy repository at the published commit. */
export const place: z.ZodString = z.string().max(512);
/** Inclusive range of 16-bit numbers. */
export const range: z.ZodTuple<[z.ZodInt, z.ZodInt], null> = z.tuple([
  z.int().min(0).max(65535),
  z.int().min(0).max(65535),
]);
