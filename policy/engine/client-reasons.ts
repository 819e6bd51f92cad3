// What may be told to who was refused.
import type { Reason } from './request.ts';

/** A refused client learns that it may not, or that it may come back; which rule, which state and why are the operator's. */
export const clientReasons: Readonly<Record<Reason, string>> = {
  granted: 'allowed',
  'no-bundle': 'not available now',
  'hard-expired': 'not available now',
  'soft-expired': 'not available now',
  overload: 'not available now',
  standby: 'not available now',
  fault: 'not available now',
  state: 'not permitted',
  island: 'not available now',
  denied: 'not permitted',
  'no-grant': 'not permitted',
  condition: 'not permitted',
  binding: 'not permitted',
  casbin: 'not permitted',
  rego: 'not permitted',
  obligation: 'not permitted',
  'unknown-interface': 'not permitted',
  'unknown-operation': 'not permitted',
  ambiguous: 'not permitted',
};
