// What is remembered of one connection: who it is, what its packet identifiers mean, its aliases and its subscriptions.
// Nothing of a verdict.
import type { SliceInterface } from '../../../policy/bundle/index.ts';
import { MAX_MQTT_UNACKNOWLEDGED } from '../limits.ts';
import type { ExchangePorts, ProxyOperation } from '../protocol.ts';
import { type AnswerOrder, createAnswerOrder } from './answer-order.ts';
import { encode } from './encode.ts';
import type { MqttVersion } from './packet.ts';
import { createSubscriptions, type Subscriptions } from './subscriptions.ts';

/** `opening`: no CONNECT went on yet; `connecting`: the server has not answered it. */
export type Phase = 'opening' | 'connecting' | 'open';

/** An account at the broker for a device, where it has one. */
export type LoginOf = (
  interfaceName: string,
  deviceId: string,
) => { readonly userName: string; readonly password: string } | undefined;

export class Session {
  readonly ports: ExchangePorts;
  readonly loginOf: LoginOf;
  phase: Phase = 'opening';
  /** Monotonic milliseconds: since when it is in this phase, and when the client last sent a packet or a part of one. */
  phaseSince: number;
  heard: number;
  version: MqttVersion = 4;
  clientId = '';
  userName: string | undefined;
  /** Seconds; 0 is none. The server may have set another than the client named. */
  keepAlive = 0;
  /** What it lives on: its CONNECT and its will, as they were judged; the server may publish that at any time. */
  standing: readonly ProxyOperation[] = [];
  /** What the server publishes when the connection ends without a DISCONNECT. */
  will: ProxyOperation | undefined;

  /** Of what the client publishes: the names behind its aliases, up to the number that it was told. */
  readonly aliases: Map<number, string> = new Map();
  aliasMaximum = 0;
  /** Bytes of the greatest packet that the server takes. */
  serverMaximum: number = Number.POSITIVE_INFINITY;

  /** What the client published and no answer is out for: PUBACK for QoS 1, PUBREC for QoS 2. */
  readonly acknowledged: AnswerOrder = createAnswerOrder();
  readonly received: AnswerOrder = createAnswerOrder();
  /** QoS 2 of the client that went on, until its PUBCOMP. */
  readonly exchanging: Set<number> = new Set();
  /** QoS 2 of the client that was refused with a PUBREC of ours: its PUBREL is answered here (3.1.1). */
  readonly releasing: Set<number> = new Set();
  /** QoS 2 of the server that was dropped with a PUBREC of ours: its PUBREL is answered here (3.1.1). */
  readonly dropped: Set<number> = new Set();

  readonly subscriptions: Subscriptions = createSubscriptions();

  #jsonOf: { readonly entry: SliceInterface; readonly wanted: boolean } | undefined;

  constructor(ports: ExchangePorts, loginOf: LoginOf) {
    this.ports = ports;
    this.loginOf = loginOf;
    this.phaseSince = ports.clock.monotonic();
    this.heard = this.phaseSince;
  }

  enter(phase: Phase): void {
    this.phase = phase;
    this.phaseSince = this.ports.clock.monotonic();
  }

  /** Whether the client may not begin anything new under this identifier (2.2.1). */
  isInUse(packetId: number): boolean {
    return (
      this.acknowledged.has(packetId) ||
      this.received.has(packetId) ||
      this.exchanging.has(packetId) ||
      this.releasing.has(packetId) ||
      this.subscriptions.isPending(packetId)
    );
  }

  hasTooMany(): boolean {
    const open = this.acknowledged.size() + this.received.size() + this.exchanging.size + this.releasing.size;
    return open >= MAX_MQTT_UNACKNOWLEDGED || this.dropped.size >= MAX_MQTT_UNACKNOWLEDGED;
  }

  /** Whether some operation of the interface bounds what is in a payload; parsing each for nothing would cost. */
  wantsJson(): boolean {
    const entry = this.ports.entry();
    if (entry === undefined) return false;
    if (this.#jsonOf?.entry !== entry) {
      const wanted = entry.operations.some((one) => one.protocol === 'mqtt' && one.json !== undefined);
      this.#jsonOf = { entry, wanted };
    }
    return this.#jsonOf.wanted;
  }

  /** A DISCONNECT that says why, where the version has one and the client has its CONNACK. */
  goodbye(reason: number): Buffer | undefined {
    if (this.version !== 5 || this.phase !== 'open') return undefined;
    return encode({ type: 'disconnect', reason, properties: [] }, 5);
  }
}
