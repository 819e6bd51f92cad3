// A will is judged with its CONNECT and published much later, by the broker itself: what is no longer allowed then is taken back,
// whoever ends the connection. Real mosquitto; each with the will that is still allowed as its control.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { startMosquitto } from '../support/mosquitto.ts';
import { run } from '../support/netns-process.ts';
import { encode } from '../../enforcer/proxy/mqtt/encode.ts';
import { connectBytes, publishBytes } from './mqtt-raw.ts';
import { brokerSlice, mqttWorld } from './mqtt-world.ts';

const will = { topic: 'status/sensor-1', payload: Buffer.from('gone'), qos: 0, retain: true, properties: [] } as const;

/** Everything but wills goes on being granted. */
const withoutWills = {
  ...brokerSlice,
  grants: brokerSlice.grants.map((grant) => ({
    ...grant,
    operations: grant.operations.filter((name) => name !== 'status'),
  })),
};

const ends = [
  'the order of the cloud',
  'the client, silently',
  'the client, asking for its will',
  'the broker, for another of its name',
] as const;

for (const version of [4, 5] as const) {
  for (const end of ends) {
    if (version === 4 && end === 'the client, asking for its will') continue;
    for (const granted of [true, false]) {
      const name = `MQTT ${version === 4 ? '3.1.1' : '5.0'}: ended by ${end}, a will ${granted ? 'still granted is published' : 'no longer granted is not'}`;
      test(name, async (t) => {
        if (!requires(t, 'mosquitto', 'mosquitto-clients')) return;
        await using broker = await startMosquitto();
        await using w = await mqttWorld(broker.port);
        const client = connect({ port: w.port, host: '127.0.0.1' });
        client.on('error', () => undefined);
        client.write(connectBytes(version, 'sensor-1', { will }));
        await once(client, 'data');
        if (!granted) w.activate(withoutWills);
        if (end === 'the order of the cloud') assert.equal(w.proxy.close('sensor-1'), 1);
        else if (end === 'the client, silently') client.destroy();
        else if (end === 'the broker, for another of its name') {
          w.proxy.recheck();
          const other = connect({ port: w.port, host: '127.0.0.1' });
          other.on('error', () => undefined);
          other.write(connectBytes(version, 'sensor-1'));
          await once(other, 'data');
          other.destroy();
        } else client.end(encode({ type: 'disconnect', reason: 0x04, properties: [] }, version));
        await broker.waitForLog(
          /Client sensor-1 (closed|disconnected|already connected)|Socket error on client sensor-1/,
        );
        client.destroy();
        const at = ['-h', '127.0.0.1', '-p', String(broker.port)];
        const heard = await run(['mosquitto_sub', ...at, '-t', 'status/#', '-v', '-C', '1', '-W', '1']);
        assert.equal(heard.stdout, granted ? 'status/sensor-1 gone\n' : '', broker.log());
      });
    }
  }
}

test('a broker that reads nothing keeps no side of a connection open that ended, told of the will or not', async () => {
  const deaf = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.pause();
      socket.write(encode({ type: 'connack', sessionPresent: false, reason: 0, properties: [] }, 4));
    });
  });
  await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
  const { port } = deaf.address() as AddressInfo;
  const sides: Socket[] = [];
  await using w = await mqttWorld(port, {
    limits: { stallTimeoutMs: 100 },
    async connectUpstream() {
      const side = connect({ port, host: '127.0.0.1' });
      await once(side, 'connect');
      sides.push(side);
      return side;
    },
  });
  const message = publishBytes(4, 'plant/sensor-1/x', { payload: Buffer.alloc(1_900) });
  for (const granted of [true, false]) {
    w.activate(brokerSlice);
    const client = connect({ port: w.port, host: '127.0.0.1' });
    client.on('error', () => undefined);
    client.write(connectBytes(4, 'sensor-1', { will }));
    await once(client, 'data');
    const side = sides.at(-1);
    assert.ok(side !== undefined);
    while (side.writableLength === 0 && !side.destroyed) {
      client.write(Buffer.concat(Array.from({ length: 100 }, () => message)));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    if (!granted) w.activate(withoutWills);
    if (!granted) w.proxy.recheck();
    client.resetAndDestroy();
    if (!side.destroyed) await once(side, 'close', { signal: AbortSignal.timeout(10_000) });
  }
  deaf.close();
});
