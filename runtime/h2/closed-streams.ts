// What became of the streams that are closed (RFC 9113 section 5.1): frames that crossed our RST_STREAM are discarded, frames
// after the peer's own end are an error. Bounded: a stream is forgotten when a later one takes its place.
import { rememberedStreams } from './limits.ts';

const resetByUs = 0x8000_0000;

/** `reset`: we ended it. `ended`: the peer did. `unused`: never opened, and closed by a later one. */
export type Fate = 'reset' | 'ended' | 'unused' | 'forgotten';

export class ClosedStreams {
  readonly #slots = new Uint32Array(rememberedStreams);

  opened(streamId: number): void {
    this.#slots[slotOf(streamId)] = streamId;
  }

  reset(streamId: number): void {
    if (this.fateOf(streamId) !== 'forgotten') this.#slots[slotOf(streamId)] = (streamId | resetByUs) >>> 0;
  }

  /** Of a stream that is not open and not higher than the highest. */
  fateOf(streamId: number): Fate {
    const slot = this.#slots[slotOf(streamId)] ?? 0;
    const known = slot & ~resetByUs;
    if (known > streamId) return 'forgotten';
    if (known < streamId) return 'unused';
    return slot >= resetByUs ? 'reset' : 'ended';
  }
}

const slotOf = (streamId: number): number => (streamId >>> 1) % rememberedStreams;
