// Header blocks of one connection: put together from their frames, bounded, decoded in order, remembered where that is safe.
import { HpackDecoder } from './hpack-decoder.ts';
import { KnownHeads } from './known-heads.ts';
import type { UnaryServerLimits } from './limits.ts';
import { ConnectionFault } from './protocol.ts';
import { HeadReader, type Malformed, type RefusalOf, type RequestHead } from './request-head.ts';

export interface HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

interface Partial {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly pieces: Buffer[];
  octets: number;
}

export class HeaderBlocks {
  readonly #limits: UnaryServerLimits;
  readonly #decoder = new HpackDecoder();
  readonly #reader: HeadReader;
  readonly #known = new KnownHeads();
  #partial: Partial | undefined;

  constructor(limits: UnaryServerLimits, refusalOf: RefusalOf) {
    this.#limits = limits;
    this.#reader = new HeadReader(limits.maxHeaderListBytes, refusalOf);
  }

  /** Between HEADERS and the CONTINUATION that ends its block. */
  get isInside(): boolean {
    return this.#partial !== undefined;
  }

  begin(streamId: number, endStream: boolean, bytes: Buffer, start: number, end: number): void {
    this.#partial = { streamId, endStream, pieces: [], octets: 0 };
    this.#add(this.#partial, bytes, start, end);
  }

  /** The whole block when it is complete. */
  proceed(streamId: number, isEnd: boolean, bytes: Buffer, start: number, end: number): HeaderBlock | undefined {
    const partial = this.#partial;
    if (partial === undefined || partial.streamId !== streamId) {
      throw new ConnectionFault('PROTOCOL_ERROR', `CONTINUATION on stream ${streamId} continues nothing`);
    }
    if (partial.pieces.length > this.#limits.maxContinuations) {
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'a header block over too many frames');
    }
    this.#add(partial, bytes, start, end);
    if (!isEnd) return undefined;
    this.#partial = undefined;
    const whole = Buffer.concat(partial.pieces);
    return { streamId, endStream: partial.endStream, bytes: whole, start: 0, end: whole.length };
  }

  #add(partial: Partial, bytes: Buffer, start: number, end: number): void {
    partial.octets += end - start;
    if (partial.octets > this.#limits.maxHeaderBlockBytes) {
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'a header block without end');
    }
    partial.pieces.push(Buffer.from(bytes.subarray(start, end)));
  }

  /** Our SETTINGS hold from now on. */
  acknowledged(): void {
    this.#decoder.limitTable(this.#limits.headerTableBytes);
  }

  head({ bytes, start, end }: HeaderBlock): RequestHead | Malformed {
    const canKnow = this.#decoder.isStateless;
    const known = canKnow ? this.#known.find(bytes, start, end) : undefined;
    if (known !== undefined) return known;
    this.#decoder.decode(bytes, start, end, this.#reader.begin(false));
    const head = this.#reader.head();
    if (canKnow && !('malformed' in head)) this.#known.keep(bytes, start, end, head);
    return head;
  }

  /** Also for blocks that nobody wants: the decoder has to see every one. */
  trailers({ bytes, start, end }: HeaderBlock): Malformed | undefined {
    this.#decoder.decode(bytes, start, end, this.#reader.begin(true));
    return this.#reader.trailers();
  }
}
