// Return codes of MQTT 3.1.1 and reason codes of 5.0 (section 2.4, and the table of each packet): which a packet may
// carry, and the ones that are said here.
import type { MqttVersion, PacketType, Sender } from './packet.ts';

/** What this proxy says itself. */
export const reasons = {
  success: 0x00,
  noSubscriptionExisted: 0x11,
  /** SUBACK of 3.1.1 (3.9.3). */
  failure: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  notAuthorized: 0x87,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  quotaExceeded: 0x97,
} as const;

/** Return codes of a CONNACK of 3.1.1 (3.2.2.3). */
export const returnCodes = {
  unacceptableProtocolVersion: 0x01,
  identifierRejected: 0x02,
  notAuthorized: 0x05,
} as const;

export type ReasonPlace = Extract<
  PacketType,
  'connack' | 'puback' | 'pubrec' | 'pubrel' | 'pubcomp' | 'suback' | 'unsuback' | 'disconnect' | 'auth'
>;

const connecting = [
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
  0x9c, 0x9d, 0x9f,
];
const publishing = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const releasing = [0x00, 0x92];
const disconnecting = [0x00, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
const disconnectingServer = [0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2];
const never: ReadonlySet<number> = new Set();

const ofVersion5: Readonly<Record<ReasonPlace, Readonly<Record<Sender, ReadonlySet<number>>>>> = {
  connack: { client: never, server: new Set(connecting) },
  puback: both(publishing),
  pubrec: both(publishing),
  pubrel: both(releasing),
  pubcomp: both(releasing),
  suback: {
    client: never,
    server: new Set([0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]),
  },
  unsuback: { client: never, server: new Set([0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]) },
  disconnect: {
    client: new Set([0x04, ...disconnecting]),
    server: new Set([...disconnecting, ...disconnectingServer]),
  },
  auth: { client: new Set([0x18, 0x19]), server: new Set([0x00, 0x18]) },
};

function both(codes: readonly number[]): Readonly<Record<Sender, ReadonlySet<number>>> {
  const set = new Set(codes);
  return { client: set, server: set };
}

const connackOfVersion4 = new Set([0, 1, 2, 3, 4, 5]);
const subackOfVersion4 = new Set([0, 1, 2, 0x80]);

/** Whether a packet of this side may carry the code; packets of 3.1.1 other than CONNACK and SUBACK carry none. */
export function isReason(code: number, place: ReasonPlace, version: MqttVersion, sender: Sender): boolean {
  if (version === 5) return ofVersion5[place][sender].has(code);
  if (place === 'connack') return connackOfVersion4.has(code);
  return place === 'suback' && subackOfVersion4.has(code);
}

/** Refusals of 5.0 begin here (2.4). */
export const firstFailure = 0x80;
