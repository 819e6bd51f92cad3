// reference/*.yaml: accepted digests of executables, signed with the release and compared by the appraisal.
import { z } from 'zod';
import { idPattern } from '../../bundle/scalars.ts';
import { sha256, worded } from './scalars.ts';

const deviceOrAll = z
  .string()
  .refine((key) => key === '*' || idPattern.test(key), 'expected a device id, or "*" for every device');
/** Also `edgeward:program`, the enforcer itself (`edgeward attest measure` prints it). */
const path = worded(/^(\/.{1,511}|edgeward:program)$/, 'an absolute path, or edgeward:program');

export const referenceSchema = z.strictObject({
  executables: z.record(deviceOrAll, z.record(path, z.array(sha256).min(1))).default({}),
});
