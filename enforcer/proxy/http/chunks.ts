// The chunked transfer coding (RFC 9112, section 7.1), followed byte by byte and not taken apart: what is forwarded is what
// came. Sizes are plain hexadecimal; extensions are read differently by too many, and nobody needs them.
import { maxChunkBytes, maxChunkSizeDigits, maxTrailerBytes } from './limits.ts';
import { readField } from './head.ts';

export interface Followed {
  /** Of the bytes given, those that belong to the body. */
  readonly used: number;
  /** Of these, the ones that are content. */
  readonly content: number;
  readonly done: boolean;
  readonly fault?: string;
}

export interface ChunkFollower {
  readonly follow: (bytes: Buffer) => Followed;
  /** In the middle of a size, a line's end or trailers, of which the rest has to come at once. */
  readonly isBetween: () => boolean;
}

type State = 'size' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'trailer-lf' | 'done';

const cr = 0x0d;
const lf = 0x0a;

/** @param trailers whether fields may follow the last chunk; those that would frame or identify never. */
export function followChunks(trailers: 'refused' | 'checked'): ChunkFollower {
  let state: State = 'size';
  let digits = 0;
  let size = 0;
  let line = '';
  let trailerBytes = 0;

  /** One byte outside of content; why it cannot be. */
  const step = (byte: number): string | undefined => {
    switch (state) {
      case 'size': {
        if (byte === cr && digits > 0) {
          state = 'size-lf';
          return undefined;
        }
        const value = hexDigit(byte);
        if (value === -1) return digits > 0 ? 'a chunk with an extension' : 'a chunk without a size';
        digits++;
        size = size * 16 + value;
        return digits > maxChunkSizeDigits || size > maxChunkBytes ? 'a chunk larger than any' : undefined;
      }
      case 'size-lf':
        if (byte !== lf) return bareCr;
        state = size === 0 ? 'trailer' : 'data';
        digits = 0;
        return undefined;
      case 'data-cr':
        if (byte !== cr) return 'a chunk that is longer than its size';
        state = 'data-lf';
        return undefined;
      case 'data-lf':
        if (byte !== lf) return bareCr;
        state = 'size';
        return undefined;
      case 'trailer':
        if (byte === cr) state = 'trailer-lf';
        else if (byte === lf) return 'a line that ends without CR';
        else if (trailers === 'refused') return 'trailers of a request';
        else if (++trailerBytes > maxTrailerBytes) return 'trailers longer than any';
        else line += String.fromCharCode(byte);
        return undefined;
      case 'trailer-lf': {
        if (byte !== lf) return bareCr;
        const why = line === '' ? undefined : trailerFault(line);
        state = line === '' ? 'done' : 'trailer';
        line = '';
        return why;
      }
      case 'data':
      case 'done':
        return undefined;
    }
  };

  return {
    follow(bytes) {
      let content = 0;
      let at = 0;
      while (at < bytes.length && state !== 'done') {
        if (state === 'data') {
          const taken = Math.min(size, bytes.length - at);
          size -= taken;
          content += taken;
          at += taken;
          if (size === 0) state = 'data-cr';
        } else {
          const why = step(bytes[at] ?? 0);
          if (why !== undefined) return { used: at, content, done: false, fault: why };
          at++;
        }
      }
      return { used: at, content, done: state === 'done' };
    },
    isBetween: () => (state === 'size' ? digits > 0 : state !== 'data' && state !== 'done'),
  };
}

const bareCr = 'CR without LF';

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** RFC 9110, 6.5.1: what says where a message ends, who is served and whom for stands in the head or nowhere. */
const forbidden =
  /^(?:content-length|transfer-encoding|host|connection|te|trailer|upgrade|set-cookie|authorization|content-.*)$/;

function trailerFault(line: string): string | undefined {
  const fields: string[] = [];
  const why = readField(line, fields);
  if (why !== undefined) return why;
  return forbidden.test(fields[0]?.toLowerCase() ?? '') ? 'a trailer that belongs into the head' : undefined;
}
