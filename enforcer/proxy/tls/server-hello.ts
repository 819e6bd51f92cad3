// Watches what a server says until it has chosen: a HelloRetryRequest makes the client send a second ClientHello, which
// could name another server (RFC 8446, 4.1.4); after a ServerHello no further hello is taken in the clear.
import { createHash } from 'node:crypto';
import { type RecordPiece, recordTypes } from './records.ts';

export type ServerProgress =
  | { readonly kind: 'more' }
  /** A ServerHello: whatever follows is bound to it. */
  | { readonly kind: 'chosen' }
  | { readonly kind: 'refused'; readonly why: string };

export interface ServerHelloWatch {
  push(piece: RecordPiece): ServerProgress;
}

const serverHelloType = 2;
/** Header, version, random. */
const wantedBytes = 4 + 2 + 32;
/** RFC 8446, 4.1.3: its random says that a ServerHello is a HelloRetryRequest. */
const retryRandom = createHash('sha256').update('HelloRetryRequest').digest();

const more: ServerProgress = { kind: 'more' };
const refused = (why: string): ServerProgress => ({ kind: 'refused', why });

export function createServerHelloWatch(): ServerHelloWatch {
  const start = Buffer.alloc(wantedBytes);
  let have = 0;
  /** Bytes of the HelloRetryRequest that are still to come. */
  let skip = 0;
  let retried = false;

  const read = (fragment: Buffer): ServerProgress => {
    let rest = fragment;
    while (rest.length > 0) {
      const skipped = Math.min(skip, rest.length);
      skip -= skipped;
      rest = rest.subarray(skipped);
      const taken = rest.copy(start, have, 0, wantedBytes - have);
      have += taken;
      rest = rest.subarray(taken);
      if (have > 0 && start[0] !== serverHelloType)
        return refused(`handshake message ${start[0]} before a ServerHello`);
      if (have < wantedBytes) continue;
      if (!start.subarray(6).equals(retryRandom)) return { kind: 'chosen' };
      if (retried) return refused('two requests for another ClientHello');
      retried = true;
      skip = start.readUIntBE(1, 3) - (wantedBytes - 4);
      have = 0;
      if (skip < 0) return refused('a ServerHello that is too short');
    }
    return more;
  };

  return {
    push({ type, fragment }) {
      if (type === recordTypes.handshake) return read(fragment);
      // A server that does not know the name may say so and go on (RFC 6066, 3).
      if (type === recordTypes.alert || type === recordTypes.changeCipherSpec) return more;
      return refused(`a record of type ${type} before a ServerHello`);
    },
  };
}
