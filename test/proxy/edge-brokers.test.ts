// The second layer as the edge runs it: at a real broker, from its configuration, after a bundle and at intervals.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { type BrokerParts, openBrokers, readLogins } from '../../bin/edge/brokers.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { requires } from '../support/capabilities.ts';
import { dynamicSecurityAdmin, startMosquitto } from '../support/mosquitto.ts';
import { run } from '../support/netns-process.ts';
import { brokerSlice, mqttWorld } from './mqtt-world.ts';

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries++) {
    assert.ok(tries < 500, 'it does not happen');
    await systemClock.sleep(20);
  }
}

test('edge: a broker of the configuration is closed, opened to the devices of the policy, and kept so', async (t) => {
  if (!requires(t, 'mosquitto', 'mosquitto-clients', 'mosquitto-dynsec')) return;
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-brokers-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const passwordFile = join(folder, 'admin.secret');
  writeFileSync(passwordFile, `${dynamicSecurityAdmin.password}\n`, { mode: 0o644 });
  await using broker = await startMosquitto({ dynamicSecurity: true });
  const events: NewEvent[] = [];
  let slice: Slice | undefined;
  const parts: BrokerParts = {
    config: {
      brokers: [
        {
          interface: 'broker',
          address: `127.0.0.1:${broker.port}`,
          admin: { userName: dynamicSecurityAdmin.userName, passwordFile },
          intervalSeconds: 1,
        },
      ],
    },
    stored: { fs: nodeFiles, stateDir: folder },
    slice: () => slice,
    clock: systemClock,
    emit: async (event) => {
      events.push(event);
      await Promise.resolve();
    },
    log: createLogger({ name: 'test', level: 'silent' }),
  };
  await assert.rejects(openBrokers(parts), /0644|others/, 'a password that others may read');
  chmodSync(passwordFile, 0o600);
  const brokers = await openBrokers(parts);
  assert.equal(statSync(join(folder, 'broker-accounts.key')).mode & 0o777, 0o600);
  const stop = new AbortController();
  const running = brokers.task(stop.signal);
  try {
    slice = brokerSlice;
    await until(() => events.length === 1);
    assert.deepEqual([events[0]?.activity, events[0]?.severity, events[0]?.data.status], ['repair', 'info', 'policy']);

    await using w = await mqttWorld(broker.port, {}, brokers.loginOf);
    const publish = async (port: number): Promise<number | null> =>
      (
        await run([
          'mosquitto_pub',
          '-h',
          '127.0.0.1',
          '-p',
          String(port),
          '-i',
          'sensor-1',
          '-q',
          '1',
          '-t',
          'plant/sensor-1/t',
          '-m',
          'x',
        ])
      ).code;
    assert.equal(await publish(w.port), 0);
    assert.notEqual(await publish(broker.port), 0);
    // The stand-in, and the edge when it starts again, know the same accounts.
    const again = await readLogins(parts.config, parts.stored);
    assert.deepEqual(again('broker', 'sensor-1'), brokers.loginOf('broker', 'sensor-1'));
    assert.equal(brokers.loginOf('another', 'sensor-1'), undefined);
    assert.equal(brokers.loginOf('broker', ''), undefined);

    const { userName, password } = dynamicSecurityAdmin;
    const control = ['mosquitto_ctrl', '-p', String(broker.port), '-u', userName, '-P', password, 'dynsec'];
    assert.equal((await run([...control, 'disableClient', 'sensor-1'])).code, 0);
    await until(() => events.length === 2);
    const [, drift] = events;
    assert.deepEqual(
      [drift?.severity, drift?.data.status, drift?.data.message],
      ['high', 'drift', 'account sensor-1 is disabled'],
    );
    assert.equal(await publish(w.port), 0);

    await broker.stop();
    await until(() => events.length === 3);
    assert.deepEqual([events[2]?.data.status, events[2]?.data.code], ['failed', 'BROKER_UNREACHABLE']);
  } finally {
    stop.abort();
    await running;
  }
});
