// node-casbin, asked as an application asks it: model and policy as text, enforceSync.
import { type Enforcer, newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import type { RequestValue } from './language.ts';
import type { Answer } from './spec.ts';

/** ipMatch prints patterns that are no address; standard output is for results. */
console.log = (): void => {};

export interface Reference {
  readonly answer: (request: readonly RequestValue[]) => Answer;
}

/** What it throws while it loads it would throw on every request. */
export async function openReference(model: string, policy: string): Promise<Reference> {
  let enforcer: Enforcer;
  try {
    // The adapter takes an empty text for a missing one.
    enforcer = await newEnforcer(newModelFromString(model), new StringAdapter(policy || '\n'));
  } catch {
    return { answer: () => 'error' };
  }
  return {
    answer: (request) => {
      try {
        return enforcer.enforceSync(...request) ? 'allow' : 'deny';
      } catch {
        return 'error';
      }
    },
  };
}
