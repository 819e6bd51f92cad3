// The rules of both directions without sockets: what goes on, what comes back, and that what the server gets is exactly
// the allowed packets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Decision, Operation } from '../../../policy/engine/index.ts';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { oracleDecodes } from '../../../test/proxy/mqtt-oracle.ts';
import { followers, openings } from '../../../test/proxy/mqtt-packets.ts';
import { alias, connectBytes, publishBytes, subscribeBytes } from '../../../test/proxy/mqtt-raw.ts';
import { brokerSlice } from '../../../test/proxy/mqtt-world.ts';
import {
  defaultLimits,
  MAX_MQTT_FILTER_CHARACTERS,
  MAX_MQTT_JSON_BYTES,
  MAX_MQTT_PACKET_BYTES,
  MAX_MQTT_TOPIC_ALIASES,
  MAX_MQTT_UNACKNOWLEDGED,
} from '../limits.ts';
import type { JudgedOperation, ProxyOperation } from '../protocol.ts';
import { encode, type EncodedPacket } from './encode.ts';
import { mqttProtocol } from './exchange.ts';
import type { MqttVersion } from './packet.ts';
import type { Property } from './properties.ts';

type Allows = (operation: Extract<Operation, { protocol: 'mqtt' }>) => boolean;

interface Driven {
  /** Gives bytes of one side; what came of them. */
  readonly client: (...chunks: readonly Buffer[]) => Result;
  readonly server: (...chunks: readonly Buffer[]) => Result;
  readonly tick: (seconds: number) => Promise<string | undefined>;
  readonly isIdle: () => boolean;
  /** What is asked from now on. */
  readonly policy: { allows: Allows };
}

interface Result {
  readonly onward: Buffer;
  readonly back: Buffer;
  readonly closed: string | undefined;
  readonly asked: readonly ProxyOperation[];
}

/** The frame's loop, without waiting for anything but room. */
function drive(allows: Allows, onDeny: 'answer' | 'close' = 'answer'): Driven {
  const clock = new FakeClock();
  const policy = { allows };
  const exchange = mqttProtocol().open({
    connection: () => ({
      source: { address: '192.0.2.1', port: 1 },
      destination: { address: '192.0.2.2', port: 1883 },
      interface: 'broker',
      subject: { id: 'sensor-1', binding: 'ip' },
    }),
    entry: () => brokerSlice.interfaces[0],
    onDeny: () => onDeny,
    clock,
    limits: defaultLimits,
  });
  const verdict = (operation: ProxyOperation): JudgedOperation => {
    const allow = operation.protocol === 'mqtt' && policy.allows(operation);
    const decision: Decision = {
      allow,
      reason: allow ? 'granted' : 'no-grant',
      rule: '',
      place: '',
      operation: '',
      bundle: '',
    };
    return { operation, decision };
  };
  const run = (side: 'client' | 'server', chunks: readonly Buffer[]): Result => {
    const [onward, back]: Buffer[][] = [[], []];
    const asked: ProxyOperation[] = [];
    let closed: string | undefined;
    for (const chunk of chunks) {
      const { messages, fault } = exchange[side].push(chunk);
      for (const message of messages) {
        if (closed !== undefined) break;
        assert.notEqual(exchange[side].hasRoom?.(), false, 'the frame would wait here');
        const ask = message.ask();
        if (ask.kind === 'close') {
          closed = ask.why;
          if (ask.back !== undefined) back?.push(ask.back);
          break;
        }
        const judged = ask.kind === 'operations' ? ask.operations.map(verdict) : [];
        asked.push(...judged.map(({ operation }) => operation));
        const denied = judged.find(({ decision }) => !decision.allow);
        const all = ask.kind === 'operations' && ask.combine === 'all';
        const outcome =
          ask.kind === 'refuse' ? ask.outcome : message.settle(all && denied !== undefined ? [denied] : judged);
        if (outcome.onward !== undefined) onward?.push(outcome.onward);
        if (outcome.back !== undefined) back?.push(outcome.back);
        outcome.done?.();
        if (outcome.close !== undefined) closed = outcome.close;
      }
      closed ??= fault;
    }
    return { onward: Buffer.concat(onward ?? []), back: Buffer.concat(back ?? []), closed, asked };
  };
  return {
    client: (...chunks) => run('client', chunks),
    server: (...chunks) => run('server', chunks),
    async tick(seconds) {
      await clock.advance(seconds * 1_000);
      return exchange.tick?.(clock.monotonic());
    },
    isIdle: () => exchange.isIdle(),
    policy,
  };
}

const connack = (version: MqttVersion, properties: readonly Property[] = []): Buffer =>
  encode({ type: 'connack', sessionPresent: false, reason: 0, properties }, version);
const ack = (
  type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
  packetId: number,
  version: MqttVersion,
  reason = 0,
): Buffer => encode({ type, packetId, reason, properties: [] }, version);
const notSecret: Allows = ({ topic }) => topic !== 'secret';

/** With CONNECT and CONNACK behind it. */
function open(version: MqttVersion, allows: Allows = notSecret, onDeny: 'answer' | 'close' = 'answer'): Driven {
  const driven = drive(() => true, onDeny);
  driven.client(connectBytes(version));
  driven.server(connack(version));
  driven.policy.allows = allows;
  return driven;
}

const hex = (...parts: readonly Buffer[]): string => Buffer.concat([...parts]).toString('hex');

for (const version of [4, 5] as const) {
  test(`exchange, version ${version}: what the server gets is exactly the allowed packets, in any pieces`, () => {
    // Of packets without state: publish with QoS 0 and pings; names decide.
    const publish = fc
      .tuple(fc.constantFrom('a', 'b/c', 'secret', 'd'), fc.uint8Array({ maxLength: 20 }), fc.boolean())
      .map(([topic, payload, retain]) => ({
        topic,
        bytes: publishBytes(version, topic, { payload: Buffer.from(payload), retain }),
      }));
    const ping = fc.constant({ topic: 'ping', bytes: encode({ type: 'pingreq' }, version) });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(publish, ping), { maxLength: 12 }),
        fc.array(fc.nat(400), { maxLength: 20 }),
        (packets, cuts) => {
          const driven = open(version);
          const stream = Buffer.concat(packets.map(({ bytes }) => bytes));
          const ends = [...cuts.filter((cut) => cut > 0 && cut < stream.length), stream.length].sort((a, b) => a - b);
          const chunks = ends.map((end, index) => stream.subarray(index === 0 ? 0 : ends[index - 1], end));
          const { onward, closed } = driven.client(...chunks);
          assert.equal(closed, undefined);
          assert.equal(
            hex(onward),
            hex(...packets.filter(({ topic }) => topic !== 'secret').map(({ bytes }) => bytes)),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test(`exchange, version ${version}: of any packets only well-formed, allowed ones go on, each readable by another codec`, () => {
    const packets = fc.tuple(openings(version, 'client'), fc.array(followers(version, 'client'), { maxLength: 8 }));
    fc.assert(
      fc.property(packets, ([connect, others]) => {
        if (connect.type !== 'connect' || connect.properties.some(({ name }) => name === 'authenticationMethod'))
          return;
        const driven = drive((operation) => !operation.topic.includes('a'));
        const first = driven.client(encode(connect, version));
        if (first.onward.length > 0) driven.server(connack(version));
        else return;
        for (const packet of others) {
          const { onward, closed } = driven.client(encode(packet, version));
          if (closed !== undefined) return;
          for (const text of onward.length === 0 ? [] : (oracleDecodes(onward, version) ?? ['unreadable'])) {
            const seen = JSON.parse(text) as {
              cmd: string;
              topic?: string;
              properties?: object;
              subscriptions?: { topic: string }[];
            };
            assert.equal(seen.cmd, packet.type);
            if (seen.cmd === 'publish') assert.doesNotMatch(seen.topic ?? 'a', /a/);
            assert.ok(!('topicAlias' in (seen.properties ?? {})));
            for (const { topic } of seen.subscriptions ?? [])
              assert.doesNotMatch(topic.replace(/^\$share\/[^/]*\//, ''), /a/);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test(`exchange, version ${version}: a refused QoS 1 is answered in its turn`, () => {
    const driven = open(version);
    const first = publishBytes(version, 'a', { qos: 1, packetId: 1 });
    assert.equal(hex(driven.client(first).onward), hex(first));
    const second = driven.client(publishBytes(version, 'secret', { qos: 1, packetId: 2 }));
    assert.deepEqual([second.onward.length, second.back.length], [0, 0], 'it waits for the answer before it');
    const refusal = ack('puback', 2, version, version === 5 ? 0x87 : 0);
    assert.equal(hex(driven.server(ack('puback', 1, version)).onward), hex(ack('puback', 1, version), refusal));
    assert.equal(hex(driven.client(publishBytes(version, 'secret', { qos: 1, packetId: 2 })).back), hex(refusal));
    assert.ok(driven.isIdle());
  });

  test(`exchange, version ${version}: the flow of a refused QoS 2 ends without the server`, () => {
    const driven = open(version);
    const refused = driven.client(publishBytes(version, 'secret', { qos: 2, packetId: 5 }));
    assert.equal(hex(refused.onward), '');
    assert.equal(hex(refused.back), hex(ack('pubrec', 5, version, version === 5 ? 0x87 : 0)));
    const released = driven.client(ack('pubrel', 5, version));
    if (version === 4) assert.deepEqual([hex(released.onward), hex(released.back)], ['', hex(ack('pubcomp', 5, 4))]);
    // The identifier is free again.
    const next = publishBytes(version, 'a', { qos: 2, packetId: 5 });
    assert.equal(hex(driven.client(next).onward), hex(next));
    assert.equal(hex(driven.server(ack('pubrec', 5, version)).onward), hex(ack('pubrec', 5, version)));
    assert.equal(hex(driven.client(ack('pubrel', 5, version)).onward), hex(ack('pubrel', 5, version)));
    assert.equal(driven.isIdle(), false);
    driven.server(ack('pubcomp', 5, version));
    assert.equal(driven.isIdle(), true);
  });

  test(`exchange, version ${version}: a delivery that is refused is ended towards the server`, () => {
    const driven = open(version);
    const refusal = version === 5 ? 0x87 : 0;
    assert.equal(hex(driven.server(publishBytes(version, 'secret')).back), '');
    const one = driven.server(publishBytes(version, 'secret', { qos: 1, packetId: 3 }));
    assert.deepEqual([hex(one.onward), hex(one.back)], ['', hex(ack('puback', 3, version, refusal))]);
    const two = driven.server(publishBytes(version, 'secret', { qos: 2, packetId: 4 }));
    assert.deepEqual([hex(two.onward), hex(two.back)], ['', hex(ack('pubrec', 4, version, refusal))]);
    if (version === 4) {
      assert.equal(hex(driven.client(ack('pubcomp', 4, 4)).onward), '', 'the client has no part in it');
      const released = driven.server(ack('pubrel', 4, 4));
      assert.deepEqual([hex(released.onward), hex(released.back)], ['', hex(ack('pubcomp', 4, 4))]);
    }
    const allowed = publishBytes(version, 'a', { qos: 2, packetId: 4 });
    assert.equal(hex(driven.server(allowed).onward), hex(allowed));
    assert.equal(hex(driven.server(ack('pubrel', 4, version)).onward), hex(ack('pubrel', 4, version)));
  });

  test(`exchange, version ${version}: a repetition is judged again, and a refused one has no second answer`, () => {
    const driven = open(version, () => true);
    const first = publishBytes(version, 'a', { qos: 2, packetId: 9 });
    driven.client(first);
    driven.policy.allows = () => false;
    const again = driven.client(publishBytes(version, 'a', { qos: 2, packetId: 9, dup: true }));
    assert.deepEqual([hex(again.onward), hex(again.back), again.closed], ['', '', undefined]);
    assert.equal(again.asked.length, 1);
    assert.equal(hex(driven.server(ack('pubrec', 9, version)).onward), hex(ack('pubrec', 9, version)));
  });

  test(`exchange, version ${version}: an identifier in use ends the connection`, () => {
    for (const second of [
      publishBytes(version, 'b', { qos: 1, packetId: 7 }),
      publishBytes(version, 'b', { qos: 2, packetId: 7 }),
      subscribeBytes(version, 7, 'b'),
    ]) {
      const driven = open(version);
      driven.client(publishBytes(version, 'a', { qos: 1, packetId: 7 }));
      const { onward, closed } = driven.client(second);
      assert.match(closed ?? '', /packet identifier 7 is in use/);
      assert.equal(hex(onward), '');
    }
  });

  test(`exchange, version ${version}: answers that nobody waits for are dropped`, () => {
    const driven = open(version);
    for (const bytes of [ack('puback', 1, version), ack('pubrec', 1, version)]) {
      const { onward, closed } = driven.server(bytes);
      assert.deepEqual([hex(onward), closed], ['', undefined]);
    }
    const suback = encode({ type: 'suback', packetId: 1, properties: [], reasons: [0] }, version);
    assert.equal(hex(driven.server(suback).onward), '');
    driven.client(subscribeBytes(version, 1, 'a', 'b'));
    assert.match(driven.server(suback).closed ?? '', /1 codes for 2 filters/);
  });

  test(`exchange, version ${version}: onDeny close ends the connection at the first refusal`, () => {
    for (const bytes of [publishBytes(version, 'secret'), subscribeBytes(version, 1, 'secret')]) {
      const { onward, back, closed } = open(version, notSecret, 'close').client(bytes);
      assert.equal(hex(onward), '');
      const goodbye = encode({ type: 'disconnect', reason: 0x87, properties: [] }, 5);
      assert.deepEqual([hex(back), closed], version === 5 ? [hex(goodbye), 'after'] : ['', 'reset']);
    }
  });

  test(`exchange, version ${version}: silence of one and a half keep-alives, no CONNECT and no answer to it end it`, async () => {
    const driven = open(version);
    assert.equal(await driven.tick(89), undefined);
    driven.client(encode({ type: 'pingreq' }, version));
    assert.equal(await driven.tick(90), undefined);
    assert.match((await driven.tick(1)) ?? '', /silent for more than 90 s/);
    const silent = drive(() => true);
    assert.equal(await silent.tick(9), undefined);
    assert.match((await silent.tick(1)) ?? '', /no CONNECT in time/);
    const unanswered = drive(() => true);
    unanswered.client(connectBytes(version));
    assert.match((await unanswered.tick(10)) ?? '', /no answer to the CONNECT/);
  });

  test(`exchange, version ${version}: messages without an answer are bounded`, () => {
    const driven = open(version);
    for (let id = 1; id <= MAX_MQTT_UNACKNOWLEDGED; id++) {
      assert.equal(driven.client(publishBytes(version, 'a', { qos: 1, packetId: id })).closed, undefined);
    }
    const { closed } = driven.client(publishBytes(version, 'a', { qos: 1, packetId: MAX_MQTT_UNACKNOWLEDGED + 1 }));
    assert.match(closed ?? '', /too many messages without an answer/);
  });

  test(`exchange, version ${version}: one code for each filter, also where the server was asked for others`, () => {
    // The interface names plant/+/temperature, cmd/sensor-1/#, log/# (QoS 1) and #.
    const granted = new Set(['plant/+/temperature', 'log/#', 'b']);
    const driven = open(version, ({ topic, qos }) => granted.has(topic) && (topic !== 'log/#' || qos < 2));
    const { onward, back } = driven.client(subscribeBytes(version, 3, 'secret', ['#', 2], ['b', 1]));
    assert.equal(hex(back), '');
    const [seen = ''] = oracleDecodes(onward, version) ?? [];
    const { subscriptions } = JSON.parse(seen) as { subscriptions: { topic: string; qos: number }[] };
    assert.deepEqual(
      subscriptions.map(({ topic, qos }) => `${topic} ${qos}`),
      ['plant/+/temperature 2', 'log/# 1', 'b 1'],
    );
    const refusal = version === 5 ? 0x87 : 0x80;
    const answer = driven.server(
      encode({ type: 'suback', packetId: 3, properties: [], reasons: [0, 1, 0x80] }, version),
    );
    const expected: EncodedPacket = { type: 'suback', packetId: 3, properties: [], reasons: [refusal, 1, 0x80] };
    assert.equal(hex(answer.onward), hex(encode(expected, version)));
    // UNSUBSCRIBE takes back what was made of it, and leaves what another filter needs.
    driven.client(subscribeBytes(version, 4, 'log/#'));
    driven.server(encode({ type: 'suback', packetId: 4, properties: [], reasons: [1] }, version));
    const gone = driven.client(
      encode({ type: 'unsubscribe', packetId: 5, properties: [], filters: ['#', 'x'] }, version),
    );
    const [left = ''] = oracleDecodes(gone.onward, version) ?? [];
    const { unsubscriptions } = JSON.parse(left) as { unsubscriptions: string[] };
    assert.deepEqual(unsubscriptions, ['plant/+/temperature', 'x']);
    const codes = version === 5 ? [0x11, 0] : [];
    const unsuback = driven.server(encode({ type: 'unsuback', packetId: 5, properties: [], reasons: codes }, version));
    assert.equal(
      hex(unsuback.onward),
      hex(encode({ type: 'unsuback', packetId: 5, properties: [], reasons: codes }, version)),
    );
  });
}

test('exchange: a refused QoS 2 that is allowed when it is repeated is released at the server', () => {
  const driven = open(4);
  driven.client(publishBytes(4, 'secret', { qos: 2, packetId: 5 }));
  driven.policy.allows = () => true;
  const again = publishBytes(4, 'secret', { qos: 2, packetId: 5, dup: true });
  assert.equal(hex(driven.client(again).onward), hex(again));
  assert.equal(hex(driven.client(ack('pubrel', 5, 4)).onward), hex(ack('pubrel', 5, 4)));
});

test('exchange: aliases of the client are resolved, counted and never forwarded', () => {
  const driven = drive(() => true);
  const connect = driven.client(
    connectBytes(5, 'sensor-1', { properties: [{ name: 'topicAliasMaximum', value: 10 }] }),
  );
  assert.match(oracleDecodes(connect.onward, 5)?.[0] ?? '', /^(?!.*topicAliasMaximum)/);
  assert.ok(oracleDecodes(connect.onward, 5)?.[0]?.includes(`"maximumPacketSize":${MAX_MQTT_PACKET_BYTES}`));
  const answer = driven.server(connack(5, [{ name: 'topicAliasMaximum', value: 3 }]));
  assert.ok(oracleDecodes(answer.onward, 5)?.[0]?.includes(`"topicAliasMaximum":${MAX_MQTT_TOPIC_ALIASES}`));
  driven.policy.allows = notSecret;

  const named = driven.client(publishBytes(5, 'a', { properties: alias(1) }));
  assert.equal(hex(named.onward), hex(publishBytes(5, 'a')));
  assert.equal(hex(driven.client(publishBytes(5, '', { properties: alias(1) })).onward), hex(publishBytes(5, 'a')));
  // A refused message sets its alias too, and what uses it is refused.
  assert.equal(hex(driven.client(publishBytes(5, 'secret', { properties: alias(1) })).onward), '');
  const behind = driven.client(publishBytes(5, '', { properties: alias(1) }));
  assert.deepEqual(
    [hex(behind.onward), behind.asked.map((one) => one.protocol === 'mqtt' && one.topic)],
    ['', ['secret']],
  );
  const goodbye = hex(encode({ type: 'disconnect', reason: 0x94, properties: [] }, 5));
  const unset = driven.client(publishBytes(5, '', { properties: alias(2) }));
  assert.deepEqual([hex(unset.back), unset.closed], [goodbye, 'a topic alias that was never set']);
  const above = open(5).client(publishBytes(5, 'a', { properties: alias(MAX_MQTT_TOPIC_ALIASES + 1) }));
  assert.equal(hex(above.back), goodbye);
  assert.match(open(5).server(publishBytes(5, 'a', { properties: alias(1) })).closed ?? '', /none is allowed/);
});

test('exchange: a message that its name makes too long for the server is refused and not sent', () => {
  const driven = drive(() => true);
  driven.client(connectBytes(5));
  driven.server(connack(5, [{ name: 'maximumPacketSize', value: 60 }]));
  const long = 'x'.repeat(60);
  driven.client(publishBytes(5, long, { properties: alias(1) }));
  const { onward, back, closed } = driven.client(publishBytes(5, '', { properties: alias(1), qos: 1, packetId: 1 }));
  assert.deepEqual([hex(onward), hex(back), closed], ['', hex(ack('puback', 1, 5, 0x95)), undefined]);
});

test('exchange: no name behind an alias makes a packet that the proxy of its receivers would refuse', () => {
  const driven = open(5);
  const longest = 'a/'.repeat(30_000);
  driven.client(publishBytes(5, longest, { properties: alias(1) }));
  const payload = Buffer.alloc(MAX_MQTT_PACKET_BYTES - 100);
  const { onward, back } = driven.client(publishBytes(5, '', { properties: alias(1), payload, qos: 1, packetId: 1 }));
  assert.deepEqual([onward.length, hex(back)], [0, hex(ack('puback', 1, 5, 0x95))]);
});

test('exchange: the filters that are kept are bounded, in one packet as in several', () => {
  const driven = open(5, () => true);
  const filters = Array.from({ length: 1_000 }, (_, index) => `${index}/${'x'.repeat(500)}`);
  const { onward } = driven.client(subscribeBytes(5, 1, ...filters));
  const [seen = ''] = oracleDecodes(onward, 5) ?? [];
  const { subscriptions } = JSON.parse(seen) as { subscriptions: { topic: string }[] };
  const kept = subscriptions.reduce((sum, { topic }) => sum + 2 * topic.length, 0);
  assert.ok(kept <= MAX_MQTT_FILTER_CHARACTERS, `${kept} characters are kept`);
  const answer = driven.server(
    encode({ type: 'suback', packetId: 1, properties: [], reasons: subscriptions.map(() => 0) }, 5),
  );
  const codes = [...answer.onward.subarray(-filters.length)];
  assert.deepEqual(new Set(codes.slice(subscriptions.length)), new Set([0x97]));
  assert.deepEqual(new Set(codes.slice(0, subscriptions.length)), new Set([0]));
});

test('exchange: what the server assigns is what later packets are judged by', async () => {
  const driven = drive(() => true);
  driven.client(connectBytes(5, '', { keepAlive: 0 }));
  driven.server(
    connack(5, [
      { name: 'assignedClientIdentifier', value: 'auto-7' },
      { name: 'serverKeepAlive', value: 10 },
    ]),
  );
  const [asked] = driven.client(publishBytes(5, 'a')).asked;
  assert.ok(asked?.protocol === 'mqtt');
  assert.equal(asked.clientId, 'auto-7');
  assert.match((await driven.tick(16)) ?? '', /silent for more than 15 s/);
  const other = drive(() => true);
  other.client(connectBytes(5));
  assert.match(
    other.server(connack(5, [{ name: 'assignedClientIdentifier', value: 'x' }])).closed ?? '',
    /another client id/,
  );
});

test('exchange: payloads are read where the interface bounds one, when they are JSON with one reading and not too long', () => {
  const jsonOf = (payload: string): unknown => {
    const [asked] = open(4).client(publishBytes(4, 'a', { payload: Buffer.from(payload) })).asked;
    return asked?.protocol === 'mqtt' ? asked.json : 'not asked';
  };
  assert.deepEqual(jsonOf('{"value":1}'), { value: 1 });
  for (const none of ['{"a":1,"a":2}', '\ufeff1', 'x', `"${'x'.repeat(MAX_MQTT_JSON_BYTES)}"`])
    assert.equal(jsonOf(none), undefined);
});

test('exchange: a refused CONNECT is told so in its own version, and nothing goes on', () => {
  const wrong = drive(({ action }) => action !== 'connect');
  const four = wrong.client(connectBytes(4));
  assert.deepEqual([hex(four.onward), hex(four.back), four.closed], ['', '20020005', 'after']);
  const five = drive(() => false).client(connectBytes(5));
  assert.deepEqual([hex(five.onward), hex(five.back), five.closed], ['', '2003008700', 'after']);
  const will = { topic: 'secret', payload: Buffer.from('x'), qos: 0, retain: false, properties: [] } as const;
  const refused = drive(notSecret).client(connectBytes(4, 'sensor-1', { will }));
  assert.deepEqual([hex(refused.onward), hex(refused.back)], ['', '20020005']);
  assert.deepEqual(
    drive(() => true)
      .client(connectBytes(4, 'sensor-1', { will }))
      .asked.map((one) => one.protocol === 'mqtt' && [one.action, one.topic, one.will]),
    [
      ['connect', '', true],
      ['publish', 'secret', true],
    ],
  );
  const method: readonly Property[] = [{ name: 'authenticationMethod', value: 'SCRAM' }];
  assert.equal(hex(drive(() => true).client(connectBytes(5, 'sensor-1', { properties: method })).back), '2003008c00');
  assert.equal(hex(drive(() => true).client(connectBytes(4, '', { clean: false })).back), '20020002');
});
