// Unmodified programs: Debian's mosquitto behind the proxy, mosquitto_pub and mosquitto_sub before it, in both versions. What is
// refused never reaches the broker or the subscriber, and no flow of QoS 1 or 2 suffers for it.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { simulatedUsage } from '../../policy/engine/index.ts';
import { findProgram, requires } from '../support/capabilities.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { run, start } from '../support/netns-process.ts';
import { connectBytes, publishBytes, rawMqtt } from './mqtt-raw.ts';
import { brokerSlice, mqttWorld, type MqttWorld } from './mqtt-world.ts';

const versions = ['311', '5'] as const;

interface Tools {
  readonly pub: (...args: string[]) => Promise<{ code: number | null; output: string }>;
  /** Lines of standard input, each a message. */
  readonly pubLines: (lines: readonly string[], ...args: string[]) => Promise<string>;
  /** Runs until `count` messages came, or five seconds passed; resolves when the broker has the subscription. */
  readonly sub: (count: number, ...args: string[]) => Promise<{ messages: () => Promise<readonly string[]> }>;
  /** The same programs straight at the broker. */
  readonly straight: (...args: string[]) => Promise<void>;
}

function tools(broker: Mosquitto, w: MqttWorld, version: string): Tools {
  const at = (port: number): string[] => ['-h', '127.0.0.1', '-p', String(port), '-V', version];
  const children = new Set<ChildProcess>();
  return {
    async pub(...args) {
      const id = args.includes('-i') ? [] : ['-i', 'sensor-1'];
      const { code, stdout, stderr } = await run(['mosquitto_pub', ...at(w.port), ...id, '-d', ...args]);
      return { code, output: stdout + stderr };
    },
    pubLines: (lines, ...args) =>
      new Promise((resolve, reject) => {
        const child = execFile(
          findProgram('mosquitto_pub') ?? 'mosquitto_pub',
          [...at(w.port), '-i', 'sensor-1', '-d', '-l', ...args],
          { timeout: 20_000 },
          (error, stdout, stderr) => (error === null ? resolve(stdout + stderr) : reject(error)),
        );
        child.stdin?.end(lines.map((line) => `${line}\n`).join(''));
      }),
    async sub(count, ...args) {
      const before = broker.log().length;
      const argv = [
        'mosquitto_sub',
        ...at(w.port),
        '-i',
        'sensor-1-sub',
        '-v',
        '-C',
        String(count),
        '-W',
        '5',
        ...args,
      ];
      const child = start(argv, children, {}, false);
      const ended = new AbortController();
      void child.exited.then(() => ended.abort());
      while (!ended.signal.aborted && !/Sending SUBACK/.test(broker.log().slice(before))) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return {
        async messages() {
          await child.exited;
          return child
            .output()
            .split('\n')
            .filter((line) => line !== '' && line !== 'Timed out');
        },
      };
    },
    async straight(...args) {
      const { code, stderr } = await run(['mosquitto_pub', ...at(broker.port), ...args]);
      assert.equal(code, 0, stderr);
    },
  };
}

/** One test for each version, with a broker of its own. */
function withBoth(
  name: string,
  body: (t: TestContext, all: Tools & { broker: Mosquitto; w: MqttWorld; version: string }) => Promise<void>,
): void {
  for (const version of versions) {
    test(`mosquitto, MQTT ${version}: ${name}`, async (t) => {
      if (!requires(t, 'mosquitto', 'mosquitto-clients')) return;
      await using broker = await startMosquitto();
      await using w = await mqttWorld(broker.port);
      await body(t, { ...tools(broker, w, version), broker, w, version });
    });
  }
}

withBoth(
  'what is granted arrives, what is not does not, at every QoS',
  async (_t, { pub, straight, broker, version }) => {
    for (const qos of ['0', '1', '2']) {
      const granted = await pub('-t', 'plant/sensor-1/temperature', '-m', '21', '-q', qos);
      assert.equal(granted.code, 0, granted.output);
      const refused = await pub('-t', 'plant/sensor-2/temperature', '-m', '666', '-q', qos);
      // 3.1.1 has no refusal of a message: it is acknowledged and dropped.
      if (version === '5' && qos !== '0') assert.match(refused.output, /Not authorized/);
      assert.equal(refused.code, 0, refused.output);
    }
    assert.equal([...broker.log().matchAll(/Received PUBLISH .*sensor-1\/temperature/g)].length, 3);
    assert.doesNotMatch(broker.log(), /sensor-2\/temperature/);
    await straight('-t', 'plant/sensor-2/temperature', '-m', '666', '-q', '2');
    assert.match(broker.log(), /Received PUBLISH .*sensor-2\/temperature/, 'the control: the broker itself takes it');
  },
);

withBoth('allowed and refused messages mixed in one connection, QoS 1 and 2', async (_t, { pubLines, broker, w }) => {
  const values = Array.from({ length: 60 }, (_, index) => (index % 3 === 1 ? 1_000 + index : index));
  const lines = values.map((value) => JSON.stringify({ value }));
  const before = broker.log().length;
  const argv = [
    'mosquitto_sub',
    '-h',
    '127.0.0.1',
    '-p',
    String(broker.port),
    '-t',
    'set/#',
    '-q',
    '2',
    '-C',
    '80',
    '-W',
    '10',
  ];
  const behind = start(argv, new Set(), {}, false);
  await broker.waitForLog(/Sending SUBACK/);
  for (const qos of ['1', '2']) {
    const output = await pubLines(lines, '-t', 'set/sensor-1', '-q', qos);
    assert.equal([...output.matchAll(/received (PUBACK|PUBREC)/g)].length, 60, 'each has its answer');
    assert.equal([...output.matchAll(/received PUBCOMP/g)].length, [...output.matchAll(/sending PUBREL/g)].length);
  }
  await behind.exited;
  const granted = lines.filter((_, index) => index % 3 !== 1);
  assert.deepEqual(behind.output().trim().split('\n'), [...granted, ...granted]);
  assert.equal(
    [
      ...broker
        .log()
        .slice(before)
        .matchAll(/Received PUBLISH/g),
    ].length,
    80,
  );
  const denied = (await w.finish()).filter(({ activity }) => activity === 'deny');
  assert.equal(
    denied.reduce((sum, { data }) => sum + Number(data.count), 0),
    40,
  );
});

withBoth('a wide subscription becomes what is granted of it', async (_t, { sub, straight, broker }) => {
  const reader = await sub(3, '-t', '#', '-q', '2');
  for (const [topic, qos] of [
    ['secret', '2'],
    ['plant/sensor-7/temperature', '0'],
    ['plant/sensor-7/pressure', '1'],
    ['cmd/sensor-1/stop', '1'],
    ['cmd/sensor-2/stop', '2'],
    ['log/a/b', '2'],
  ] as const) {
    await straight('-t', topic, '-m', 'x', '-q', qos);
  }
  assert.deepEqual(await reader.messages(), ['plant/sensor-7/temperature x', 'cmd/sensor-1/stop x', 'log/a/b x']);
  assert.match(broker.log(), /Received SUBSCRIBE from sensor-1-sub\n\S+ \tplant\/\+\/temperature \(QoS 2\)/);
  assert.match(broker.log(), /log\/# \(QoS 1\)/, 'at the quality of service that is granted');
  assert.doesNotMatch(broker.log(), /\t# \(/);
});

withBoth(
  'several filters have one code each, in order; what is not granted is refused',
  async (_t, { sub, w, version }) => {
    const reader = await sub(
      1,
      '-d',
      '-E',
      '-t',
      'secret',
      '-t',
      'cmd/sensor-1/+',
      '-t',
      '#',
      '-t',
      'log/x',
      '-q',
      '2',
    );
    const output = (await reader.messages()).join('\n');
    assert.match(
      output,
      version === '5' ? /Subscribed \(mid: 1\): 135, 2, 2, 1/ : /Subscribed \(mid: 1\): 128, 2, 2, 1/,
    );
    const denied = (await w.finish()).filter(({ activity }) => activity === 'deny');
    assert.deepEqual(
      denied.map(({ data }) => [data.verb, data.topic]),
      [['subscribe', 'secret']],
    );
  },
);

withBoth('a shared subscription needs its name', async (_t, { sub, straight }) => {
  const shared = await sub(1, '-t', '$share/workers/plant/+/temperature');
  await straight('-t', 'plant/a/temperature', '-m', '1');
  assert.deepEqual(await shared.messages(), ['plant/a/temperature 1']);
  const other = await sub(1, '-d', '-E', '-t', '$share/others/plant/+/temperature');
  assert.match(
    (await other.messages()).join('\n'),
    /Subscribed \(mid: 1\): (128|135)|All subscription requests were denied/,
  );
});

withBoth(
  'a subscription of before the proxy delivers what is granted, and nothing is left with the broker',
  async (_t, { sub, straight, broker, version }) => {
    const session = ['-i', 'sensor-1-sub', '-c', ...(version === '5' ? ['-x', '1000'] : [])];
    const at = ['-h', '127.0.0.1', '-p', String(broker.port), '-V', version];
    const made = await run(['mosquitto_sub', ...at, ...session, '-t', '#', '-q', '2', '-E']);
    assert.equal(made.code, 0, made.stderr);
    for (const qos of ['1', '2', '1', '2']) {
      await straight('-t', 'secret', '-m', `s${qos}`, '-q', qos);
      await straight('-t', 'plant/a/temperature', '-m', `t${qos}`, '-q', qos);
    }
    const reader = await sub(4, '-t', 'plant/none/temperature', '-q', '2', ...session.slice(2));
    // A message of QoS 2 is handed on when its flow ends, after one of QoS 1 that came later.
    assert.deepEqual(
      (await reader.messages()).toSorted(),
      ['t1', 't1', 't2', 't2'].map((payload) => `plant/a/temperature ${payload}`),
    );
    const left = await run(['mosquitto_sub', ...at, ...session, '-t', 'x', '-v', '-W', '1']);
    assert.doesNotMatch(left.stdout, /secret/, 'refused deliveries were ended towards the broker');
  },
);

withBoth('who connects under another name or with too long a keep-alive is refused', async (_t, { pub, broker }) => {
  for (const args of [
    ['-i', 'sensor-2'],
    ['-k', '601'],
    ['-i', 'sensor-11'],
    ['-i', 'SENSOR-1'],
  ]) {
    const { code, output } = await pub(...args, '-t', 'plant/sensor-1/temperature', '-m', 'x');
    assert.notEqual(code, 0, `${args.join(' ')}: ${output}`);
    assert.match(output, /not authori[sz]ed|refused/i);
  }
  assert.doesNotMatch(broker.log(), /New client connected/);
});

withBoth('a granted will is published, another one keeps its client out', async (_t, { broker, w, pub, version }) => {
  const at = ['-h', '127.0.0.1', '-p', String(w.port), '-V', version, '-i', 'sensor-1', '-t', 'cmd/sensor-1/x'];
  const children = new Set<ChildProcess>();
  const child = start(
    ['mosquitto_sub', ...at, '--will-topic', 'status/sensor-1', '--will-payload', 'gone', '--will-retain'],
    children,
    {},
    false,
  );
  await broker.waitForLog(/Sending SUBACK to sensor-1/);
  process.kill(child.pid, 'SIGKILL');
  await broker.waitForLog(/Client sensor-1 closed its connection|disconnected/);
  const heard = await run([
    'mosquitto_sub',
    '-h',
    '127.0.0.1',
    '-p',
    String(broker.port),
    '-t',
    'status/#',
    '-v',
    '-C',
    '1',
    '-W',
    '5',
  ]);
  assert.equal(heard.stdout, 'status/sensor-1 gone\n');
  const refused = await pub(
    '-t',
    'status/sensor-1',
    '-m',
    'x',
    '--will-topic',
    'status/sensor-2',
    '--will-payload',
    'x',
  );
  assert.notEqual(refused.code, 0);
});

withBoth(
  'what may not be retained, is too long, or is out of range does not arrive',
  async (_t, { pub, broker, w }) => {
    const refused = [
      ['-t', 'plant/sensor-1/temperature', '-m', '1', '-r'],
      ['-t', 'plant/sensor-1/temperature', '-m', 'x'.repeat(2_001)],
      ['-t', 'set/sensor-1', '-m', '{"value":101}'],
      ['-t', 'set/sensor-1', '-m', '{"value":"1"}'],
      ['-t', 'set/sensor-1', '-m', '{"value":50,"value":500}'],
      ['-t', 'set/sensor-1', '-m', '50'],
    ];
    for (const args of refused) assert.equal((await pub(...args, '-q', '1')).code, 0);
    assert.doesNotMatch(broker.log(), /Received PUBLISH/);
    for (const args of [
      ['-t', 'status/sensor-1', '-m', '1', '-r'],
      ['-t', 'plant/sensor-1/temperature', '-m', 'x'.repeat(2_000)],
      ['-t', 'set/sensor-1', '-m', '{"value":100}'],
    ]) {
      assert.equal((await pub(...args, '-q', '1')).code, 0);
    }
    assert.equal([...broker.log().matchAll(/Received PUBLISH/g)].length, 3);
    const denied = (await w.finish()).filter(({ activity }) => activity === 'deny');
    assert.equal(
      denied.reduce((sum, { data }) => sum + Number(data.count), 0),
      refused.length,
    );
  },
);

withBoth('what was narrowed is taken back', async (_t, { sub, broker }) => {
  const reader = await sub(1, '-E', '-t', '#', '-U', '#', '-U', 'other');
  await reader.messages();
  const log = broker.log();
  const asked = log.slice(log.indexOf('Received UNSUBSCRIBE'));
  for (const filter of ['plant/+/temperature', 'cmd/sensor-1/#', 'log/#', 'other'])
    assert.ok(asked.includes(filter), filter);
  assert.doesNotMatch(asked, /\t#\n/);
});

withBoth(
  'a new policy counts from the next message on, and without a connect it ends the connection',
  async (_t, all) => {
    const { w, sub, straight, broker } = all;
    const [grant] = brokerSlice.grants;
    assert.ok(grant !== undefined);
    const reader = await sub(3, '-t', 'cmd/sensor-1/#', '-q', '1');
    await straight('-t', 'cmd/sensor-1/before', '-m', 'x', '-q', '1');
    await broker.waitForLog(/Received PUBACK from sensor-1-sub/);
    w.activate({ ...brokerSlice, grants: [{ ...grant, operations: ['connect'] }] });
    await straight('-t', 'cmd/sensor-1/after', '-m', 'x', '-q', '1');
    assert.equal(w.proxy.connections().length, 1);
    w.activate({ ...brokerSlice, grants: [] });
    await broker.waitForLog(/Client sensor-1-sub (closed its connection|disconnected)/);
    assert.doesNotMatch(broker.log(), /Received DISCONNECT from sensor-1-sub/, 'not by its own time limit');
    // mosquitto_sub would come again, and is refused.
    assert.deepEqual(
      (await reader.messages()).filter((line) => line.endsWith(' x')),
      ['cmd/sensor-1/before x'],
    );
  },
);

test('mosquitto: a grant with a rate counts messages, in one connection and over several', async (t) => {
  if (!requires(t, 'mosquitto', 'mosquitto-clients')) return;
  await using broker = await startMosquitto();
  const counts = simulatedUsage();
  await using w = await mqttWorld(broker.port, {
    usage: () => ({ ...counts, recorded: () => undefined, settled: counts }),
  });
  const [grant] = brokerSlice.grants;
  assert.ok(grant !== undefined);
  const limited = { ...grant, id: 'limited', operations: ['telemetry'], rate: { count: 5, perSeconds: 60 } };
  const others = { ...grant, operations: grant.operations.filter((name) => name !== 'telemetry') };
  w.activate({ ...brokerSlice, grants: [others, limited] });
  const { pubLines } = tools(broker, w, '5');
  for (const _ of [1, 2]) await pubLines(['1', '2', '3', '4'], '-t', 'plant/sensor-1/temperature', '-q', '1');
  assert.equal([...broker.log().matchAll(/Received PUBLISH/g)].length, 5);
  const denied = (await w.finish()).filter(({ activity }) => activity === 'deny');
  assert.deepEqual(
    denied.map(({ data }) => [data.rule, data.count]),
    [
      ['grant:limited', 1],
      ['grant:limited', 2],
    ],
  );
});

test('mosquitto: a connection whose grant is used up by it, or by its messages, stays', async (t) => {
  if (!requires(t, 'mosquitto')) return;
  await using broker = await startMosquitto();
  const counts = simulatedUsage();
  await using w = await mqttWorld(broker.port, {
    usage: () => ({ ...counts, recorded: () => undefined, settled: counts }),
  });
  const [grant] = brokerSlice.grants;
  assert.ok(grant !== undefined);
  // These counts know no request: a CONNECT that is judged again, once the broker is dialled, takes two.
  w.activate({ ...brokerSlice, grants: [{ ...grant, rate: { count: 3, perSeconds: 60 } }] });
  await using client = await rawMqtt(w.port, 5);
  await client.send(connectBytes(5));
  assert.equal((await client.next())?.cmd, 'connack');
  const message = (packetId: number): Buffer => publishBytes(5, 'plant/sensor-1/a', { qos: 1, packetId });
  await client.send(message(1), message(2));
  const answers = [await client.next(), await client.next()];
  assert.deepEqual(
    answers.map((packet) => packet?.cmd === 'puback' && packet.reasonCode),
    [0x10, 0x87],
  );
  w.proxy.recheck();
  assert.equal(w.proxy.connections().length, 1, 'the connection itself took its use when it began');
  w.activate({ ...brokerSlice, grants: [] });
  w.proxy.recheck();
  assert.equal(w.proxy.connections().length, 0);
});
