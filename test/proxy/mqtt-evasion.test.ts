// Every way to smuggle a message or a subscription past the proxy, against a real broker behind the real engine. Each is
// tried through the proxy, where it must not reach the broker, and straight, where the broker takes it unless it says no
// by itself: a suite whose attacks never work has no teeth.
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { encode } from '../../enforcer/proxy/mqtt/encode.ts';
import { encodeBinary, encodeText } from '../../enforcer/proxy/mqtt/fields.ts';
import { hasCapability, requires } from '../support/capabilities.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { alias, connectBytes, publishBytes, rawMqtt, subscribeBytes } from './mqtt-raw.ts';
import { mqttWorld, type MqttWorld } from './mqtt-world.ts';

let broker: Mosquitto | undefined;
let guarded: MqttWorld | undefined;

before(async () => {
  if (!hasCapability('mosquitto')) return;
  broker = await startMosquitto();
  guarded = await mqttWorld(broker.port);
});

after(async () => {
  await guarded?.[Symbol.asyncDispose]();
  await broker?.stop();
});

function world(t: TestContext): { readonly broker: Mosquitto; readonly w: MqttWorld } | undefined {
  if (!requires(t, 'mosquitto')) return undefined;
  assert.ok(broker !== undefined && guarded !== undefined);
  return { broker, w: guarded };
}

interface Attempt {
  readonly name: string;
  /** TCP segments. `mark` is in every name that must not arrive, and nowhere else. */
  readonly segments: (mark: string) => readonly Buffer[];
  readonly version?: 4 | 5;
  /** Ends without a goodbye, so that a will is published. */
  readonly vanishes?: boolean;
  /** `refused`: the broker itself does not take it. */
  readonly control?: 'refused';
}

const hello = connectBytes(4);
const hello5 = connectBytes(5);
const allowed = (id = 0): Buffer => publishBytes(4, 'plant/sensor-1/ok', id === 0 ? {} : { qos: 1, packetId: id });
const everyByte = (bytes: Buffer): Buffer[] => [...bytes].map((byte) => Buffer.from([byte]));
const frame = (first: number, ...body: readonly Buffer[]): Buffer => {
  const all = Buffer.concat(body);
  return Buffer.concat([Buffer.from([first, all.length]), all]);
};
const to =
  (topic: (mark: string) => string, more: Parameters<typeof publishBytes>[2] = {}) =>
  (mark: string) => [hello, publishBytes(4, topic(mark), more)];
/** A CONNECT of another protocol name or level. */
const oldHello = (protocol: string, level: number): Buffer =>
  frame(0x10, encodeText(protocol), Buffer.from([level, 2, 0, 60]), encodeText('sensor-1'));

const attempts: readonly Attempt[] = [
  { name: 'plainly', segments: to((mark) => `secret/${mark}`) },
  { name: 'in 5.0', version: 5, segments: (mark) => [hello5, publishBytes(5, `secret/${mark}`)] },
  ...([1, 2] as const).map((qos): Attempt => ({
    name: `with QoS ${qos}`,
    segments: to((mark) => `secret/${mark}`, { qos, packetId: 7 }),
  })),
  ...([1, 2] as const).map((qos): Attempt => ({
    name: `as a repetition with QoS ${qos}`,
    segments: to((mark) => `secret/${mark}`, { qos, packetId: 7, dup: true }),
  })),
  {
    name: 'as a repetition of an allowed message that is under way',
    segments: (mark) => [
      hello,
      publishBytes(4, 'plant/sensor-1/ok', { qos: 2, packetId: 9 }),
      publishBytes(4, `secret/${mark}`, { qos: 2, packetId: 9, dup: true }),
    ],
  },
  {
    name: 'and releases it itself',
    segments: (mark) => [
      hello,
      publishBytes(4, `secret/${mark}`, { qos: 2, packetId: 9 }),
      encode({ type: 'pubrel', packetId: 9, reason: 0, properties: [] }, 4),
    ],
  },
  ...Array.from({ length: 24 }, (_, index): Attempt => ({
    name: `split after byte ${index + 1}`,
    segments: (mark) => {
      const bytes = publishBytes(4, `secret/${mark}`, { payload: Buffer.from('0123456789') });
      return [hello, bytes.subarray(0, index + 1), bytes.subarray(index + 1)];
    },
  })),
  {
    name: 'one byte a segment',
    segments: (mark) => everyByte(Buffer.concat([hello, publishBytes(4, `secret/${mark}`)])),
  },
  {
    name: 'behind the CONNECT in one segment, before its answer',
    segments: (mark) => [Buffer.concat([hello, publishBytes(4, `secret/${mark}`)])],
  },
  {
    name: 'between allowed messages in one segment',
    segments: (mark) => [hello, Buffer.concat([allowed(), publishBytes(4, `secret/${mark}`), allowed()])],
  },
  {
    name: 'across the segments of two allowed messages',
    segments: (mark) => {
      const stream = Buffer.concat([allowed(3), publishBytes(4, `secret/${mark}`), allowed(4)]);
      return [hello, stream.subarray(0, 25), stream.subarray(25, 35), stream.subarray(35)];
    },
  },
  {
    name: 'with a length in more bytes than it needs',
    segments: (mark) => {
      const bytes = publishBytes(4, `secret/${mark}`);
      const longer = Buffer.concat([bytes.subarray(0, 1), Buffer.from([(bytes[1] ?? 0) | 0x80, 0]), bytes.subarray(2)]);
      return [hello, longer];
    },
  },
  {
    name: 'with a length of five bytes',
    control: 'refused',
    segments: (mark) => {
      const bytes = publishBytes(4, `secret/${mark}`);
      return [
        hello,
        bytes.subarray(0, 1),
        Buffer.from([(bytes[1] ?? 0) | 0x80, 0x80, 0x80, 0x80, 0]),
        bytes.subarray(2),
      ];
    },
  },
  {
    name: 'inside an allowed message that says it is longer',
    control: 'refused',
    segments: (mark) => {
      const inner = publishBytes(4, `secret/${mark}`);
      return [hello, publishBytes(4, 'plant/sensor-1/ok', { payload: inner }).subarray(0, -inner.length), inner];
    },
  },
  {
    name: 'behind an allowed message that says it is shorter',
    control: 'refused',
    segments: (mark) => {
      const bytes = Buffer.concat([allowed(), publishBytes(4, `secret/${mark}`)]);
      bytes[1] = (bytes[1] ?? 0) - 4;
      return [hello, bytes];
    },
  },
  {
    name: 'by an alias that a refused message set',
    version: 5,
    segments: (mark) => [
      hello5,
      publishBytes(5, 'plant/sensor-1/ok'),
      publishBytes(5, `secret/${mark}`, { properties: alias(1) }),
      publishBytes(5, '', { properties: alias(1) }),
    ],
  },
  {
    name: 'by an alias of an allowed name that is set again',
    version: 5,
    segments: (mark) => [
      hello5,
      publishBytes(5, 'plant/sensor-1/ok', { properties: alias(2) }),
      publishBytes(5, `secret/${mark}`, { properties: alias(2) }),
      publishBytes(5, '', { properties: alias(2), payload: Buffer.from('again') }),
    ],
  },
  {
    name: 'with two aliases',
    version: 5,
    control: 'refused',
    segments: (mark) => [hello5, publishBytes(5, `secret/${mark}`, { properties: [...alias(1), ...alias(2)] })],
  },
  { name: 'as a share', segments: to((mark) => `$share/g/secret/${mark}`), control: 'refused' },
  { name: 'with a wildcard in the topic', segments: to((mark) => `plant/sensor-1/${mark}/#`), control: 'refused' },
  { name: 'with other capitals', segments: to((mark) => `Plant/sensor-1/${mark}`) },
  { name: 'with a slash in front', segments: to((mark) => `/plant/sensor-1/${mark}`) },
  { name: 'with an empty level', segments: to((mark) => `plant//sensor-1/${mark}`) },
  { name: 'with dots in the path', segments: to((mark) => `plant/../secret/${mark}`) },
  { name: 'with a longer name of another device', segments: to((mark) => `plant/sensor-11/${mark}`) },
  { name: 'with a space behind the name', segments: to((mark) => `plant/sensor-1 /${mark}`) },
  { name: 'with a letter that looks the same', segments: to((mark) => `plant/sens\u043er-1/${mark}`) },
  { name: 'with an escaped slash', segments: to((mark) => `plant%2fsensor-1/${mark}`) },
  { name: 'retained where that is not granted', segments: to((mark) => `plant/sensor-1/${mark}`, { retain: true }) },
  {
    name: 'longer than is granted',
    segments: to((mark) => `plant/sensor-1/${mark}`, { payload: Buffer.alloc(2_001) }),
  },
  {
    name: 'longer than anything that is read',
    segments: to((mark) => `plant/sensor-1/${mark}`, { payload: Buffer.alloc(1024 * 1024) }),
  },
  {
    name: 'with a topic that is not UTF-8',
    control: 'refused',
    segments: (mark) => [
      hello,
      frame(
        0x30,
        encodeBinary(Buffer.concat([Buffer.from(`plant/sensor-1/${mark}`), Buffer.from([0xff])])),
        Buffer.from('x'),
      ),
    ],
  },
  {
    name: 'with U+0000 behind an allowed name',
    control: 'refused',
    segments: (mark) => [hello, frame(0x30, encodeBinary(Buffer.from(`plant/sensor-1/ok\0${mark}`)), Buffer.from('x'))],
  },
  {
    name: 'as a will',
    vanishes: true,
    segments: (mark) => [
      connectBytes(4, 'sensor-1', {
        will: { topic: `secret/${mark}`, payload: Buffer.from('x'), qos: 1, retain: true, properties: [] },
      }),
    ],
  },
  {
    name: 'as a retained will of 5.0',
    version: 5,
    vanishes: true,
    segments: (mark) => [
      connectBytes(5, 'sensor-1', {
        will: { topic: `plant/sensor-1/${mark}`, payload: Buffer.from('x'), qos: 0, retain: true, properties: [] },
      }),
    ],
  },
  { name: 'under the client id of another', segments: (mark) => [connectBytes(4, mark), allowed()] },
  { name: 'under its own client id with a tail', segments: (mark) => [connectBytes(4, `sensor-1${mark}`), allowed()] },
  {
    name: 'under another client id by a second CONNECT',
    control: 'refused',
    segments: (mark) => [hello, connectBytes(4, mark), publishBytes(4, `secret/${mark}`)],
  },
  { name: 'in MQTT 3.1', segments: (mark) => [oldHello('MQIsdp', 3), publishBytes(4, `secret/${mark}`)] },
  { name: 'as a bridge', segments: (mark) => [oldHello('MQTT', 0x84), publishBytes(4, `secret/${mark}`)] },
  {
    name: 'behind packets of the other side',
    control: 'refused',
    segments: (mark) => [hello, Buffer.from([0x20, 2, 0, 0, 0xd0, 0]), publishBytes(4, `secret/${mark}`)],
  },
  {
    name: 'behind a DISCONNECT',
    control: 'refused',
    segments: (mark) => [hello, Buffer.concat([Buffer.from([0xe0, 0]), publishBytes(4, `secret/${mark}`)])],
  },
  {
    name: 'without a CONNECT',
    control: 'refused',
    segments: (mark) => [publishBytes(4, `secret/${mark}`)],
  },
  {
    name: 'behind another protocol',
    control: 'refused',
    segments: (mark) => [
      Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n\r\n'), hello, publishBytes(4, `secret/${mark}`)]),
    ],
  },
  { name: 'by subscribing', segments: (mark) => [hello, subscribeBytes(4, 1, `secret/${mark}`)] },
  {
    name: 'by subscribing behind CONNECT',
    segments: (mark) => [Buffer.concat([hello, subscribeBytes(4, 1, `secret/${mark}`)])],
  },
  {
    name: 'by subscribing between allowed filters',
    segments: (mark) => [hello, subscribeBytes(4, 1, 'cmd/sensor-1/a', [`secret/${mark}/#`, 2], 'cmd/sensor-1/b')],
  },
  { name: 'by subscribing to a wildcard over it', segments: (mark) => [hello, subscribeBytes(4, 1, `+/${mark}`)] },
  {
    name: 'by subscribing for another device',
    segments: (mark) => [
      hello,
      subscribeBytes(4, 1, `cmd/+/${mark}/+/a`),
      subscribeBytes(4, 2, `cmd/sensor-2/${mark}`),
    ],
  },
  {
    name: 'by a granted share of another filter',
    segments: (mark) => [hello, subscribeBytes(4, 1, `$share/workers/secret/${mark}`)],
  },
  {
    name: 'by another share of a granted filter',
    segments: (mark) => [hello, subscribeBytes(4, 1, `$share/${mark}/plant/+/temperature`)],
  },
  {
    name: 'by a share of a share',
    segments: (mark) => [
      hello,
      frame(0x82, Buffer.from([0, 1]), encodeText(`$share/workers/$share/workers/secret/${mark}`), Buffer.from([0])),
    ],
  },
];

let count = 0;

async function attack(port: number, { segments, version = 4, vanishes = false }: Attempt, mark: string): Promise<void> {
  await using client = await rawMqtt(port, version);
  await client.send(...segments(mark));
  await client.quiet();
  if (vanishes) client.socket.resetAndDestroy();
}

/** A message of the test itself, so that the broker's log has everything before it. */
async function settled(broker: Mosquitto): Promise<string> {
  const mark = `settled-${count++}`;
  await using client = await rawMqtt(broker.port, 4);
  await client.send(connectBytes(4, `settle-${mark}`), publishBytes(4, mark));
  await broker.waitForLog(new RegExp(`'${mark}'`));
  return broker.log();
}

for (const attempt of attempts) {
  test(`evasion: a message ${attempt.name} does not reach the broker`, async (t) => {
    const all = world(t);
    if (all === undefined) return;
    const [through, straight] = [`mark-p${count++}-`, `mark-s${count++}-`];
    await attack(all.w.port, attempt, through);
    const log = await settled(all.broker);
    // A wide subscription becomes what is granted of it.
    const taken = log.split('\n').filter((line) => line.includes(through));
    assert.deepEqual(
      taken.filter((line) => !/cmd\/sensor-1\/mark|log\/mark/.test(line)),
      [],
    );
    await attack(all.broker.port, attempt, straight);
    const control = (await settled(all.broker))
      .split('\n')
      .filter((line) => line.includes(straight) && !/Denied|malformed/i.test(line));
    t.diagnostic(`straight: ${control[0]?.replace(/^\d+: /, '') ?? 'the broker does not take it'}`);
    if (attempt.control !== 'refused') assert.ok(control.length > 0, 'straight at the broker it has to arrive');
  });
}

test('evasion: what is granted still works in the same connection, before and after', async (t) => {
  const all = world(t);
  if (all === undefined) return;
  await using client = await rawMqtt(all.w.port, 5);
  await client.send(connectBytes(5));
  assert.equal((await client.next())?.cmd, 'connack');
  for (let id = 1; id <= 100; id++) {
    const topic = id % 2 === 0 ? 'secret' : 'plant/sensor-1/mixed';
    const qos = id % 3 === 0 ? 2 : 1;
    await client.send(publishBytes(5, topic, { qos, packetId: id }));
    const answer = await client.next();
    assert.deepEqual([answer?.cmd, answer?.messageId], [qos === 1 ? 'puback' : 'pubrec', id]);
    if (qos === 1 || id % 2 === 0) continue;
    await client.send(encode({ type: 'pubrel', packetId: id, reason: 0, properties: [] }, 5));
    assert.equal((await client.next())?.cmd, 'pubcomp');
  }
});
