// Collects the bytes of one head: everything up to its empty line. Ends at the first byte that cannot be right, so that
// garbage is not waited for.
import { maxHeadBytes } from './limits.ts';

export type Collected =
  /** `bytes` is the head with its empty line; `used` of the piece given belong to it. */
  | { readonly kind: 'head'; readonly bytes: Buffer; readonly used: number }
  | { readonly kind: 'more' }
  | { readonly kind: 'fault'; readonly why: string };

export interface HeadBytes {
  readonly collect: (piece: Buffer) => Collected;
  readonly isEmpty: () => boolean;
}

const tab = 0x09;
const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;
const del = 0x7f;

export function collectHead(): HeadBytes {
  /** What came before, at the front of a larger buffer: many small pieces cost no more than one large. */
  let held = Buffer.alloc(0);
  let length = 0;
  let lineBytes = 0;
  let afterCr = false;

  const keep = (piece: Buffer): void => {
    if (length + piece.length > held.length) {
      const larger = Buffer.allocUnsafe(Math.max(1_024, (length + piece.length) * 2));
      held.copy(larger, 0, 0, length);
      held = larger;
    }
    piece.copy(held, length);
    length += piece.length;
  };

  return {
    collect(piece) {
      const most = Math.min(piece.length, maxHeadBytes - length);
      for (let at = 0; at < most; at++) {
        const byte = piece[at] ?? 0;
        if (afterCr) {
          if (byte !== lf) return { kind: 'fault', why: 'CR without LF' };
          afterCr = false;
          if (lineBytes > 0) {
            lineBytes = 0;
            continue;
          }
          if (length + at < 2) return { kind: 'fault', why: 'an empty line before a message' };
          const rest = piece.subarray(0, at + 1);
          if (length === 0) return { kind: 'head', bytes: rest, used: at + 1 };
          keep(rest);
          const bytes = Buffer.from(held.subarray(0, length));
          length = 0;
          return { kind: 'head', bytes, used: at + 1 };
        }
        if (byte === cr) afterCr = true;
        else if (byte === lf) return { kind: 'fault', why: 'a line that ends without CR' };
        else if ((byte < space && byte !== tab) || byte === del)
          return { kind: 'fault', why: 'a control character in a head' };
        else lineBytes++;
      }
      if (most < piece.length) return { kind: 'fault', why: 'a head longer than any reader takes' };
      keep(piece);
      return { kind: 'more' };
    },
    isEmpty: () => length === 0,
  };
}
