// What the frame of the proxies uses of a socket, in memory: delivers in the pieces given, waits while it is paused, and
// keeps what is written. Only for streams by the million; the same streams go over real sockets too.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

export class MemorySocket extends EventEmitter {
  readonly remoteAddress: string = '10.64.0.1';
  readonly remotePort: number = 40_000;
  readonly localAddress: string = '10.20.0.2';
  readonly localPort: number = 502;
  readonly writableNeedDrain: boolean = false;
  readonly writableLength: number = 0;
  bytesWritten = 0;
  isEnded = false;
  readonly #taken: (bytes: Buffer) => void;
  readonly #waiting: Buffer[] = [];
  readonly #gathered: Buffer[] = [];
  #paused = false;
  #corked = false;

  /** `taken` hears what is written. */
  constructor(taken: (bytes: Buffer) => void) {
    super();
    this.#taken = taken;
  }

  /** As the frame wants it. */
  get socket(): Socket {
    return this as unknown as Socket;
  }

  /** Delivered, and not read yet. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  deliver(chunk: Buffer): void {
    if (this.isEnded) return;
    if (this.#paused || this.#waiting.length > 0) this.#waiting.push(chunk);
    else this.emit('data', chunk);
  }

  write(bytes: Buffer): boolean {
    if (this.isEnded) return false;
    this.bytesWritten += bytes.length;
    if (this.#corked) this.#gathered.push(bytes);
    else this.#taken(bytes);
    return true;
  }

  pause(): this {
    this.#paused = true;
    return this;
  }

  resume(): this {
    if (!this.#paused) return this;
    this.#paused = false;
    if (this.#waiting.length > 0) queueMicrotask(() => this.#flush());
    return this;
  }

  end(bytes?: Buffer, ended?: () => void): this {
    if (bytes !== undefined) this.write(bytes);
    this.#close();
    ended?.();
    return this;
  }

  destroy(): this {
    this.#close();
    return this;
  }

  destroySoon(): void {
    this.#close();
  }

  resetAndDestroy(): this {
    this.#close();
    return this;
  }

  cork(): void {
    this.#corked = true;
  }

  uncork(): void {
    this.#corked = false;
    for (const bytes of this.#gathered.splice(0)) this.#taken(bytes);
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  #flush(): void {
    while (!this.#paused && !this.isEnded) {
      const chunk = this.#waiting.shift();
      if (chunk === undefined) return;
      this.emit('data', chunk);
    }
  }

  #close(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#waiting.length = 0;
    queueMicrotask(() => this.emit('close'));
  }
}
