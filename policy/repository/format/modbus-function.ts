// A Modbus function as people write it: `write-single-register`, or its code 6.
import { z } from 'zod';
import { functionCodeOf, functionNames } from '../modbus-functions.ts';

/** Codes 128 and above are exception answers, never requests. */
export const modbusFunction = z.union([z.number(), z.string()]).transform((value, context): number => {
  const code = functionCodeOf(value);
  if (code !== undefined && Number.isInteger(code) && code >= 1 && code <= 127) return code;
  const message = `expected a Modbus function code from 1 to 127, or one of ${functionNames.join(', ')}`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
