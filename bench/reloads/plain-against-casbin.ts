// The soak's own judge held against the reference: the plain rules and node-casbin over one policy.
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import { seededRandom } from '../../store/simulated-files.ts';
import { corpusModel } from '../decide/corpus.ts';
import { PolicyPool } from './policy-pool.ts';

export interface Agreement {
  readonly asked: number;
  readonly allowed: number;
  readonly differences: number;
}

export async function plainAgainstCasbin(lines: number, requests: number): Promise<Agreement> {
  const pool = new PolicyPool(lines, requests, seededRandom(3));
  const enforcer = await newEnforcer(newModelFromString(corpusModel), new StringAdapter(pool.csv));
  const plain = pool.requests.map((request) => pool.rules.allows(request));
  const theirs = pool.requests.map((request) => enforcer.enforceSync(...request));
  return {
    asked: plain.length,
    allowed: plain.filter(Boolean).length,
    differences: plain.filter((answer, at) => answer !== theirs[at]).length,
  };
}
