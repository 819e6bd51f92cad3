// Bytes of one direction as heads and pieces of bodies, whatever pieces they come in. Each part holds the bytes it was read
// from, so that what is forwarded is what was judged.
import { followChunks, type ChunkFollower } from './chunks.ts';
import { type Framing, type Head, readHead, type Reading } from './head.ts';
import { collectHead } from './head-bytes.ts';

export type Part<H> =
  | { readonly kind: 'head'; readonly bytes: Buffer; readonly head: H; /** No body follows. */ readonly last: boolean }
  /** `content`: octets without what the transfer coding adds. */
  | { readonly kind: 'body'; readonly bytes: Buffer; readonly content: number; readonly last: boolean }
  /** Nothing behind it is read. */
  | { readonly kind: 'fault'; readonly why: string };

export interface MessageReader<H> {
  readonly push: (chunk: Buffer) => Part<H>[];
  /** A head, a chunk's size or trailers are begun and not complete. */
  readonly isPartial: () => boolean;
  /** In the middle of a body. */
  readonly isInBody: () => boolean;
}

export interface Reads<H extends { readonly framing: Framing }> {
  readonly head: (head: Head) => Reading<H>;
  readonly trailers: 'refused' | 'checked';
}

type Body =
  | { readonly kind: 'length'; remaining: number }
  | { readonly kind: 'chunked'; readonly follower: ChunkFollower }
  | { readonly kind: 'until-close' };

export function createMessageReader<H extends { readonly framing: Framing }>(reads: Reads<H>): MessageReader<H> {
  const collector = collectHead();
  let body: Body | undefined;
  let faulty = false;

  const bodyOf = (framing: Framing): Body | undefined => {
    switch (framing.kind) {
      case 'none':
        return undefined;
      case 'length':
        return { kind: 'length', remaining: framing.bytes };
      case 'chunked':
        return { kind: 'chunked', follower: followChunks(reads.trailers) };
      case 'until-close':
        return { kind: 'until-close' };
    }
  };

  /** The next part, and how many bytes it took; none where more has to come. */
  const headPart = (piece: Buffer): { readonly part?: Part<H>; readonly used: number } => {
    const collected = collector.collect(piece);
    if (collected.kind === 'more') return { used: piece.length };
    if (collected.kind === 'fault') return failed(collected.why);
    const { bytes, used } = collected;
    const head = readHead(bytes.toString('latin1', 0, bytes.length - 4));
    const read = 'fault' in head ? head : reads.head(head.read);
    if ('fault' in read) return failed(read.fault);
    body = bodyOf(read.read.framing);
    return { part: { kind: 'head', bytes, head: read.read, last: body === undefined }, used };
  };

  const bodyPart = (piece: Buffer, within: Body): { readonly part: Part<H>; readonly used: number } => {
    if (within.kind === 'until-close') return { part: content(piece, piece.length, false), used: piece.length };
    if (within.kind === 'length') {
      const used = Math.min(within.remaining, piece.length);
      within.remaining -= used;
      if (within.remaining === 0) body = undefined;
      return { part: content(piece.subarray(0, used), used, within.remaining === 0), used };
    }
    const followed = within.follower.follow(piece);
    if (followed.fault !== undefined) return failed(followed.fault);
    if (followed.done) body = undefined;
    return { part: content(piece.subarray(0, followed.used), followed.content, followed.done), used: followed.used };
  };

  const failed = (why: string): { readonly part: Part<H>; readonly used: number } => {
    faulty = true;
    return { part: { kind: 'fault', why }, used: 0 };
  };

  return {
    push(chunk) {
      const parts: Part<H>[] = [];
      if (faulty) return parts;
      for (let at = 0; at < chunk.length;) {
        const piece = at === 0 ? chunk : chunk.subarray(at);
        const { part, used } = body === undefined ? headPart(piece) : bodyPart(piece, body);
        if (part !== undefined) parts.push(part);
        if (part?.kind === 'fault') break;
        at += used;
      }
      return parts;
    },
    isPartial: () =>
      !faulty && (body === undefined ? !collector.isEmpty() : body.kind === 'chunked' && body.follower.isBetween()),
    isInBody: () => body !== undefined,
  };
}

const content = (
  bytes: Buffer,
  octets: number,
  last: boolean,
): { kind: 'body'; bytes: Buffer; content: number; last: boolean } => ({
  kind: 'body',
  bytes,
  content: octets,
  last,
});
