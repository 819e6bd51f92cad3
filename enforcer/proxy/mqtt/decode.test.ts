// What contradicts the specification is refused packet by packet; each case is one change away from what is accepted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from './decode.ts';
import type { MqttVersion, PacketType, Sender } from './packet.ts';

interface Case {
  readonly name: string;
  readonly type: PacketType;
  readonly body: readonly (number | string)[];
  readonly flags?: number;
  readonly version?: MqttVersion;
  readonly sender?: Sender;
  /** Undefined: accepted. */
  readonly fault?: RegExp;
}

/** Strings with their length in front, numbers as bytes. */
function bytesOf(parts: readonly (number | string)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.from([part]);
      const text = Buffer.from(part);
      return Buffer.concat([Buffer.from([text.length >> 8, text.length & 0xff]), text]);
    }),
  );
}

function faultOf({ type, body, flags = 0, version = 5, sender = 'client' }: Case): string | undefined {
  const bytes = bytesOf(body);
  const decoded = decode({ type, flags, body: bytes, bytes }, version, sender);
  return 'fault' in decoded ? decoded.fault : undefined;
}

const connect5 = ['MQTT', 5, 2, 0, 60, 0, 'c'] as const;
const connect4 = ['MQTT', 4, 2, 0, 60, 'c'] as const;

const cases: readonly Case[] = [
  { name: 'CONNECT of 5.0', type: 'connect', body: connect5 },
  { name: 'CONNECT of 3.1.1', type: 'connect', body: connect4 },
  { name: 'the reserved flag', type: 'connect', body: ['MQTT', 4, 3, 0, 60, 'c'], fault: /reserved flag/ },
  { name: 'a will QoS without a will', type: 'connect', body: ['MQTT', 4, 0x0a, 0, 60, 'c'], fault: /without a will/ },
  {
    name: 'a retained will without a will',
    type: 'connect',
    body: ['MQTT', 4, 0x22, 0, 60, 'c'],
    fault: /without a will/,
  },
  { name: 'a will', type: 'connect', body: ['MQTT', 4, 0x06, 0, 60, 'c', 'w', 'gone'] },
  { name: 'a will of QoS 3', type: 'connect', body: ['MQTT', 4, 0x1e, 0, 60, 'c', 'w', 'gone'], fault: /QoS 3/ },
  {
    name: 'a will to a filter',
    type: 'connect',
    body: ['MQTT', 4, 0x06, 0, 60, 'c', 'w/#', 'gone'],
    fault: /topic name/,
  },
  { name: 'a will that is not there', type: 'connect', body: ['MQTT', 4, 0x06, 0, 60, 'c'], fault: /longer than/ },
  {
    name: 'a password alone in 3.1.1',
    type: 'connect',
    body: ['MQTT', 4, 0x42, 0, 60, 'c', 'p'],
    fault: /without a user/,
  },
  { name: 'a password alone in 5.0', type: 'connect', body: ['MQTT', 5, 0x42, 0, 60, 0, 'c', 'p'] },
  { name: 'bytes behind a CONNECT', type: 'connect', body: [...connect4, 0], fault: /behind the end/ },
  { name: 'a client id with U+0000', type: 'connect', body: ['MQTT', 4, 2, 0, 60, 'c\0'], fault: /control character/ },
  {
    name: 'a client id with a newline',
    type: 'connect',
    body: ['MQTT', 4, 2, 0, 60, 'c\n'],
    fault: /control character/,
  },
  { name: 'a client id with U+FFFF', type: 'connect', body: ['MQTT', 4, 2, 0, 60, 'c\uffff'], fault: /non-character/ },
  { name: 'a surrogate', type: 'connect', body: [...connect4.slice(0, 5), 0, 3, 0xed, 0xa0, 0x80], fault: /not UTF-8/ },
  {
    name: 'an overlong letter',
    type: 'connect',
    body: [...connect4.slice(0, 5), 0, 2, 0xc1, 0xa1],
    fault: /not UTF-8/,
  },
  { name: 'a receive maximum of 0', type: 'connect', body: ['MQTT', 5, 2, 0, 60, 3, 0x21, 0, 0, 'c'], fault: /is 0/ },
  {
    name: 'a property twice',
    type: 'connect',
    body: ['MQTT', 5, 2, 0, 60, 6, 0x22, 0, 1, 0x22, 0, 1, 'c'],
    fault: /twice/,
  },
  { name: 'a flag of 2', type: 'connect', body: ['MQTT', 5, 2, 0, 60, 2, 0x17, 2, 'c'], fault: /neither 0 nor 1/ },
  {
    name: 'a property of PUBLISH',
    type: 'connect',
    body: ['MQTT', 5, 2, 0, 60, 3, 0x23, 0, 1, 'c'],
    fault: /not belong/,
  },
  {
    name: 'a property that does not exist',
    type: 'connect',
    body: ['MQTT', 5, 2, 0, 60, 2, 0x7f, 1, 'c'],
    fault: /not exist/,
  },
  { name: 'properties beyond the packet', type: 'connect', body: ['MQTT', 5, 2, 0, 60, 9, 0x21], fault: /longer than/ },
  { name: 'a property cut off', type: 'connect', body: ['MQTT', 5, 2, 0, 60, 2, 0x21, 0, 'c'], fault: /longer than/ },
  {
    name: 'a length of properties in two bytes',
    type: 'connect',
    body: ['MQTT', 5, 2, 0, 60, 0x80, 0, 'c'],
    fault: /more bytes/,
  },
  {
    name: 'authentication data alone',
    type: 'connect',
    body: ['MQTT', 5, 2, 0, 60, 4, 0x16, 'x', 'c'],
    fault: /without a method/,
  },

  { name: 'CONNACK', type: 'connack', sender: 'server', body: [0, 0, 0] },
  { name: 'CONNACK with a reserved flag', type: 'connack', sender: 'server', body: [2, 0, 0], fault: /reserved/ },
  {
    name: 'a refusal with a session',
    type: 'connack',
    sender: 'server',
    body: [1, 0x87, 0],
    fault: /session with a refusal/,
  },
  { name: 'a return code of 3.1.1 in 5.0', type: 'connack', sender: 'server', body: [0, 5, 0], fault: /reason code 5/ },
  { name: 'a return code of 3.1.1', type: 'connack', sender: 'server', version: 4, body: [0, 5] },
  {
    name: 'a reason code of 5.0 in 3.1.1',
    type: 'connack',
    sender: 'server',
    version: 4,
    body: [0, 0x87],
    fault: /code 135/,
  },

  { name: 'PUBLISH', type: 'publish', flags: 2, body: ['t', 0, 1, 0, 0x41] },
  { name: 'PUBLISH with id 0', type: 'publish', flags: 2, body: ['t', 0, 0, 0, 0x41], fault: /identifier 0/ },
  { name: 'PUBLISH to a filter', type: 'publish', body: ['t/+', 0], fault: /no topic name/ },
  { name: 'PUBLISH to #', type: 'publish', body: ['#', 0], fault: /no topic name/ },
  { name: 'PUBLISH to nothing', type: 'publish', body: ['', 0], fault: /no topic and no alias/ },
  { name: 'PUBLISH to an alias', type: 'publish', body: ['', 3, 0x23, 0, 1] },
  { name: 'PUBLISH to alias 0', type: 'publish', body: ['t', 3, 0x23, 0, 0], fault: /is 0/ },
  { name: 'PUBLISH to nothing in 3.1.1', type: 'publish', version: 4, body: [''], fault: /no topic and no alias/ },
  {
    name: 'a response topic with a wildcard',
    type: 'publish',
    body: ['t', 6, 0x08, 'a/#'],
    fault: /responseTopic is no topic/,
  },
  { name: 'a subscription identifier of a client', type: 'publish', body: ['t', 2, 0x0b, 1], fault: /not belong/ },
  { name: 'subscription identifiers of a server', type: 'publish', sender: 'server', body: ['t', 4, 0x0b, 1, 0x0b, 2] },
  { name: 'a topic beyond the packet', type: 'publish', body: [0, 9, 0x74], fault: /longer than/ },

  { name: 'PUBACK', type: 'puback', body: [0, 1] },
  { name: 'PUBACK with a reason', type: 'puback', body: [0, 1, 0x87] },
  { name: 'PUBACK with another reason', type: 'puback', body: [0, 1, 0x92], fault: /reason code 146/ },
  { name: 'PUBACK with a reason in 3.1.1', type: 'puback', version: 4, body: [0, 1, 0], fault: /behind the end/ },
  { name: 'PUBREL of id 0', type: 'pubrel', body: [0, 0], fault: /identifier 0/ },
  { name: 'half a packet identifier', type: 'puback', body: [0], fault: /longer than/ },

  { name: 'SUBSCRIBE', type: 'subscribe', body: [0, 1, 0, 'a/#', 0x2e] },
  { name: 'SUBSCRIBE without a filter', type: 'subscribe', body: [0, 1, 0], fault: /no filter/ },
  { name: 'options of 5.0 in 3.1.1', type: 'subscribe', version: 4, body: [0, 1, 'a', 4], fault: /reserved options/ },
  { name: 'reserved options', type: 'subscribe', body: [0, 1, 0, 'a', 0x40], fault: /reserved options/ },
  { name: 'retain handling 3', type: 'subscribe', body: [0, 1, 0, 'a', 0x30], fault: /retain handling 3/ },
  { name: 'QoS 3 of a subscription', type: 'subscribe', body: [0, 1, 0, 'a', 3], fault: /QoS 3/ },
  { name: 'a filter a#', type: 'subscribe', body: [0, 1, 0, 'a#', 0], fault: /topic filter/ },
  { name: 'a filter #/a', type: 'subscribe', body: [0, 1, 0, '#/a', 0], fault: /topic filter/ },
  { name: 'an empty filter', type: 'subscribe', body: [0, 1, 0, '', 0], fault: /topic filter/ },
  { name: 'a share', type: 'subscribe', body: [0, 1, 0, '$share/g/a/#', 0] },
  { name: 'a share with no local', type: 'subscribe', body: [0, 1, 0, '$share/g/a', 4], fault: /no local/ },
  { name: 'a share without a filter', type: 'subscribe', body: [0, 1, 0, '$share/g', 0], fault: /topic filter/ },
  { name: 'a share with an empty filter', type: 'subscribe', body: [0, 1, 0, '$share/g/', 0], fault: /topic filter/ },
  { name: 'a share without a name', type: 'subscribe', body: [0, 1, 0, '$share//a', 0], fault: /topic filter/ },
  { name: 'a share named +', type: 'subscribe', body: [0, 1, 0, '$share/+/a', 0], fault: /topic filter/ },
  { name: 'a share of a share', type: 'subscribe', body: [0, 1, 0, '$share/g/$share/h/a', 0], fault: /topic filter/ },
  { name: 'a subscription identifier of 0', type: 'subscribe', body: [0, 1, 2, 0x0b, 0, 'a', 0], fault: /is 0/ },
  {
    name: 'two subscription identifiers',
    type: 'subscribe',
    body: [0, 1, 4, 0x0b, 1, 0x0b, 2, 'a', 0],
    fault: /twice/,
  },

  { name: 'SUBACK', type: 'suback', sender: 'server', body: [0, 1, 0, 2, 0x87] },
  { name: 'SUBACK without a code', type: 'suback', sender: 'server', body: [0, 1, 0], fault: /no reason code/ },
  { name: 'SUBACK granting QoS 3', type: 'suback', sender: 'server', version: 4, body: [0, 1, 3], fault: /code 3/ },
  { name: 'UNSUBSCRIBE without a filter', type: 'unsubscribe', body: [0, 1, 0], fault: /no filter/ },
  { name: 'UNSUBACK of 3.1.1', type: 'unsuback', sender: 'server', version: 4, body: [0, 1] },
  {
    name: 'UNSUBACK of 3.1.1 with a code',
    type: 'unsuback',
    sender: 'server',
    version: 4,
    body: [0, 1, 0],
    fault: /behind/,
  },
  { name: 'PINGREQ', type: 'pingreq', body: [] },
  { name: 'PINGREQ with a body', type: 'pingreq', body: [0], fault: /behind the end/ },

  { name: 'DISCONNECT', type: 'disconnect', body: [] },
  { name: 'DISCONNECT with a reason', type: 'disconnect', body: [0x04] },
  { name: 'DISCONNECT with a reason of servers', type: 'disconnect', body: [0x8e], fault: /reason code 142/ },
  {
    name: 'DISCONNECT that sends elsewhere, of a client',
    type: 'disconnect',
    body: [0, 4, 0x1c, 'x'],
    fault: /not belong/,
  },
  {
    name: 'DISCONNECT that ends the session, of a server',
    type: 'disconnect',
    sender: 'server',
    body: [0, 5, 0x11, 0, 0, 0, 0],
    fault: /not belong/,
  },
  {
    name: 'DISCONNECT of a server in 3.1.1',
    type: 'disconnect',
    sender: 'server',
    version: 4,
    body: [],
    fault: /other side/,
  },
  { name: 'DISCONNECT with a body in 3.1.1', type: 'disconnect', version: 4, body: [0], fault: /behind the end/ },
  { name: 'AUTH in 3.1.1', type: 'auth', version: 4, body: [], fault: /does not exist/ },
];

for (const one of cases) {
  test(`decode: ${one.name} is ${one.fault === undefined ? 'accepted' : 'refused'}`, () => {
    const fault = faultOf(one);
    if (one.fault === undefined) assert.equal(fault, undefined);
    else assert.match(fault ?? 'accepted', one.fault);
  });
}

test('decode: other protocol names and levels are told apart, whatever follows', () => {
  for (const [protocol, level] of [
    ['MQIsdp', 3],
    ['MQTT', 3],
    ['MQTT', 6],
    ['MQTT', 0x84],
    ['mqtt', 4],
  ] as const) {
    const body = bytesOf([protocol, level, 2, 0, 60, 'c']);
    const decoded = decode({ type: 'connect', flags: 0, body, bytes: body }, 4, 'client');
    assert.deepEqual(decoded, { packet: { type: 'unsupported-connect', protocol, level } });
  }
});

test('decode: a byte order mark belongs to the string', () => {
  const body = bytesOf(['\ufeffa', 0x41]);
  const decoded = decode({ type: 'publish', flags: 0, body, bytes: body }, 4, 'client');
  assert.ok('packet' in decoded && decoded.packet.type === 'publish');
  assert.equal(decoded.packet.topic, '\ufeffa');
});
