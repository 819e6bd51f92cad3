// The contract of a protocol proxy: bytes become messages, a message asks for operations, each operation gets a verdict,
// and the message settles what the verdicts mean: bytes that go on, bytes that go back, an end. The frame
// (connection.ts) does everything else: sockets, back-pressure, the decision, its record, timeouts.
import type { Socket } from 'node:net';
import type { EventKind, NewEventData } from '../../audit/spool/index.ts';
import type { SliceInterface } from '../../policy/bundle/index.ts';
import type { Asked, Binding, Decision, Fulfilment, Operation, Reason, Usage } from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Connection, ConnectionPorts } from './connection.ts';
import type { Endpoint } from './endpoint.ts';
import type { ProxyLimits } from './limits.ts';
import type { ProvenPeer } from './tls/termination.ts';

export interface ProxySubject {
  /** Device id; empty when nobody could be established. */
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
  /** Who has proven to be the subject by a certificate; absent where the address alone says who it is. */
  readonly peer?: ProvenPeer;
  /** Device whose address it comes from, where that is another than the certificate names: there is NAT. Empty for nobody's. */
  readonly addressOf?: string;
}

/** What one message may ask for; `named` is for who asks without a request. */
export type ProxyOperation = Exclude<Operation, { protocol: 'named' | 'port' }>;

export type Decide = (
  connection: ConnectionInfo,
  operation: ProxyOperation,
  abilities: {
    readonly usage: Usage;
    readonly fulfilment: Fulfilment;
    /** Hears what the engine was asked. */
    readonly heard: (asked: Asked) => void;
  },
) => Decision;

/** The allow of a safety operation instead of a denial for that reason, when something of ours is to blame; else undefined. */
export type Spare = (
  connection: ConnectionInfo,
  operation: ProxyOperation,
  because: Reason,
  abilities: { readonly usage: Usage; readonly fulfilment: Fulfilment },
) => Decision | undefined;

/** A verdict, and what the engine was asked, where it was. */
export interface JudgedOperation {
  readonly operation: ProxyOperation;
  readonly decision: Decision;
  readonly asked?: Asked | undefined;
}

export const isDenied = ({ decision }: JudgedOperation): boolean => !decision.allow;

export interface Outcome {
  /** Bytes for the other side. */
  readonly onward?: Buffer;
  /** Bytes for the side that the message came from. */
  readonly back?: Buffer;
  /** `after`: both sides end when what was written is out. `reset`: at once. */
  readonly close?: 'after' | 'reset';
  /** The verdicts to record. Default: the first denied one, else the first and those with obligations. */
  readonly told?: readonly JudgedOperation[];
  /** Called when the bytes are written and not before: what an exchange remembers of the message, it remembers here. */
  readonly done?: () => void;
}

export type Ask =
  /** Nothing to decide: a keep-alive, an answer to a request that was allowed. */
  | { readonly kind: 'pass' }
  /**
   * Each is judged at the moment of forwarding. `all`: one denied denies the message, and then no other takes a use of a
   * limited grant. `each`: the message goes on with what is left of it.
   */
  | { readonly kind: 'operations'; readonly operations: readonly ProxyOperation[]; readonly combine: 'all' | 'each' }
  /** Not to be asked at all, and recorded as refused; the connection stays. */
  | { readonly kind: 'refuse'; readonly why: string; readonly operation?: ProxyOperation; readonly outcome: Outcome }
  /** Nobody knows how the other side would read it: recorded as refused, both sides are reset. */
  | { readonly kind: 'close'; readonly why: string; readonly back?: Buffer };

export interface Message {
  /** May be called more than once: a message that waits is judged again. */
  ask(): Ask;
  /** Pure; what it changes, it changes in `done`. `judged` in the order asked, empty for `pass`; of `all`, only the denied one when one is. */
  settle(judged: readonly JudgedOperation[]): Outcome;
}

export interface Batch {
  readonly messages: readonly Message[];
  /** Why the bytes behind the messages cannot be any; for good. */
  readonly fault: string | undefined;
}

export interface Direction {
  /** Bytes in whatever pieces they come. */
  push(chunk: Buffer): Batch;
  /** True between the first and the last byte of a message: the rest has to come in time. */
  isPartial(): boolean;
  /** False while no further message may go on, e.g. until an answer has come. Default: always. */
  hasRoom?(): boolean;
}

/** One connection of a protocol, both ways. */
export interface Exchange {
  readonly client: Direction;
  readonly server: Direction;
  /** Nothing is under way that an end now would cut off. */
  isIdle(): boolean;
  /** Looks at what takes too long; a reason ends the connection. `nowMs` is monotonic. */
  tick?(nowMs: number): string | undefined;
  /**
   * The last bytes for the server of a connection that ends, whoever ends it, where an end alone would make the server do
   * something. `allows` looks at what is in force now.
   */
  farewell?(allows: (operation: ProxyOperation) => boolean): Buffer | undefined;
  /** What the connection lives on, or is under way on it; when one of them is no longer allowed, it ends. */
  standing?(): readonly ProxyOperation[];
}

export interface ExchangePorts {
  readonly connection: () => ConnectionInfo;
  /** The interface as the policy in force says; undefined without one. */
  readonly entry: () => SliceInterface | undefined;
  /** What a denied message gets. */
  readonly onDeny: () => 'answer' | 'close';
  readonly clock: Clock;
  readonly limits: ProxyLimits;
}

/** What is said of an operation in an event. */
export interface OperationRecord {
  /** Message class that the interface's audit levels know, e.g. `read`. */
  readonly class: string;
  readonly data: NewEventData;
  /** Parts that tell one denial from another within a window. */
  readonly key: readonly (string | number)[];
  /** A denial of it is of high severity: it would have changed something. */
  readonly changes: boolean;
}

export interface Protocol {
  readonly name: string;
  /**
   * Names of it under TLS (RFC 7301), the best first; when empty, whatever a client offers is ignored. Absent: TLS on its
   * interfaces is not ended here.
   */
  readonly alpn?: readonly string[];
  readonly kind: EventKind;
  /** One per connection. What connections of a listener share lives in the closure of whoever made the protocol. */
  open(ports: ExchangePorts): Exchange;
  record(operation: ProxyOperation): OperationRecord;
  /** Serves a connection in a way of its own, where bytes as two lanes do not do. Default: by the frame, with `open`. */
  serve?(client: Socket, ports: ConnectionPorts): Connection;
}
