// One edge before a broker, a PLC, a web server and a TLS server, all of them foreign and unchanged, and so are their clients:
// the control plane, a published policy, the kernel's rules and the proxies are the real programs. What reaches a server, the
// server says itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import type { NetProcess } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { type Cell, type Device, openCell } from './machines/cell.ts';
import { type Clients, clientsOn, families, versions } from './machines/clients.ts';
import { machinesPolicy } from './machines/policy.ts';
import { proxies, type Servers, startServers } from './machines/servers.ts';

const camera = 'camera.plant.example';

test('a broker, a PLC, a page and a camera behind one edge', { timeout: 240_000 }, async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'mosquitto', 'mosquitto-clients', 'pymodbus', 'mbpoll', 'curl')) return;
  if (!requires(t, 'openssl', 'nginx')) return;
  await using cell = await openCell(proxies, machinesPolicy('pressure'));
  const servers = await startServers(cell.net, cell.scratch);
  await using _broker = servers.broker;
  const clients = clientsOn(cell.net);
  /** Each step needs the ones before it, so the first failure ends the story. */
  const step = async (what: string, work: () => Promise<void>): Promise<void> => {
    let failure: unknown;
    await t.test(what, async () => {
      await work().catch((error: unknown) => {
        failure = error;
        throw error;
      });
    });
    if (failure !== undefined) throw failure;
  };

  await step('what is granted works, over both families and both versions', () => granted(clients, servers));
  await step('what is not granted reaches no server', () => refused(clients, servers));
  const streams = openStreams(clients);
  await step('a new policy: streams stay, deliveries follow it', () => followsPolicy(cell, streams));
  await step('a quarantined robot is cut off at once', () =>
    contained(cell, clients, servers, streams, 'robot-1', 'quarantine'),
  );
  await step('a revoked press is cut off at once', () =>
    contained(cell, clients, servers, streams, 'press-1', 'revoke'),
  );
  await step('the panel missed nothing', () => undisturbed(streams));
  await step('the cloud’s log has all of it', () => recorded(cell));
});

async function granted(clients: Clients, servers: Servers): Promise<void> {
  for (const family of families) {
    for (const version of versions) {
      const topic = `cell/panel-1/hello-${version}-${family}`;
      const published = await clients.publish('panel-1', family, version, topic, 'hello');
      assert.equal(published.code, 0, published.text);
      await servers.broker.waitForLog(new RegExp(`Received PUBLISH from panel-1-pub .*'${topic}'`));
    }
    const written = await clients.writeRegister('panel-1', family, 5, 42 + family);
    assert.match(written.text, /Written 1 references/);
    const read = await clients.readRegister('panel-1', family, 5);
    assert.match(read.text, new RegExp(`\\[5\\]:\\s+${42 + family}`));
    assert.equal((await clients.getPage('panel-1', family, '/status')).text, 'running\n 200');
    assert.equal((await clients.getPicture('panel-1', family, camera)).text, 'picture /one\n');
  }
}

async function refused(clients: Clients, servers: Servers): Promise<void> {
  const before = { modbus: servers.modbus().length, http: servers.http().length, tls: servers.tls().length };
  for (const family of families) {
    for (const version of versions) {
      await clients.publish('panel-1', family, version, 'cell/robot-1/temperature', 'forged');
      await clients.publish('panel-1', family, version, 'cell/panel-1/kept', 'kept', ['-r']);
      await clients.trySubscribe('panel-1', family, version, '#');
      await clients.trySubscribe('panel-1', family, version, 'office/#');
    }
    assert.match((await clients.writeRegister('panel-1', family, 6, 1)).text, /Illegal function/);
    assert.match((await clients.writeRegister('panel-1', family, 5, 101)).text, /Illegal function/);
    assert.match((await clients.readRegister('panel-1', family, 10)).text, /Illegal function/);
    assert.match((await clients.getPage('panel-1', family, '/recipe')).text, / 403$/);
    assert.match((await clients.getPage('panel-1', family, '/status', ['-X', 'DELETE'])).text, / 403$/);
    assert.equal((await clients.getPicture('panel-1', family, 'other.plant.example')).code, 35);
  }
  const log = servers.broker.log();
  for (const never of [/forged|cell\/robot-1\/temperature/, /'cell\/panel-1\/kept'/, /^\d+:\s+#/m, /office/])
    assert.doesNotMatch(log, never);
  assert.match(log, /^\d+:\s+cell\/# \(QoS/m, 'the wildcard is narrowed to what is granted');
  assert.deepEqual(servers.modbus().slice(before.modbus), []);
  assert.deepEqual(servers.http().slice(before.http), []);
  assert.deepEqual(servers.tls().slice(before.tls), []);

  // The servers themselves would have taken each: asked on their own host, where nothing is between.
  await clients.publish('gateway-1', 0, '5', 'cell/robot-1/temperature', 'local');
  await servers.broker.waitForLog(/'cell\/robot-1\/temperature'/);
  await clients.trySubscribe('gateway-1', 0, '5', '#');
  await servers.broker.waitForLog(/^\d+:\s+# \(QoS/m);
  assert.match((await clients.writeRegister('gateway-1', 1, 6, 1)).text, /Written 1 references/);
  assert.match((await clients.getPage('gateway-1', 1, '/recipe')).text, / 200$/);
  assert.equal((await clients.getPicture('gateway-1', 0, 'other.plant.example')).code, 0);
  assert.deepEqual(servers.modbus().slice(before.modbus), ['write 6 1', 'read 6 1']);
  assert.deepEqual(servers.http().slice(before.http), ['GET /recipe']);
  assert.deepEqual(servers.tls().slice(before.tls), ['other.plant.example /one']);
}

interface Stream {
  readonly subscriber: NetProcess;
  readonly poller: NetProcess;
  readonly pictures: NetProcess;
}

type Streams = ReturnType<typeof openStreams>;

/** Numbers of the sensor, and who lives on them; the press over IPv6. */
function openStreams(clients: Clients) {
  const of = (device: Device, family: 0 | 1, version: string): Stream => ({
    subscriber: clients.subscribe(device, family, version, 'cell/sensor-1/#'),
    poller: clients.poll(device, family, 5),
    pictures: clients.watchPictures(device, family, camera),
  });
  return {
    temperature: clients.publishNumbers('sensor-1', 'cell/sensor-1/temperature'),
    pressure: clients.publishNumbers('sensor-1', 'cell/sensor-1/pressure'),
    'panel-1': of('panel-1', 0, '5'),
    'robot-1': of('robot-1', 0, '311'),
    'press-1': of('press-1', 1, '5'),
  };
}

const clientsOfStreams = ['panel-1', 'robot-1', 'press-1'] as const;

/** Numbers that a subscriber was handed of a topic of the sensor. */
const heard = ({ subscriber }: Stream, what: string): number[] =>
  [...subscriber.output().matchAll(new RegExp(`^cell/sensor-1/${what} (\\d+)$`, 'gm'))].map(([, number]) =>
    Number(number),
  );
const polls = ({ poller }: Stream): number => poller.output().match(/^\[5\]:/gm)?.length ?? 0;
const pictures = ({ pictures: stream }: Stream): number => stream.output().match(/^picture /gm)?.length ?? 0;

const goesOn = async (what: string, count: () => number, by = 5): Promise<void> => {
  const wanted = count() + by;
  await until(what, async () => await Promise.resolve(count() >= wanted));
};

async function followsPolicy(cell: Cell, streams: Streams): Promise<void> {
  for (const name of clientsOfStreams) {
    await goesOn(`${name} hears temperatures`, () => heard(streams[name], 'temperature').length);
    await goesOn(`${name} polls`, () => polls(streams[name]));
    await goesOn(`${name} sees pictures`, () => pictures(streams[name]));
    assert.deepEqual(heard(streams[name], 'pressure'), []);
  }
  await cell.enforce(machinesPolicy('temperature'), 'pressures instead of temperatures');
  for (const name of clientsOfStreams) {
    const before = heard(streams[name], 'temperature').length;
    await goesOn(`${name} hears pressures`, () => heard(streams[name], 'pressure').length, 20);
    assert.ok(heard(streams[name], 'temperature').length === before, 'and no temperature any more');
  }
}

async function contained(
  cell: Cell,
  clients: Clients,
  servers: Servers,
  streams: Streams,
  device: 'robot-1' | 'press-1',
  how: 'quarantine' | 'revoke',
): Promise<void> {
  const { subscriber, poller, pictures: stream } = streams[device];
  const mark = servers.broker.log().length;
  await cell.operate('device', how, device, '--reason', 'it behaves oddly');
  await stream.exited;
  await until('its poll is cut', async () => await Promise.resolve(/failed/.test(poller.output())));
  await until(
    'the broker lost it',
    async () =>
      await Promise.resolve(
        new RegExp(`(Client|error on client) ${device}-sub\\b`).test(servers.broker.log().slice(mark)),
      ),
  );
  const had = {
    heard: heard(streams[device], 'pressure').length,
    polls: polls(streams[device]),
    reads: servers.modbus().length,
  };
  await goesOn('the panel hears more', () => heard(streams['panel-1'], 'pressure').length, 20);
  assert.deepEqual([heard(streams[device], 'pressure').length, polls(streams[device])], [had.heard, had.polls]);
  assert.doesNotMatch(servers.broker.log().slice(mark), new RegExp(`New client connected from .* as ${device}`));
  const family = device === 'press-1' ? 1 : 0;
  assert.notEqual((await clients.getPicture(device, family, camera)).code, 0);
  assert.doesNotMatch((await clients.getPage(device, family, '/status')).text, /running/);
  await Promise.all([subscriber.stop(), poller.stop()]);
}

async function undisturbed(streams: Streams): Promise<void> {
  await Promise.all([streams.temperature.stop(), streams.pressure.stop()]);
  const { 'panel-1': panel } = streams;
  for (const what of ['temperature', 'pressure'] as const) {
    const numbers = heard(panel, what);
    const first = numbers[0] ?? 0;
    assert.deepEqual(
      numbers,
      numbers.map((_, at) => first + at),
      `no ${what} is missed or comes twice`,
    );
  }
  assert.doesNotMatch(panel.poller.output(), /failed/);
  assert.equal(panel.pictures.child.exitCode, null);
}

async function recorded(cell: Cell): Promise<void> {
  const has = async (kind: string, wanted: Readonly<Record<string, unknown>>): Promise<void> =>
    void (await until(`${kind} ${JSON.stringify(wanted)} is in the log`, async () =>
      (await cell.events(kind)).some(({ activity, data }) =>
        Object.entries(wanted).every(([key, value]) => (key === 'activity' ? activity : data[key]) === value),
      ),
    ));
  const panel = { subject: 'panel-1', source_ip: '10.79.0.3' };
  await has('mqtt', { ...panel, activity: 'deny', topic: 'cell/robot-1/temperature' });
  await has('mqtt', { subject: 'panel-1', source_ip: 'fd79::3', activity: 'deny', topic: 'office/#' });
  await has('modbus', { ...panel, activity: 'deny', function_code: 6, address: 6 });
  await has('modbus', { ...panel, activity: 'allow', function_code: 6, address: 5 });
  await has('http', { ...panel, activity: 'deny', path: '/recipe' });
  await has('tls', { ...panel, activity: 'deny', server_name: 'other.plant.example' });
  await has('tls', { subject: 'press-1', source_ip: 'fd79::5', activity: 'allow', server_name: camera });
}
