// Challenges: random, for one device on one connection, good once and for a minute. Memory is bounded; an entry stays
// a while after its use so that a replay is told from a stranger's guess.
import type { Clock } from '../../runtime/clock.ts';
import { attestError } from '../errors.ts';
import {
  CHALLENGE_GRACE_MS,
  CHALLENGE_TTL_MS,
  MAX_CHALLENGES,
  MAX_CHALLENGES_PER_DEVICE,
  NONCE_BYTES,
} from '../limits.ts';

export interface Challenge {
  readonly nonce: Buffer;
  /** Milliseconds that the device has to answer. */
  readonly deadlineMs: number;
}

interface Entry {
  readonly deviceId: string;
  readonly connection: string;
  /** Monotonic milliseconds. */
  readonly expires: number;
  used: boolean;
}

export interface Challenges {
  issue(deviceId: string, connection: string): Challenge;
  /** Uses up a challenge. Throws ATTEST_* when it is not this device's, on this connection, in time, for the first time. */
  redeem(nonce: Uint8Array, deviceId: string, connection: string): void;
}

export function createChallenges(
  clock: Pick<Clock, 'monotonic'>,
  random: (count: number) => Buffer,
  maxChallenges: number = MAX_CHALLENGES,
): Challenges {
  // In order of issue, hence of expiry.
  const entries = new Map<string, Entry>();
  const open = new Map<string, string[]>();

  function forget(key: string, entry: Entry): void {
    entries.delete(key);
    close(key, entry);
  }

  function close(key: string, { deviceId }: Entry): void {
    const left = (open.get(deviceId) ?? []).filter((other) => other !== key);
    if (left.length === 0) open.delete(deviceId);
    else open.set(deviceId, left);
  }

  /** Drops what expired a while ago; the map is in order of expiry. */
  function prune(now: number): void {
    for (const [key, entry] of entries) {
      if (now <= entry.expires + CHALLENGE_GRACE_MS) break;
      forget(key, entry);
    }
  }

  return {
    issue(deviceId, connection) {
      const now = clock.monotonic();
      prune(now);
      const mine = open.get(deviceId) ?? [];
      const oldest = mine.length >= MAX_CHALLENGES_PER_DEVICE ? mine[0] : undefined;
      const dropped = oldest === undefined ? undefined : entries.get(oldest);
      if (oldest !== undefined && dropped !== undefined) forget(oldest, dropped);
      if (entries.size >= maxChallenges) throw attestError('ATTEST_BUSY', `${entries.size} challenges are open`);
      const nonce = random(NONCE_BYTES);
      const key = nonce.toString('hex');
      if (nonce.length !== NONCE_BYTES || entries.has(key)) throw new Error('the source of randomness repeats itself');
      entries.set(key, { deviceId, connection, expires: now + CHALLENGE_TTL_MS, used: false });
      open.set(deviceId, [...(open.get(deviceId) ?? []), key]);
      return { nonce, deadlineMs: CHALLENGE_TTL_MS };
    },

    redeem(nonce, deviceId, connection) {
      const key = Buffer.from(nonce).toString('hex');
      const entry = entries.get(key);
      if (entry === undefined) throw attestError('ATTEST_NONCE_UNKNOWN', 'the evidence answers no challenge of ours');
      // Not used up: a stranger must not be able to spoil the challenge of the device it belongs to.
      if (entry.deviceId !== deviceId)
        throw attestError('ATTEST_DEVICE_MISMATCH', 'the challenge was for another device');
      if (entry.connection !== connection)
        throw attestError('ATTEST_NONCE_UNKNOWN', 'the challenge was for another connection');
      if (entry.used) throw attestError('ATTEST_NONCE_REPLAYED', 'the challenge was answered before');
      entry.used = true;
      close(key, entry);
      if (clock.monotonic() > entry.expires) throw attestError('ATTEST_EVIDENCE_LATE', 'the challenge is over');
    },
  };
}
