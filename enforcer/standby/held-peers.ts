// Who goes on as before while the enforcer is dead, where policy says `hold`: peers that had an allowed flow when it died, at
// that interface, from that address, as that device. A peer that stays away is forgotten; so is everybody after a day.
import type { HeldPeer } from './beat.ts';
import { HELD_IDLE_MS, HELD_MS, MAX_HELD } from './limits.ts';

export interface HeldPeers {
  /** The enforcer died just now. */
  begin(peers: readonly HeldPeer[]): void;
  /** It is back. */
  end(): void;
  isHeld(peer: HeldPeer): boolean;
  /** Who has a connection now; they count as heard of. Called now and then. */
  seen(peers: readonly HeldPeer[]): void;
  count(): number;
}

/** `now`: monotonic milliseconds. */
export function createHeldPeers(now: () => number): HeldPeers {
  /** By peer, when it was last seen. */
  let held = new Map<string, number>();
  let since = -Infinity;
  const key = (peer: HeldPeer): string => JSON.stringify([peer.interface, peer.address, peer.subject]);
  const lives = (seenAt: number): boolean => now() - seenAt <= HELD_IDLE_MS && now() - since <= HELD_MS;
  return {
    begin(peers) {
      since = now();
      // Nobody has no rights that could go on.
      held = new Map(
        peers
          .filter(({ subject }) => subject !== '')
          .slice(0, MAX_HELD)
          .map((peer) => [key(peer), since]),
      );
    },
    end() {
      held = new Map();
      since = -Infinity;
    },
    isHeld(peer) {
      const seenAt = held.get(key(peer));
      return seenAt !== undefined && lives(seenAt);
    },
    seen(peers) {
      for (const peer of peers) {
        const seenAt = held.get(key(peer));
        if (seenAt !== undefined && lives(seenAt)) held.set(key(peer), now());
      }
      for (const [peer, seenAt] of held) if (!lives(seenAt)) held.delete(peer);
    },
    count: () => held.size,
  };
}
