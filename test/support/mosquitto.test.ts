// The broker of the tests: two foreign clients talk through it in both versions, and the plugin refuses strangers.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { requires } from './capabilities.ts';
import { dynamicSecurityAdmin, startMosquitto } from './mosquitto.ts';
import type { Mosquitto } from './mosquitto.ts';
import { run } from './netns-process.ts';

const at = (broker: Mosquitto): string[] => ['-h', broker.address, '-p', String(broker.port)];

test('a retained message is handed on in MQTT 3.1.1 and 5, and nothing is left behind', async (t) => {
  if (!requires(t, 'mosquitto', 'mosquitto-clients')) return;
  const broker = await startMosquitto();
  for (const version of ['311', '5']) {
    const topic = ['-V', version, '-t', `line/${version}`];
    assert.equal((await run(['mosquitto_pub', ...at(broker), ...topic, '-q', '1', '-r', '-m', 'hello'])).code, 0);
    const heard = await run(['mosquitto_sub', ...at(broker), ...topic, '-C', '1', '-W', '5']);
    assert.equal(heard.stdout, 'hello\n');
  }
  assert.match(broker.log(), /Received PUBLISH from .*line\/5/);
  await broker.stop();
  assert.ok(!existsSync(`/proc/${broker.pid}`));
});

test('with dynamic security only its accounts get in', async (t) => {
  if (!requires(t, 'mosquitto', 'mosquitto-clients', 'mosquitto-dynsec')) return;
  await using broker = await startMosquitto({ dynamicSecurity: true });
  const stranger = await run(['mosquitto_pub', ...at(broker), '-t', 'x', '-m', 'y']);
  assert.notEqual(stranger.code, 0);
  const { userName, password } = dynamicSecurityAdmin;
  const account = ['-u', userName, '-P', password];
  const made = await run(['mosquitto_ctrl', ...at(broker), ...account, 'dynsec', 'createClient', 'c', '-p', 'secret']);
  assert.equal(made.code, 0, made.stderr);
  const { clients } = (await broker.dynamicSecurity()) as { clients: { username: string }[] };
  assert.deepEqual(clients.map(({ username }) => username).sort(), ['admin', 'c']);
});

test('a configuration that it refuses is told with its own words', async (t) => {
  if (!requires(t, 'mosquitto')) return;
  await assert.rejects(startMosquitto({ config: ['no_such_option true'] }), /no_such_option/);
});
