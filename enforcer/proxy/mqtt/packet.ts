// MQTT control packets as values: OASIS MQTT 3.1.1 and 5.0, section 3 of each. Bytes become one of these once, in
// decode.ts, and nobody reads the bytes again.
import type { Property } from './properties.ts';

/** Protocol level of the CONNECT: 4 is MQTT 3.1.1, 5 is MQTT 5.0. */
export type MqttVersion = 4 | 5;

export type Qos = 0 | 1 | 2;

/** Who sent a packet; some packets and some properties belong to one side only. */
export type Sender = 'client' | 'server';

/** The type in the upper half of the first byte (2.1.2), by its name. */
export const packetTypes = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;

export type PacketType = keyof typeof packetTypes;

export interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly properties: readonly Property[];
}

export interface Connect {
  readonly type: 'connect';
  readonly version: MqttVersion;
  /** Clean Session of 3.1.1, Clean Start of 5.0. */
  readonly clean: boolean;
  /** Seconds; 0 is none. */
  readonly keepAlive: number;
  readonly clientId: string;
  readonly will?: Will;
  readonly userName?: string;
  readonly password?: Buffer;
  readonly properties: readonly Property[];
}

/** A CONNECT of a protocol that is not spoken here: all that can be known of it is its name and level. */
export interface UnsupportedConnect {
  readonly type: 'unsupported-connect';
  readonly protocol: string;
  readonly level: number;
}

export interface Connack {
  readonly type: 'connack';
  readonly sessionPresent: boolean;
  /** Return code of 3.1.1, reason code of 5.0; 0 is accepted. */
  readonly reason: number;
  readonly properties: readonly Property[];
}

export interface Publish {
  readonly type: 'publish';
  readonly dup: boolean;
  readonly qos: Qos;
  readonly retain: boolean;
  /** Empty only where a topic alias stands for it (5.0). */
  readonly topic: string;
  /** 1 to 65,535; 0 with QoS 0, which has none. */
  readonly packetId: number;
  readonly properties: readonly Property[];
  readonly payload: Buffer;
}

export interface Acknowledgement {
  readonly type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp';
  readonly packetId: number;
  /** 0 in 3.1.1. */
  readonly reason: number;
  readonly properties: readonly Property[];
}

export interface Subscription {
  /** As it was sent, `$share/name/` included. */
  readonly filter: string;
  readonly qos: Qos;
  /** Options of 5.0 (3.8.3.1); false and 0 in 3.1.1. */
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
}

export interface Subscribe {
  readonly type: 'subscribe';
  readonly packetId: number;
  readonly properties: readonly Property[];
  readonly subscriptions: readonly Subscription[];
}

export interface Suback {
  readonly type: 'suback';
  readonly packetId: number;
  readonly properties: readonly Property[];
  /** One for each filter, in order. */
  readonly reasons: readonly number[];
}

export interface Unsubscribe {
  readonly type: 'unsubscribe';
  readonly packetId: number;
  readonly properties: readonly Property[];
  readonly filters: readonly string[];
}

export interface Unsuback {
  readonly type: 'unsuback';
  readonly packetId: number;
  readonly properties: readonly Property[];
  /** One for each filter, in order; none in 3.1.1. */
  readonly reasons: readonly number[];
}

export interface Ping {
  readonly type: 'pingreq' | 'pingresp';
}

export interface Disconnect {
  readonly type: 'disconnect';
  readonly reason: number;
  readonly properties: readonly Property[];
}

export interface Auth {
  readonly type: 'auth';
  readonly reason: number;
  readonly properties: readonly Property[];
}

export type Packet =
  | Connect
  | UnsupportedConnect
  | Connack
  | Publish
  | Acknowledgement
  | Subscribe
  | Suback
  | Unsubscribe
  | Unsuback
  | Ping
  | Disconnect
  | Auth;
