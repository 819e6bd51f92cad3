// One client of the proxy. Its frames are judged one by one, each at the moment it would be forwarded and never from
// memory; what is denied is answered here and the server sees none of it.
import type { Socket } from 'node:net';
import {
  type Asked,
  type Binding,
  type Decision,
  type Fulfilment,
  lookOnly,
  type Usage,
  withdrawn,
} from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { noRequestUsage, type RequestUsage, unrecorded } from '../request-usage.ts';
import type { Endpoint } from './endpoint.ts';
import type { ModbusLimits } from './limits.ts';
import { modbusFulfilment } from './modbus-events.ts';
import { createFrameReader, exceptionResponse, type ModbusFrame } from './modbus-frame.ts';
import { decodeRequest, type ModbusOperation } from './modbus-request.ts';
import { createUpstream, type Upstream } from './modbus-upstream.ts';

export interface ProxySubject {
  /** Device id; empty when the address belongs to nobody. */
  readonly id: string;
  readonly binding: Binding;
}

/** What a decision and an event know of the connection. */
export interface ConnectionInfo {
  readonly source: Endpoint;
  /** Where the client wanted to go. */
  readonly destination: Endpoint;
  readonly interface: string;
  readonly subject: ProxySubject;
}

export type Decide = (
  connection: ConnectionInfo,
  operation: ModbusOperation,
  abilities: {
    readonly usage: Usage;
    readonly fulfilment: Fulfilment;
    /** Hears what the engine was asked. */
    readonly heard: (asked: Asked) => void;
  },
) => Decision;

/** An answer, and what the engine was asked, where it was. */
export interface JudgedOperation {
  readonly operation: ModbusOperation;
  readonly decision: Decision;
  readonly asked?: Asked | undefined;
}

export interface ConnectionPorts {
  /** As it is now: whose address this is may change with the bundle. */
  readonly describe: () => ConnectionInfo;
  readonly decide: Decide;
  /** The counts of limited grants for one request. */
  readonly usage: () => RequestUsage;
  readonly connectUpstream: (destination: Endpoint) => Promise<Socket>;
  /** A promise where the record has to be on disk before the request goes on; rejecting it denies. */
  readonly onAllowed: (connection: ConnectionInfo, judged: JudgedOperation) => Promise<void> | undefined;
  readonly onDenied: (connection: ConnectionInfo, judged: JudgedOperation) => void;
  readonly onRefused: (connection: ConnectionInfo, why: string, operation?: ModbusOperation) => void;
  readonly onClosed: () => void;
  readonly clock: Clock;
  readonly limits: ModbusLimits;
}

export interface ModbusConnection {
  readonly describe: () => ConnectionInfo;
  /** Looks at what takes too long. */
  readonly tick: () => void;
  /** Ends both sides at once, with a reset. */
  readonly reset: () => void;
}

const isDenied = ({ decision }: JudgedOperation): boolean => !decision.allow;

const illegalFunction = 1;

/** Milliseconds for which one connection may judge without a turn for the others. */
const longestTurnMs = 20;

const fault: Decision = { allow: false, reason: 'fault', rule: '', place: '', operation: '', bundle: '' };

export function serveModbus(client: Socket, ports: ConnectionPorts): ModbusConnection {
  return new Connection(client, ports);
}

class Connection implements ModbusConnection {
  readonly #client: Socket;
  readonly #ports: ConnectionPorts;
  readonly #upstream: Upstream;
  readonly #reader = createFrameReader();
  readonly #queue: ModbusFrame[] = [];
  /** Of frames that are judged again when the server is there, or the disk has answered. */
  readonly #usages = new WeakMap<ModbusFrame, RequestUsage>();
  #garbage: string | undefined;
  /** A frame waits for its record to reach the disk. */
  #recording = false;
  #resting = false;
  #ended = false;
  /** Since when a frame is begun and not finished, and answers are not read. */
  #partialSince: number | undefined;
  #stalledSince: number | undefined;

  constructor(client: Socket, ports: ConnectionPorts) {
    this.#client = client;
    this.#ports = ports;
    this.#upstream = createUpstream({
      connect: () => ports.connectUpstream(this.describe().destination),
      onAnswer: (bytes) => this.#writeClient(bytes),
      onGarbage: (why) => this.#refuse(`answer of the server: ${why}`),
      onReady: () => this.#pump(),
      onEnd: () => this.#end(() => client.destroySoon()),
      clock: ports.clock,
      limits: ports.limits,
    });
    client.setNoDelay(true);
    client.setKeepAlive(true);
    client.on('data', (chunk: Buffer) => this.#receive(chunk));
    client.on('drain', () => this.#drained());
    client.on('error', () => this.#end());
    client.on('close', () => this.#end());
  }

  describe(): ConnectionInfo {
    return this.#ports.describe();
  }

  tick(): void {
    const { clock, limits } = this.#ports;
    const now = clock.monotonic();
    this.#upstream.expire();
    if (this.#partialSince !== undefined && now - this.#partialSince >= limits.frameTimeoutMs) {
      this.#refuse('a frame was begun and not finished');
    }
    if (this.#stalledSince !== undefined && now - this.#stalledSince >= limits.stallTimeoutMs) this.reset();
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#upstream.end(true);
    this.#end();
  }

  #receive(chunk: Buffer): void {
    const { frames, fault: garbage } = this.#reader.push(chunk);
    for (const frame of frames) this.#queue.push(frame);
    this.#garbage ??= garbage;
    if (!this.#reader.isPartial()) this.#partialSince = undefined;
    else if (frames.length > 0 || this.#partialSince === undefined) this.#partialSince = this.#ports.clock.monotonic();
    this.#pump();
  }

  /** Judges and forwards what is queued until something has to be waited for; then the client waits as well. */
  #pump(): void {
    const { clock } = this.#ports;
    const started = clock.monotonic();
    while (this.#queue.length > 0 && !this.#isBlocked()) {
      if (!this.#handle()) break;
      if (clock.monotonic() - started >= longestTurnMs) this.#rest();
    }
    if (this.#ended) return;
    if (this.#queue.length > 0 || this.#isBlocked()) this.#client.pause();
    else if (this.#garbage !== undefined) this.#refuse(this.#garbage);
    else this.#client.resume();
  }

  /** Lets others have the event loop: refused frames wait for nothing, and one chunk can hold thousands. */
  #rest(): void {
    this.#resting = true;
    setImmediate(() => {
      this.#resting = false;
      if (!this.#ended) this.#pump();
    });
  }

  #isBlocked(): boolean {
    return (
      this.#ended ||
      this.#resting ||
      this.#recording ||
      this.#client.writableNeedDrain ||
      this.#upstream.room() === 'wait'
    );
  }

  /** Handles the first frame of the queue; false when it has to stay there for now. */
  #handle(): boolean {
    const [frame] = this.#queue;
    if (frame === undefined) return false;
    const request = decodeRequest(frame.unit, frame.pdu);
    const connection = this.describe();
    if (request.kind === 'malformed') {
      this.#refuse(request.why);
      return false;
    }
    if (request.kind === 'illegal') {
      this.#ports.onRefused(connection, `illegal in the protocol, exception ${request.exception}`, request.operation);
      this.#answer(frame, request.exception);
      return true;
    }
    const judging = (usage: Usage) => request.operations.map((operation) => this.#judge(connection, operation, usage));
    const usage = this.#usageOf(frame);
    // The half of a request that is allowed takes no use when the other is denied.
    const refused = request.operations.length > 1 ? judging(lookOnly(usage)).find(isDenied) : undefined;
    const judged = refused === undefined ? judging(usage) : [refused];
    const denied = judged.find(isDenied);
    if (denied !== undefined) {
      this.#ports.onDenied(connection, denied);
      this.#answer(frame, illegalFunction);
      return true;
    }
    if (this.#upstream.room() === 'none') {
      // JudgedOperation again when the server is there: much can happen in between.
      this.#upstream.connect();
      return false;
    }
    this.#queue.shift();
    this.#pass(frame, connection, judged);
    return true;
  }

  #judge(connection: ConnectionInfo, operation: ModbusOperation, usage: Usage): JudgedOperation {
    try {
      let asked: Asked | undefined;
      const heard = (what: Asked): void => void (asked = what);
      const decision = this.#ports.decide(connection, operation, { usage, fulfilment: modbusFulfilment, heard });
      return { operation, decision, asked };
    } catch {
      return { operation, decision: fault };
    }
  }

  #usageOf(frame: ModbusFrame): RequestUsage {
    const usage = this.#usages.get(frame) ?? this.#ports.usage();
    this.#usages.set(frame, usage);
    return usage;
  }

  #answer(frame: ModbusFrame, exception: number): void {
    this.#queue.shift();
    this.#writeClient(exceptionResponse(frame, exception));
  }

  #pass(frame: ModbusFrame, connection: ConnectionInfo, request: readonly JudgedOperation[]): void {
    const [first] = request;
    if (first === undefined) throw new Error('a request has at least one operation');
    // One request is told once, and each thing that has to be done with it besides.
    const told = request.filter((judged, index) => index === 0 || judged.decision.obligations !== undefined);
    const records = told.flatMap((judged) => this.#ports.onAllowed(connection, judged) ?? []);
    const used = (this.#usages.get(frame) ?? noRequestUsage).recorded();
    if (records.length === 0 && used === undefined) this.#upstream.forward(frame);
    else void this.#passRecorded(frame, request, first, Promise.all(records), used);
  }

  async #passRecorded(
    frame: ModbusFrame,
    request: readonly JudgedOperation[],
    first: JudgedOperation,
    recorded: Promise<unknown>,
    used: Promise<boolean> | undefined,
  ): Promise<void> {
    this.#recording = true;
    const written = await recorded.then(
      () => true,
      () => false,
    );
    const counted = used === undefined || (await used);
    // Much can happen until the disk has answered: what is in force now decides.
    const connection = this.describe();
    // What cannot be remembered is not allowed where somebody asked for durable audit, or counts the uses.
    const denied = !written
      ? { ...first, decision: withdrawn(first.decision, 'fault') }
      : counted
        ? request.map((judged) => this.#judgeAgain(connection, judged, frame)).find(isDenied)
        : { ...first, decision: unrecorded(first.decision) };
    if (denied !== undefined) {
      this.#ports.onDenied(connection, denied);
      this.#writeClient(exceptionResponse(frame, illegalFunction));
    } else if (!this.#ended) this.#upstream.forward(frame);
    this.#recording = false;
    this.#pump();
  }

  /** A bundle that meanwhile asks for something else than was done has not got it. */
  #judgeAgain(connection: ConnectionInfo, before: JudgedOperation, frame: ModbusFrame): JudgedOperation {
    const judged = this.#judge(connection, before.operation, this.#usageOf(frame).settled);
    const same = JSON.stringify(judged.decision.obligations) === JSON.stringify(before.decision.obligations);
    return same || isDenied(judged) ? judged : { ...judged, decision: withdrawn(judged.decision, 'fault') };
  }

  #writeClient(bytes: Buffer): void {
    if (this.#ended || this.#client.write(bytes)) return;
    this.#stalledSince ??= this.#ports.clock.monotonic();
    this.#upstream.hold(true);
  }

  #drained(): void {
    this.#stalledSince = undefined;
    this.#upstream.hold(false);
    this.#pump();
  }

  /** Nobody knows where the next frame would begin, or who reads it how: the connection ends. */
  #refuse(why: string): void {
    if (this.#ended) return;
    this.#ports.onRefused(this.describe(), why);
    this.reset();
  }

  #end(closeClient?: () => void): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#queue.length = 0;
    closeClient?.();
    this.#upstream.end(false);
    this.#ports.onClosed();
  }
}
