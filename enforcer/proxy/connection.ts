// One client of a proxy and the server behind it, as two lanes: what the client sends is judged on its way to the server,
// and what the server sends on its way back.
import type { Socket } from 'node:net';
import type { SliceInterface } from '../../policy/bundle/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Endpoint } from './endpoint.ts';
import { createJudging, type Judging, type JudgingPorts } from './judging.ts';
import { createLane, type Lane } from './lane.ts';
import { KEEP_ALIVE_MS, LAST_WORDS_MS, MAX_BACKLOG_BYTES, type ProxyLimits } from './limits.ts';
import type { ConnectionInfo, Exchange, Outcome, Protocol, ProxyOperation } from './protocol.ts';
import { createUpstream, endNow, type Upstream } from './upstream.ts';

export interface ConnectionPorts extends JudgingPorts {
  readonly connectUpstream: (destination: Endpoint) => Promise<Socket>;
  /** The interface as the policy in force says; undefined without one. */
  readonly entry: () => SliceInterface | undefined;
  /** Neither a request that may be asked about, nor one that was denied. */
  readonly onRefused: (connection: ConnectionInfo, why: string, operation?: ProxyOperation) => void;
  readonly onClosed: () => void;
  readonly clock: Clock;
  readonly limits: ProxyLimits;
}

export interface Connection {
  readonly describe: () => ConnectionInfo;
  /** Looks at what takes too long, and at what the connection as such needs to be allowed. */
  readonly tick: () => void;
  /** Takes no further request, and ends when the answers under way are there. */
  readonly drain: () => void;
  /** Ends both sides at once, with a reset. */
  readonly reset: () => void;
}

export function serve(client: Socket, protocol: Protocol, ports: ConnectionPorts): Connection {
  return protocol.serve?.(client, ports) ?? new Proxied(client, protocol, ports);
}

/** Since when a side has taken nothing of what waits for it. */
interface Stall {
  taken: number;
  since: number;
}

class Proxied implements Connection {
  readonly #client: Socket;
  readonly #ports: ConnectionPorts;
  readonly #exchange: Exchange;
  readonly #judging: Judging;
  readonly #upstream: Upstream;
  readonly #requests: Lane;
  readonly #answers: Lane;
  #flowing = true;
  #gathering = false;
  /** Nothing more is read or judged; what was written may still be on its way. */
  #ended = false;
  #hasPlace = true;
  #draining = false;
  /** The server has heard the last of this connection. */
  #left = false;
  /** The server has ended; what it sent before is still on its way. */
  #serverEnded = false;
  #serverBroke = false;
  #clientStall: Stall | undefined;
  #serverStall: Stall | undefined;

  constructor(client: Socket, protocol: Protocol, ports: ConnectionPorts) {
    this.#client = client;
    this.#ports = ports;
    const { clock, limits, describe, entry } = ports;
    this.#judging = createJudging(ports);
    this.#exchange = protocol.open({
      connection: describe,
      entry,
      onDeny: () => entry()?.onDeny ?? 'answer',
      clock,
      limits,
    });
    this.#upstream = createUpstream({
      connect: () => ports.connectUpstream(describe().destination),
      onData: (chunk) => this.#receive(this.#answers, chunk),
      onRoom: () => this.#pumpBoth(),
      onEnd: (broken) => this.#serverEnd(broken),
      onGone: () => this.#leavePlace(),
    });
    const isEnded = (): boolean => this.#ended;
    const gather = (on: boolean): void => this.#gather(on);
    const common = { judging: this.#judging, isEnded, clock, gather };
    this.#requests = createLane({
      ...common,
      direction: this.#exchange.client,
      sink: () => this.#upstream.room(),
      dial: () => this.#upstream.dial(),
      isSourceStuck: () => client.writableNeedDrain,
      flow: (on) => this.#flow(on),
      perform: (outcome) => this.#perform(outcome, 'client'),
      onRefused: (why, operation) => ports.onRefused(describe(), why, operation),
      onFault: (why, back) => this.#refuse(why, back),
    });
    this.#answers = createLane({
      ...common,
      direction: this.#exchange.server,
      sink: () => (client.writableNeedDrain ? 'wait' : 'room'),
      dial: () => undefined,
      // Its answers are read while it takes no requests, or both would wait for each other.
      isSourceStuck: () => this.#upstream.pending() > MAX_BACKLOG_BYTES,
      flow: (on) => this.#upstream.flow(on),
      perform: (outcome) => this.#perform(outcome, 'server'),
      onRefused: (why, operation) => ports.onRefused(describe(), `answer of the server: ${why}`, operation),
      onFault: (why) => this.#refuse(`answer of the server: ${why}`),
    });
    client.setNoDelay(true);
    client.setKeepAlive(true, KEEP_ALIVE_MS);
    client.on('data', (chunk: Buffer) => this.#receive(this.#requests, chunk));
    client.on('drain', () => this.#pumpBoth());
    client.on('error', () => this.#end());
    client.on('close', () => {
      this.#end();
      this.#leavePlace();
    });
  }

  describe(): ConnectionInfo {
    return this.#ports.describe();
  }

  tick(): void {
    try {
      this.#look();
    } catch {
      this.#refuse('a fault of the proxy');
    }
  }

  #look(): void {
    const { clock, limits } = this.#ports;
    const now = clock.monotonic();
    if (!this.#ended && this.#isLate(this.#requests, now)) return this.#refuse('a message was begun and not finished');
    if (!this.#ended && this.#isLate(this.#answers, now))
      return this.#refuse('answer of the server: begun and not finished');
    this.#clientStall = stallOf(this.#clientStall, this.#client, now);
    this.#serverStall = stallOf(
      this.#serverStall,
      { writableLength: this.#upstream.pending(), bytesWritten: this.#upstream.taken() + this.#upstream.pending() },
      now,
    );
    const stalled = [this.#clientStall, this.#serverStall].some(
      (stall) => stall !== undefined && now - stall.since >= limits.stallTimeoutMs,
    );
    if (stalled) return this.reset();
    if (this.#ended) return;
    const late = this.#exchange.tick?.(now);
    if (late !== undefined) return this.#refuse(late);
    const standing = this.#exchange.standing?.() ?? [];
    for (const operation of standing) {
      const decision = this.#judging.look(operation);
      if (decision.allow) continue;
      this.#ports.onDenied(this.describe(), { operation, decision });
      return this.reset();
    }
    this.#pumpBoth();
    this.#endIfDrained();
  }

  drain(): void {
    this.#draining = true;
    this.#requests.stop();
    this.#flow(false);
    this.#endIfDrained();
  }

  reset(): void {
    this.#gather(false);
    endNow(this.#client);
    // What has ended has had its last words.
    this.#upstream.end(this.#ended || !this.#takeLeave());
    this.#end();
    this.#leavePlace();
  }

  #receive(lane: Lane, chunk: Buffer): void {
    lane.receive(chunk);
    // What one direction has taken in can be what the other has waited for.
    const other = lane === this.#requests ? this.#answers : this.#requests;
    if (!this.#ended && other.isHeld()) other.pump();
    this.#endIfDrained();
  }

  #pumpBoth(): void {
    this.#requests.pump();
    this.#answers.pump();
    if (this.#serverEnded) this.#endAfterServer();
  }

  #perform({ onward, back, close, done }: Outcome, from: 'client' | 'server'): void {
    if (this.#ended) return;
    const [forClient, forServer] = from === 'client' ? [back, onward] : [onward, back];
    if (forServer !== undefined) this.#upstream.write(forServer);
    if (forClient !== undefined) this.#client.write(forClient);
    done?.();
    if (close === 'reset') this.reset();
    else if (close === 'after') this.#end(() => this.#client.destroySoon());
  }

  #gather(on: boolean): void {
    if (this.#gathering === on) return;
    this.#gathering = on;
    this.#upstream.gather(on);
    if (on) this.#client.cork();
    else this.#client.uncork();
  }

  #flow(on: boolean): void {
    const flowing = on && !this.#draining;
    if (this.#flowing === flowing) return;
    this.#flowing = flowing;
    if (flowing) this.#client.resume();
    else this.#client.pause();
  }

  /** Nobody knows where the next message would begin, or who reads it how: the connection ends. */
  #refuse(why: string, back?: Buffer): void {
    if (this.#ended) return;
    // What was allowed before has gone on.
    this.#gather(false);
    this.#ports.onRefused(this.describe(), why);
    if (back === undefined) {
      this.reset();
      return;
    }
    // The client hears why; the server must not take half of anything for a whole.
    this.#upstream.end(!this.#takeLeave());
    this.#end(() => this.#client.end(back, () => this.#client.destroy()));
  }

  #isLate(lane: Lane, now: number): boolean {
    const since = lane.partialSince();
    return since !== undefined && now - since >= this.#ports.limits.frameTimeoutMs;
  }

  #serverEnd(broken: boolean): void {
    this.#serverEnded = true;
    this.#serverBroke = broken;
    this.#answers.pump();
    this.#endAfterServer();
  }

  /** An answer that broke off must not look like one that is whole: to some protocols the end of the connection is its end. */
  #endAfterServer(): void {
    if (!this.#answers.isEmpty()) return;
    if (this.#serverBroke && !this.#exchange.isIdle()) this.reset();
    else this.#end(() => this.#client.destroySoon());
  }

  #endIfDrained(): void {
    if (!this.#draining || this.#ended || !this.#exchange.isIdle() || !this.#answers.isEmpty()) return;
    this.#end(() => lastWords(this.#client, this.#ports.clock));
  }

  /** Whether the server is told something before the end; once. */
  #takeLeave(): boolean {
    if (this.#left || this.#serverEnded) return this.#left;
    this.#left = true;
    const words = this.#lastWords();
    if (words === undefined) return false;
    this.#upstream.write(words);
    return true;
  }

  #lastWords(): Buffer | undefined {
    try {
      return this.#exchange.farewell?.((operation) => this.#judging.look(operation).allow);
    } catch {
      return undefined;
    }
  }

  #end(closeClient?: () => void): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#requests.stop();
    this.#answers.stop();
    closeClient?.();
    this.#takeLeave();
    this.#upstream.end(false);
    this.#leavePlace();
  }

  /** Who ends and reads nothing has a place all the same: sockets that linger are bounded as the others, and can be reset. */
  #leavePlace(): void {
    if (!this.#hasPlace || !this.#ended || !this.#client.destroyed || !this.#upstream.isGone()) return;
    this.#hasPlace = false;
    this.#ports.onClosed();
  }
}

/** What it still sends is thrown away: a socket that is closed with bytes unread resets, and that can swallow the last answer. */
function lastWords(client: Socket, clock: Clock): void {
  client.end();
  client.resume();
  const ended = new AbortController();
  client.once('close', () => ended.abort());
  clock.sleep(LAST_WORDS_MS, ended.signal).then(
    () => client.destroy(),
    () => undefined,
  );
}

/** A side that takes anything at all is slow, and not stalled. */
function stallOf(
  before: Stall | undefined,
  { writableLength, bytesWritten }: Pick<Socket, 'writableLength' | 'bytesWritten'>,
  now: number,
): Stall | undefined {
  if (writableLength === 0) return undefined;
  const taken = bytesWritten - writableLength;
  return before !== undefined && before.taken === taken ? before : { taken, since: now };
}
