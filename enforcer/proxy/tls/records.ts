// TLS records (RFC 8446, 5.1; RFC 5246, 6.2.1) told apart without being changed: whose first bytes came, and where they end.
import { MAX_EXPANSION_BYTES, MAX_FRAGMENT_BYTES } from './limits.ts';

export const recordTypes = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

/** A part of a record, as it came. */
export interface RecordPiece {
  readonly type: number;
  /** Of its fragment; empty where only the header came. */
  readonly fragment: Buffer;
  /** Its last part. */
  readonly ends: boolean;
  /** Bytes of the chunk up to the end of this piece. */
  readonly end: number;
}

export interface Records {
  /** `fault`: why the bytes behind the pieces are no record; for good. */
  push(chunk: Buffer): { readonly pieces: readonly RecordPiece[]; readonly fault: string | undefined };
  /** Between the first and the last byte of a record. */
  isPartial(): boolean;
}

const headerBytes = 5;

export function createRecords(): Records {
  const header = Buffer.alloc(headerBytes);
  let have = 0;
  /** Bytes of the fragment that are still to come. */
  let left = 0;
  let fault: string | undefined;

  return {
    push(chunk) {
      const pieces: RecordPiece[] = [];
      let at = 0;
      while (at < chunk.length && fault === undefined) {
        if (have < headerBytes) {
          const taken = chunk.copy(header, have, at, at + headerBytes - have);
          have += taken;
          at += taken;
          fault = faultOf(header.subarray(0, have));
          if (have < headerBytes || fault !== undefined) continue;
          left = header.readUInt16BE(3);
        }
        const fragment = chunk.subarray(at, at + left);
        at += fragment.length;
        left -= fragment.length;
        pieces.push({ type: header.readUInt8(0), fragment, ends: left === 0, end: at });
        if (left === 0) have = 0;
      }
      return { pieces, fault };
    },
    isPartial: () => have > 0,
  };
}

/** Looks at as many bytes of a header as there are: what cannot be one is not waited for. */
function faultOf(header: Buffer): string | undefined {
  const [type = 0, major = 3, minor = 1] = header;
  // RFC 5246, appendix E.2: the length with its highest bit set, then message type 1.
  if (type >= 0x80) return 'an SSLv2 hello, or no TLS';
  if (type < recordTypes.changeCipherSpec || type > recordTypes.applicationData) return `no TLS record: type ${type}`;
  if (major !== 3 || minor < 1 || minor > 4) return `a record of version ${major}.${minor}`;
  if (header.length < headerBytes) return undefined;
  const length = header.readUInt16BE(3);
  const isProtected = type === recordTypes.applicationData || type === recordTypes.handshake;
  if (length === 0) return 'an empty record';
  if (length > MAX_FRAGMENT_BYTES + (isProtected ? MAX_EXPANSION_BYTES : 0)) return `a record of ${length} bytes`;
  return undefined;
}
