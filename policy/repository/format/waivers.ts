// waivers/*.yaml: exceptions from a lint rule, each with an owner and an end date.
import { z } from 'zod';
import { lintRules, type RuleId } from '../rules.ts';
import { id, until, worded } from './scalars.ts';

/** Rules that say an edge would refuse or misread the policy cannot be waived. */
const waivable = z
  .string()
  .refine((rule): rule is RuleId => Object.hasOwn(lintRules, rule) && lintRules[rule as RuleId].waivable, {
    message: 'expected a rule that docs/lint.md lists as waivable',
  });

const waiver = z
  .strictObject({
    id,
    rule: waivable,
    /** What it excuses: everything the rule says about one grant, ... */
    grant: id.optional(),
    /** ... or one interface, ... */
    interface: id.optional(),
    /** ... or at one place: a file, or one line of it. */
    at: worded(/^[^:\s]+(:[1-9][0-9]{0,6})?$/, 'a file of the repository or file:line').optional(),
    /** A person or team that answers for it. */
    owner: z.string().min(1).max(256),
    reason: z.string().min(1).max(1024),
    until,
  })
  .refine((entry) => [entry.grant, entry.interface, entry.at].filter((about) => about !== undefined).length === 1, {
    path: ['id'],
    message: 'expected one of grant: <id>, interface: <name> or at: <file:line> beside the rule',
  });

export const waiversSchema = z.strictObject({ waivers: z.array(waiver).default([]) });
