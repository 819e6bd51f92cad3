// Properties of MQTT 5.0 (section 2.2.2): which there are, of what type, in which packets, and how often.
import {
  encodeBinary,
  encodeText,
  encodeUint16,
  encodeUint32,
  encodeVariable,
  type FieldReader,
  createFieldReader,
  Malformed,
} from './fields.ts';
import type { PacketType, Sender } from './packet.ts';
import { isTopicName } from './topic.ts';

/** Where properties stand; those of a will are a list of their own within CONNECT. */
export type PropertyPlace = Exclude<PacketType, 'pingreq' | 'pingresp'> | 'will';

/** `flag` is a byte of 0 or 1; a type with `+` is not 0; `topic` is text without wildcards. */
type ValueType =
  | 'flag'
  | 'uint16'
  | 'uint16+'
  | 'uint32'
  | 'uint32+'
  | 'variable+'
  | 'text'
  | 'topic'
  | 'binary'
  | 'pair';

interface Definition {
  readonly id: number;
  readonly type: ValueType;
  readonly places: readonly PropertyPlace[];
  /** Only in what this side sends. */
  readonly sender?: Sender;
  /** May stand more than once: user properties, and subscription identifiers of a delivered message. */
  readonly repeats?: readonly PropertyPlace[];
}

const acknowledging = ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const;
const answering = ['connack', ...acknowledging, 'suback', 'unsuback', 'disconnect', 'auth'] as const;
const everywhere = ['connect', 'will', 'publish', 'subscribe', 'unsubscribe', ...answering] as const;

/** Table 2-4. */
const definitions = {
  payloadFormatIndicator: { id: 0x01, type: 'flag', places: ['publish', 'will'] },
  messageExpiryInterval: { id: 0x02, type: 'uint32', places: ['publish', 'will'] },
  contentType: { id: 0x03, type: 'text', places: ['publish', 'will'] },
  responseTopic: { id: 0x08, type: 'topic', places: ['publish', 'will'] },
  correlationData: { id: 0x09, type: 'binary', places: ['publish', 'will'] },
  subscriptionIdentifier: { id: 0x0b, type: 'variable+', places: ['publish', 'subscribe'], repeats: ['publish'] },
  sessionExpiryInterval: { id: 0x11, type: 'uint32', places: ['connect', 'connack', 'disconnect'] },
  assignedClientIdentifier: { id: 0x12, type: 'text', places: ['connack'] },
  serverKeepAlive: { id: 0x13, type: 'uint16', places: ['connack'] },
  authenticationMethod: { id: 0x15, type: 'text', places: ['connect', 'connack', 'auth'] },
  authenticationData: { id: 0x16, type: 'binary', places: ['connect', 'connack', 'auth'] },
  requestProblemInformation: { id: 0x17, type: 'flag', places: ['connect'] },
  willDelayInterval: { id: 0x18, type: 'uint32', places: ['will'] },
  requestResponseInformation: { id: 0x19, type: 'flag', places: ['connect'] },
  responseInformation: { id: 0x1a, type: 'text', places: ['connack'] },
  serverReference: { id: 0x1c, type: 'text', places: ['connack', 'disconnect'], sender: 'server' },
  reasonString: { id: 0x1f, type: 'text', places: answering },
  receiveMaximum: { id: 0x21, type: 'uint16+', places: ['connect', 'connack'] },
  topicAliasMaximum: { id: 0x22, type: 'uint16', places: ['connect', 'connack'] },
  topicAlias: { id: 0x23, type: 'uint16+', places: ['publish'] },
  maximumQos: { id: 0x24, type: 'flag', places: ['connack'] },
  retainAvailable: { id: 0x25, type: 'flag', places: ['connack'] },
  userProperty: { id: 0x26, type: 'pair', places: everywhere, repeats: everywhere },
  maximumPacketSize: { id: 0x27, type: 'uint32+', places: ['connect', 'connack'] },
  wildcardSubscriptionAvailable: { id: 0x28, type: 'flag', places: ['connack'] },
  subscriptionIdentifierAvailable: { id: 0x29, type: 'flag', places: ['connack'] },
  sharedSubscriptionAvailable: { id: 0x2a, type: 'flag', places: ['connack'] },
} as const satisfies Readonly<Record<string, Definition>>;

export type PropertyName = keyof typeof definitions;

type TypeOf<Name extends PropertyName> = (typeof definitions)[Name]['type'];

interface ValueOf {
  readonly flag: number;
  readonly uint16: number;
  readonly 'uint16+': number;
  readonly uint32: number;
  readonly 'uint32+': number;
  readonly 'variable+': number;
  readonly text: string;
  readonly topic: string;
  readonly binary: Buffer;
  readonly pair: readonly [name: string, value: string];
}

export type PropertyValue<Name extends PropertyName = PropertyName> = ValueOf[TypeOf<Name>];

export type Property = {
  readonly [Name in PropertyName]: { readonly name: Name; readonly value: PropertyValue<Name> };
}[PropertyName];

const byId = new Map<number, { readonly name: PropertyName } & Definition>(
  Object.entries(definitions).map(([name, definition]) => [
    definition.id,
    { name: name as PropertyName, ...definition },
  ]),
);

/** The value of the first property of that name. */
export function propertyOf<Name extends PropertyName>(
  properties: readonly Property[],
  name: Name,
): PropertyValue<Name> | undefined {
  return properties.find((property) => property.name === name)?.value as PropertyValue<Name> | undefined;
}

/** The properties without any of that name and, unless `value` is undefined, with this one. */
export function withProperty<Name extends PropertyName>(
  properties: readonly Property[],
  name: Name,
  value: PropertyValue<Name> | undefined,
): readonly Property[] {
  const others = properties.filter((property) => property.name !== name);
  return value === undefined ? others : [...others, { name, value } as Property];
}

/** Reads the length and the properties; throws Malformed for one that does not belong there, or not twice. */
export function readProperties(fields: FieldReader, place: PropertyPlace, sender: Sender): readonly Property[] {
  const length = fields.variable();
  if (length === 0) return none;
  const list = createFieldReader(fields.bytes(length));
  const properties: Property[] = [];
  const seen = new Set<PropertyName>();
  while (list.rest() > 0) {
    const definition = byId.get(list.variable());
    if (definition === undefined) throw new Malformed('a property that does not exist');
    const { name } = definition;
    if (!isAllowed(definition, place, sender)) throw new Malformed(`property ${name} does not belong in ${place}`);
    if (seen.has(name) && !(definition.repeats?.includes(place) ?? false)) {
      throw new Malformed(`property ${name} stands twice`);
    }
    seen.add(name);
    properties.push({ name, value: readValue(list, definition) } as Property);
  }
  if (seen.has('authenticationData') && !seen.has('authenticationMethod')) {
    throw new Malformed('authentication data without a method');
  }
  return properties;
}

const none: readonly Property[] = [];

function isAllowed(
  definition: { readonly name: PropertyName } & Definition,
  place: PropertyPlace,
  sender: Sender,
): boolean {
  if (definition.sender !== undefined && definition.sender !== sender) return false;
  // Subscription identifiers come back with messages, no client sends them so (3.3.4); a server ends no session (3.14.2.2.2).
  if (definition.name === 'subscriptionIdentifier' && place === 'publish' && sender === 'client') return false;
  if (definition.name === 'sessionExpiryInterval' && place === 'disconnect' && sender === 'server') return false;
  return definition.places.includes(place);
}

function readValue(list: FieldReader, { name, type }: { readonly name: PropertyName } & Definition): unknown {
  switch (type) {
    case 'flag': {
      const flag = list.byte();
      if (flag > 1) throw new Malformed(`property ${name} is neither 0 nor 1`);
      return flag;
    }
    case 'uint16':
      return list.uint16();
    case 'uint16+':
      return notZero(list.uint16(), name);
    case 'uint32':
      return list.uint32();
    case 'uint32+':
      return notZero(list.uint32(), name);
    case 'variable+':
      return notZero(list.variable(), name);
    case 'text':
      return list.text();
    case 'topic': {
      const topic = list.text();
      if (!isTopicName(topic)) throw new Malformed(`property ${name} is no topic name`);
      return topic;
    }
    case 'binary':
      return list.binary();
    case 'pair':
      return [list.text(), list.text()];
  }
}

function notZero(value: number, name: PropertyName): number {
  if (value === 0) throw new Malformed(`property ${name} is 0`);
  return value;
}

/** With their length in front. */
export function encodeProperties(properties: readonly Property[]): Buffer {
  const bytes = Buffer.concat(
    properties.flatMap(({ name, value }) => [encodeVariable(definitions[name].id), encodeValue(name, value)]),
  );
  return Buffer.concat([encodeVariable(bytes.length), bytes]);
}

function encodeValue(name: PropertyName, value: PropertyValue): Buffer {
  switch (definitions[name].type) {
    case 'flag':
      return Buffer.from([value as number]);
    case 'uint16':
    case 'uint16+':
      return encodeUint16(value as number);
    case 'uint32':
    case 'uint32+':
      return encodeUint32(value as number);
    case 'variable+':
      return encodeVariable(value as number);
    case 'text':
    case 'topic':
      return encodeText(value as string);
    case 'binary':
      return encodeBinary(value as Buffer);
    case 'pair':
      return Buffer.concat((value as readonly string[]).map((part) => encodeText(part)));
  }
}
