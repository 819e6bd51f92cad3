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
    const question = questionOf(message, ports);
    const answer = authorize(ports, deadlineMs === undefined ? question : { ...question, deadlineMs });
    return answer instanceof Promise ? answer.then(checkResponse, () => faultResponse) : checkResponse(answer);
  } catch {
    return faultResponse;
  }
}

/** What cannot be read is asked as nobody's question, so that its denial is remembered like any other. */
function questionOf(message: Buffer, { httpReads }: AuthzPorts): Question {
  try {
    const question = readCheckRequest(message);
    const reads = httpReads?.(question.interface);
    // Read once more, for few interfaces ask for what is left aside at first.
    return reads === undefined ? question : readCheckRequest(message, reads);
  } catch (error) {
    const ambiguous = error instanceof WireFault ? error.message : 'unreadable';
    return { interface: '', operation: { protocol: 'port' }, peer: {}, connection: '', source: 'ext-authz', ambiguous };
  }
}
