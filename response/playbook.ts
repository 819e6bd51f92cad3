// CACAO 2.0 playbooks, the subset that Edgeward executes: start, action and end steps in a line; each action one command
// of type `edgeward` (OpenC2 verbs). What is not executed is refused when the policy is published, never skipped.
import { z } from 'zod';
import { responseErrors } from './errors.ts';
import { maxPlaybookSteps } from './limits.ts';

export const actions = ['contain', 'notify'] as const;
export type Action = (typeof actions)[number];

const commandSchema = z.strictObject({
  type: z.literal('edgeward'),
  /** OpenC2-like verb and target, e.g. `contain device`. */
  command: z.enum(['contain device', 'notify operators']),
  description: z.string().optional(),
});

const stepSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('start'), name: z.string().optional(), on_completion: z.string() }),
  z.strictObject({
    type: z.literal('action'),
    name: z.string().optional(),
    description: z.string().optional(),
    commands: z.array(commandSchema).length(1),
    agent: z.string().optional(),
    targets: z.array(z.string()).optional(),
    on_completion: z.string(),
  }),
  z.strictObject({ type: z.literal('end'), name: z.string().optional() }),
]);

const triggerSchema = z.strictObject({
  /** Rule ids of findings that start it; empty for any rule. */
  rules: z.array(z.string()),
  /** Finding levels that start it. */
  levels: z.array(z.enum(['informational', 'low', 'medium', 'high', 'critical'])).min(1),
});

const playbookSchema = z.looseObject({
  type: z.literal('playbook'),
  spec_version: z.literal('cacao-2.0'),
  id: z.string().regex(/^playbook--[0-9a-f-]{36}$/),
  name: z.string().min(1).max(256),
  workflow_start: z.string(),
  workflow: z.record(z.string(), stepSchema),
  playbook_extensions: z.record(z.string(), z.looseObject({})),
});

/** Key under `playbook_extensions` that holds our trigger. */
export const triggerExtension = 'extension-definition--6f1c3a52-9d0e-4b7e-8f47-0d5a3c2b1e90';

export interface Playbook {
  readonly id: string;
  readonly name: string;
  readonly rules: readonly string[];
  readonly levels: readonly string[];
  /** In order. */
  readonly actions: readonly Action[];
}

export function parsePlaybook(text: string, file: string): Playbook {
  const fail = (message: string): never => {
    throw responseErrors.error('RESPONSE_PLAYBOOK_INVALID', message, { place: { file } });
  };
  const parsed = playbookSchema.safeParse(parseJson(text, fail));
  if (!parsed.success) return fail(issueText(parsed.error));
  const playbook = parsed.data;
  const trigger = triggerSchema.safeParse(playbook.playbook_extensions[triggerExtension]);
  if (!trigger.success) return fail(`playbook_extensions.${triggerExtension}: ${issueText(trigger.error)}`);
  return {
    id: playbook.id,
    name: playbook.name,
    rules: trigger.data.rules,
    levels: trigger.data.levels,
    actions: walk(playbook.workflow_start, playbook.workflow, fail),
  };
}

function walk(
  start: string,
  workflow: Record<string, z.infer<typeof stepSchema>>,
  fail: (message: string) => never,
): Action[] {
  const found: Action[] = [];
  let at = start;
  for (let steps = 0; steps < maxPlaybookSteps; steps++) {
    const step = workflow[at] ?? fail(`workflow: no step "${at}"`);
    if (step.type === 'end') return found;
    if (step.type === 'action') found.push(step.commands[0]?.command === 'contain device' ? 'contain' : 'notify');
    at = step.on_completion;
  }
  return fail(`workflow: does not end within ${maxPlaybookSteps} steps`);
}

function parseJson(text: string, fail: (message: string) => never): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return fail(`not JSON: ${error instanceof Error ? error.message : ''}`);
  }
}

function issueText(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue === undefined ? 'malformed' : `${issue.path.join('.')}: ${issue.message}`;
}
