// One direction of a connection: its messages are judged one by one, in order, each at the moment it would be forwarded
// and never from memory. Whatever has to be waited for (the other side, the disk, an answer) makes the source wait too:
// nothing is read that there is no room for.
import type { Clock } from '../../runtime/clock.ts';
import { type Judging, toldOf } from './judging.ts';
import type { Direction, JudgedOperation, Message, Outcome, ProxyOperation } from './protocol.ts';

export interface LanePorts {
  readonly direction: Direction;
  readonly judging: Judging;
  /** Where messages go on to: `none` until it is dialled, `wait` while it takes nothing. */
  readonly sink: () => 'none' | 'wait' | 'room';
  /** Called with a message for a sink that is `none`. */
  readonly dial: () => void;
  /** The source has not read what was sent back. */
  readonly isSourceStuck: () => boolean;
  /** Whether the source may be read from. */
  readonly flow: (on: boolean) => void;
  readonly perform: (outcome: Outcome) => void;
  /** Several messages follow each other: what they write leaves together, when this is false again. */
  readonly gather: (on: boolean) => void;
  readonly onRefused: (why: string, operation?: ProxyOperation) => void;
  /** The direction cannot go on: an event, and the end of both sides. */
  readonly onFault: (why: string, back?: Buffer) => void;
  readonly isEnded: () => boolean;
  readonly clock: Clock;
}

export interface Lane {
  readonly receive: (chunk: Buffer) => void;
  /** Goes on with what waits. */
  readonly pump: () => void;
  readonly isEmpty: () => boolean;
  /** Its source is not read from: `pump` finds out whether it may be again. */
  readonly isHeld: () => boolean;
  /** Since when a message is begun and not finished, and its rest is read; monotonic milliseconds. */
  readonly partialSince: () => number | undefined;
  /** Takes no further message and no further byte. */
  readonly stop: () => void;
}

/** Milliseconds for which one lane may judge without a turn for the others. */
const longestTurnMs = 20;

export function createLane(ports: LanePorts): Lane {
  return new OneWay(ports);
}

class OneWay implements Lane {
  readonly #ports: LanePorts;
  /** Read and not yet forwarded; `#next` is the first that waits. */
  #queue: Message[] = [];
  #next = 0;
  #fault: string | undefined;
  /** A message waits for its record to reach the disk. */
  #recording = false;
  #resting = false;
  #pumping = false;
  #stopped = false;
  #held = false;
  #partialSince: number | undefined;

  constructor(ports: LanePorts) {
    this.#ports = ports;
  }

  receive(chunk: Buffer): void {
    if (this.#stopped) return;
    this.#guarded(() => this.#take(chunk));
    this.pump();
  }

  /** What a protocol throws ends its connection, and no other. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch {
      this.#ports.onFault('a fault of the proxy');
    }
  }

  #take(chunk: Buffer): void {
    const { direction, clock } = this.#ports;
    const { messages, fault } = direction.push(chunk);
    for (const message of messages) this.#queue.push(message);
    this.#fault ??= fault;
    if (!direction.isPartial()) this.#partialSince = undefined;
    else if (messages.length > 0 || this.#partialSince === undefined) this.#partialSince = clock.monotonic();
  }

  isEmpty(): boolean {
    return this.#next >= this.#queue.length && !this.#recording;
  }

  isHeld(): boolean {
    return this.#held;
  }

  partialSince(): number | undefined {
    return this.#held ? undefined : this.#partialSince;
  }

  stop(): void {
    this.#stopped = true;
    this.#queue = [];
    this.#next = 0;
  }

  pump(): void {
    if (this.#pumping || this.#ports.isEnded()) return;
    this.#guarded(() => this.#handleAll());
  }

  #handleAll(): void {
    const { clock, isEnded, flow, gather, onFault } = this.#ports;
    this.#pumping = true;
    const started = clock.monotonic();
    // One system call for all of them; a single one would only wait for longer.
    const several = this.#queue.length - this.#next > 1;
    if (several) gather(true);
    try {
      while (this.#hasNext() && !this.#isBlocked()) {
        if (!this.#handle()) break;
        if (clock.monotonic() - started >= longestTurnMs) this.#rest();
      }
    } finally {
      this.#pumping = false;
      if (several) gather(false);
    }
    if (isEnded()) return;
    if (!this.#hasNext()) {
      this.#queue = [];
      this.#next = 0;
    }
    const wasHeld = this.#held;
    this.#held = this.#hasNext() || this.#isBlocked();
    // The rest could not come while nobody read it.
    if (wasHeld && !this.#held && this.#partialSince !== undefined) this.#partialSince = clock.monotonic();
    if (this.#held) flow(false);
    else if (this.#fault !== undefined) onFault(this.#fault);
    else flow(!this.#stopped);
  }

  #hasNext(): boolean {
    return this.#next < this.#queue.length;
  }

  /** Lets others have the event loop: refused messages wait for nothing, and one chunk can hold thousands. */
  #rest(): void {
    this.#resting = true;
    setImmediate(() => {
      this.#resting = false;
      this.pump();
    });
  }

  #isBlocked(): boolean {
    const { isEnded, isSourceStuck, sink, direction } = this.#ports;
    return (
      isEnded() ||
      this.#resting ||
      this.#recording ||
      isSourceStuck() ||
      sink() === 'wait' ||
      direction.hasRoom?.() === false
    );
  }

  /** Handles the first message of the queue; false when it has to stay there for now. */
  #handle(): boolean {
    const message = this.#queue[this.#next];
    if (message === undefined) return false;
    const { judging, onRefused, onFault } = this.#ports;
    const ask = message.ask();
    switch (ask.kind) {
      case 'close':
        onFault(ask.why, ask.back);
        return false;
      case 'refuse':
        onRefused(ask.why, ask.operation);
        return this.#go(ask.outcome);
      case 'pass':
        return this.#go(message.settle([]));
      case 'operations': {
        const judged = judging.judge(message, ask);
        const outcome = message.settle(judged);
        if (this.#mustDial(outcome)) return false;
        const told = outcome.told ?? toldOf(judged);
        const waiting = judging.record(message, ask, judged, told);
        if (waiting === undefined) return this.#go(outcome);
        void this.#goRecorded(message, waiting);
        return false;
      }
    }
  }

  #go(outcome: Outcome): boolean {
    if (this.#mustDial(outcome)) return false;
    this.#next++;
    this.#ports.perform(outcome);
    return true;
  }

  /** Judged again when the other side is there: much can happen in between. */
  #mustDial({ onward }: Outcome): boolean {
    if (onward === undefined || this.#ports.sink() !== 'none') return false;
    this.#ports.dial();
    return true;
  }

  async #goRecorded(message: Message, waiting: Promise<readonly JudgedOperation[]>): Promise<void> {
    this.#recording = true;
    const judged = await waiting.catch(() => undefined);
    this.#recording = false;
    if (this.#ports.isEnded() || this.#stopped) return;
    this.#guarded(() => {
      if (judged === undefined) throw new Error('the verdict could not be asked for again');
      this.#next++;
      this.#ports.perform(message.settle(judged));
    });
    this.pump();
  }
}
