// Any MQTT packets that the specification allows, for properties over them.
import * as fc from 'fast-check';
import type { MqttVersion, Qos, Sender } from '../../enforcer/proxy/mqtt/packet.ts';
import type { EncodedPacket } from '../../enforcer/proxy/mqtt/encode.ts';
import type { Property, PropertyName } from '../../enforcer/proxy/mqtt/properties.ts';

/** Letters of one to four bytes, the separators of topics, and what nearly is a wildcard. */
const letter = fc.constantFrom(...Array.from('aZ09-_. $/~é€ßЖ中\u{1F600}\u{FEFF}\u{10FFFD}'));
const text = (minLength = 0): fc.Arbitrary<string> => fc.string({ unit: letter, minLength, maxLength: 12 });
export const topicNames = text(1).filter((name) => !name.startsWith('$share'));
const level = fc.oneof(fc.string({ unit: fc.constantFrom('a', 'b', 'ß'), maxLength: 2 }), fc.constant('+'));
const plainFilters = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, all]) => (all ? [...levels, '#'] : levels).join('/'))
  .filter((filter) => filter !== '');
export const topicFilters = fc.oneof(
  plainFilters,
  fc.tuple(fc.constantFrom('g', 'group 1'), plainFilters).map(([share, filter]) => `$share/${share}/${filter}`),
);
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const packetIds = fc.integer({ min: 1, max: 0xffff });
const qos: fc.Arbitrary<Qos> = fc.constantFrom(0, 1, 2);

const values: { readonly [Name in PropertyName]: fc.Arbitrary<Extract<Property, { name: Name }>['value']> } = {
  payloadFormatIndicator: fc.nat(1),
  messageExpiryInterval: fc.nat(0xffffffff),
  contentType: text(),
  responseTopic: topicNames,
  correlationData: bytes,
  subscriptionIdentifier: fc.integer({ min: 1, max: 0xfffffff }),
  sessionExpiryInterval: fc.nat(0xffffffff),
  assignedClientIdentifier: text(),
  serverKeepAlive: fc.nat(0xffff),
  authenticationMethod: text(),
  authenticationData: bytes,
  requestProblemInformation: fc.nat(1),
  willDelayInterval: fc.nat(0xffffffff),
  requestResponseInformation: fc.nat(1),
  responseInformation: text(),
  serverReference: text(),
  reasonString: text(),
  receiveMaximum: fc.integer({ min: 1, max: 0xffff }),
  topicAliasMaximum: fc.nat(0xffff),
  topicAlias: fc.integer({ min: 1, max: 0xffff }),
  maximumQos: fc.nat(1),
  retainAvailable: fc.nat(1),
  userProperty: fc.tuple(text(1), text(1)),
  maximumPacketSize: fc.integer({ min: 1, max: 0xffffffff }),
  wildcardSubscriptionAvailable: fc.nat(1),
  subscriptionIdentifierAvailable: fc.nat(1),
  sharedSubscriptionAvailable: fc.nat(1),
};

/** Some of these, each once, and up to three of `repeated`. */
function propertyLists(
  version: MqttVersion,
  names: readonly PropertyName[],
  repeated: readonly PropertyName[] = ['userProperty'],
): fc.Arbitrary<readonly Property[]> {
  if (version === 4) return fc.constant([]);
  const one = (name: PropertyName): fc.Arbitrary<Property> =>
    (values[name] as fc.Arbitrary<Property['value']>).map((value) => ({ name, value }) as Property);
  return fc
    .tuple(
      fc.subarray([...names]).chain((chosen) => fc.tuple(...chosen.map(one))),
      fc.tuple(...repeated.map((name) => fc.array(one(name), { maxLength: 3 }))),
    )
    .map(([once, more]) => [...once, ...more.flat()])
    .map((list) =>
      list.some(({ name }) => name === 'authenticationMethod')
        ? list
        : list.filter(({ name }) => name !== 'authenticationData'),
    );
}

const reasonOf = (version: MqttVersion, ...codes: number[]): fc.Arbitrary<number> =>
  version === 4 ? fc.constant(0) : fc.constantFrom(0, ...codes);

const published = [
  'payloadFormatIndicator',
  'messageExpiryInterval',
  'contentType',
  'responseTopic',
  'correlationData',
] as const;

function connects(version: MqttVersion): fc.Arbitrary<EncodedPacket> {
  const will = fc.record({
    topic: topicNames,
    payload: bytes,
    qos,
    retain: fc.boolean(),
    properties: propertyLists(version, [...published, 'willDelayInterval']),
  });
  return fc
    .record(
      {
        type: fc.constant('connect' as const),
        version: fc.constant(version),
        clean: fc.boolean(),
        keepAlive: fc.nat(0xffff),
        clientId: text(1),
        properties: propertyLists(version, [
          ...(['sessionExpiryInterval', 'receiveMaximum', 'maximumPacketSize', 'topicAliasMaximum'] as const),
          ...(['requestResponseInformation', 'requestProblemInformation'] as const),
          ...(['authenticationMethod', 'authenticationData'] as const),
        ]),
        will,
        userName: text(1),
        password: bytes,
      },
      { requiredKeys: ['type', 'version', 'clean', 'keepAlive', 'clientId', 'properties'] },
    )
    .map((packet) => {
      const { password, ...others } = packet;
      // The oracle wants a user name with every password, as 3.1.1 does.
      return password === undefined || packet.userName === undefined ? others : { ...others, password };
    });
}

function publishes(version: MqttVersion, sender: Sender): fc.Arbitrary<EncodedPacket> {
  return fc
    .record({
      type: fc.constant('publish' as const),
      dup: fc.boolean(),
      qos,
      retain: fc.boolean(),
      topic: topicNames,
      packetId: packetIds,
      properties: propertyLists(
        version,
        [...published, 'topicAlias'],
        sender === 'server' ? ['userProperty', 'subscriptionIdentifier'] : ['userProperty'],
      ),
      payload: bytes,
    })
    .map((packet) => (packet.qos === 0 ? { ...packet, dup: false, packetId: 0 } : packet));
}

function acknowledgements(version: MqttVersion): fc.Arbitrary<EncodedPacket> {
  const of = (type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', ...codes: number[]): fc.Arbitrary<EncodedPacket> =>
    fc.record({
      type: fc.constant(type),
      packetId: packetIds,
      reason: reasonOf(version, ...codes),
      properties: propertyLists(version, ['reasonString']),
    });
  return fc.oneof(of('puback', 0x10, 0x87), of('pubrec', 0x87, 0x97), of('pubrel', 0x92), of('pubcomp', 0x92));
}

function ofClient(version: MqttVersion): fc.Arbitrary<EncodedPacket>[] {
  const subscription = fc.record({
    filter: topicFilters,
    qos,
    noLocal: version === 5 ? fc.boolean() : fc.constant(false),
    retainAsPublished: version === 5 ? fc.boolean() : fc.constant(false),
    retainHandling: version === 5 ? fc.constantFrom(0 as const, 1 as const, 2 as const) : fc.constant(0 as const),
  });
  return [
    fc.record({
      type: fc.constant('subscribe' as const),
      packetId: packetIds,
      properties: propertyLists(version, ['subscriptionIdentifier']),
      subscriptions: fc.array(
        subscription.map((one) => (one.filter.startsWith('$share/') ? { ...one, noLocal: false } : one)),
        { minLength: 1, maxLength: 4 },
      ),
    }),
    fc.record({
      type: fc.constant('unsubscribe' as const),
      packetId: packetIds,
      properties: propertyLists(version, []),
      filters: fc.array(topicFilters, { minLength: 1, maxLength: 4 }),
    }),
    fc.constant({ type: 'pingreq' }),
    fc.record({
      type: fc.constant('disconnect' as const),
      reason: reasonOf(version, 0x04, 0x98),
      properties: propertyLists(version, ['sessionExpiryInterval', 'reasonString']),
    }),
  ];
}

function ofServer(version: MqttVersion): fc.Arbitrary<EncodedPacket>[] {
  const granted = version === 5 ? [0, 1, 2, 0x80, 0x87, 0x8f] : [0, 1, 2, 0x80];
  const packets: fc.Arbitrary<EncodedPacket>[] = [
    fc.record({
      type: fc.constant('suback' as const),
      packetId: packetIds,
      properties: propertyLists(version, ['reasonString']),
      reasons: fc.array(fc.constantFrom(...granted), { minLength: 1, maxLength: 5 }),
    }),
    fc.record({
      type: fc.constant('unsuback' as const),
      packetId: packetIds,
      properties: propertyLists(version, ['reasonString']),
      reasons:
        version === 5 ? fc.array(fc.constantFrom(0, 0x11, 0x87), { minLength: 1, maxLength: 5 }) : fc.constant([]),
    }),
    fc.constant({ type: 'pingresp' }),
  ];
  if (version === 4) return packets;
  const disconnect = fc.record({
    type: fc.constant('disconnect' as const),
    reason: reasonOf(version, 0x87, 0x8e),
    properties: propertyLists(version, ['serverReference', 'reasonString']),
  });
  return [...packets, disconnect];
}

function connacks(version: MqttVersion): fc.Arbitrary<EncodedPacket> {
  return fc
    .record({
      type: fc.constant('connack' as const),
      sessionPresent: fc.boolean(),
      reason: version === 5 ? fc.constantFrom(0, 0x84, 0x87) : fc.nat(5),
      properties: propertyLists(version, [
        ...(['sessionExpiryInterval', 'receiveMaximum', 'maximumQos', 'retainAvailable', 'maximumPacketSize'] as const),
        ...(['assignedClientIdentifier', 'topicAliasMaximum', 'reasonString'] as const),
        ...(['wildcardSubscriptionAvailable', 'subscriptionIdentifierAvailable'] as const),
        ...(['sharedSubscriptionAvailable', 'serverKeepAlive', 'responseInformation', 'serverReference'] as const),
        ...(['authenticationMethod', 'authenticationData'] as const),
      ]),
    })
    .map((packet) => (packet.reason === 0 ? packet : { ...packet, sessionPresent: false }));
}

/** The first packet of each side. */
export function openings(version: MqttVersion, sender: Sender): fc.Arbitrary<EncodedPacket> {
  return sender === 'client' ? connects(version) : connacks(version);
}

/** Every other packet, without AUTH. */
export function followers(version: MqttVersion, sender: Sender): fc.Arbitrary<EncodedPacket> {
  return fc.oneof(
    publishes(version, sender),
    acknowledgements(version),
    ...(sender === 'client' ? ofClient(version) : ofServer(version)),
  );
}
