// detections/*.yml (Sigma) and playbooks/*.json (CACAO 2.0): carried as written. Here only what makes the file
// recognisable; the rooms that run them parse them completely.
import { z } from 'zod';
import { worded } from './scalars.ts';

export const detectionSchema = z
  .looseObject({
    title: z.string().min(1).max(256),
    id: z.string().min(1).max(64),
    level: z.enum(['informational', 'low', 'medium', 'high', 'critical']).optional(),
    logsource: z.looseObject({ product: z.string().optional(), service: z.string().optional() }).optional(),
    detection: z.looseObject({ condition: z.union([z.string(), z.array(z.string())]) }).optional(),
    correlation: z.looseObject({ type: z.string() }).optional(),
  })
  .refine((rule) => (rule.detection === undefined) !== (rule.correlation === undefined), {
    path: ['title'],
    message: 'expected a Sigma rule with either detection or correlation',
  });

export const playbookSchema = z.looseObject({
  type: z.literal('playbook'),
  spec_version: z.literal('cacao-2.0'),
  id: worded(/^playbook--[0-9a-f-]{36}$/, 'playbook--<uuid>'),
  name: z.string().min(1).max(256),
  workflow_start: z.string().min(1),
  workflow: z.record(z.string(), z.looseObject({ type: z.string() })),
});
