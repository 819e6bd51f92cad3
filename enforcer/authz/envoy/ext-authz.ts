// Envoy's external authorization API v3 (envoy.service.auth.v3.Authorization/Check), bytes in and bytes out, whatever carries
// them. Nothing comes from the client's headers.
import { type AuthzPorts, authorize } from '../authorize.ts';
import type { Question } from '../question.ts';
import { checkResponse, faultResponse } from './check-response.ts';
import { readCheckRequest } from './check-request.ts';
import { WireFault } from './wire-reader.ts';

/**
 * Answers one CheckRequest with one CheckResponse. What is no CheckRequest is denied. Never throws, never rejects.
 * `deadlineMs` is that of the call, on the clock of `performance.now()`.
 */
export function check(ports: AuthzPorts, message: Buffer, deadlineMs?: number): Uint8Array | Promise<Uint8Array> {
  try {
    const question = questionOf(message);
    const answer = authorize(ports, deadlineMs === undefined ? question : { ...question, deadlineMs });
    return answer instanceof Promise ? answer.then(checkResponse, () => faultResponse) : checkResponse(answer);
  } catch {
    return faultResponse;
  }
}

/** What cannot be read is asked as nobody's question, so that its denial is remembered like any other. */
function questionOf(message: Buffer): Question {
  try {
    return readCheckRequest(message);
  } catch (error) {
    const ambiguous = error instanceof WireFault ? error.message : 'unreadable';
    return { interface: '', operation: { protocol: 'port' }, peer: {}, connection: '', source: 'ext-authz', ambiguous };
  }
}
