// Challenges of one stream: which nonces await evidence, and which deadlines passed (RFC 9334 section 7, challenge/response).
import { distributionErrors } from '../errors.ts';
import { MAX_OUTSTANDING_CHALLENGES } from '../limits.ts';

interface Outstanding {
  readonly nonce: Uint8Array;
  readonly deadline: number;
  missed: boolean;
}

export interface Challenges {
  /** Remembers a challenge that was sent. `now` is monotonic milliseconds. */
  sent(nonce: Uint8Array, deadlineMs: number, now: number): void;
  /** Takes the challenge that this evidence answers. `late` when its deadline had passed; throws STREAM_CHALLENGE_UNKNOWN. */
  answered(nonce: Uint8Array, now: number): 'in-time' | 'late';
  /** Nonces whose deadline passed since the last call. */
  overdue(now: number): Uint8Array[];
  /** Milliseconds until the next deadline. */
  nextDeadlineInMs(now: number): number | undefined;
}

export function createChallenges(): Challenges {
  const outstanding = new Map<string, Outstanding>();
  return {
    sent(nonce, deadlineMs, now) {
      outstanding.set(hex(nonce), { nonce, deadline: now + deadlineMs, missed: false });
      for (const key of outstanding.keys()) {
        if (outstanding.size <= MAX_OUTSTANDING_CHALLENGES) break;
        outstanding.delete(key);
      }
    },
    answered(nonce, now) {
      const found = outstanding.get(hex(nonce));
      if (found === undefined) {
        throw distributionErrors.error('STREAM_CHALLENGE_UNKNOWN', 'the evidence answers no challenge of this stream');
      }
      outstanding.delete(hex(nonce));
      return found.missed || now > found.deadline ? 'late' : 'in-time';
    },
    overdue(now) {
      const passed = [...outstanding.values()].filter(({ deadline, missed }) => !missed && now > deadline);
      for (const challenge of passed) challenge.missed = true;
      return passed.map(({ nonce }) => nonce);
    },
    nextDeadlineInMs(now) {
      const deadlines = [...outstanding.values()].filter(({ missed }) => !missed).map(({ deadline }) => deadline);
      return deadlines.length === 0 ? undefined : Math.max(0, Math.min(...deadlines) + 1 - now);
    },
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
