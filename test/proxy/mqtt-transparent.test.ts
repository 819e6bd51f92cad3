// A broker and clients that know nothing, in network namespaces: TPROXY diverts what comes from outside. The same messages
// arrive before the rules are loaded, and do not after; a client without an identity does not even connect.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { startMosquitto } from '../support/mosquitto.ts';
import { createNetwork } from '../support/netns.ts';

const address = '10.78.0.2';
const listenPort = '11883';

const rules = `table inet divert {
  chain prerouting {
    type filter hook prerouting priority mangle; policy accept;
    iifname "lo" accept
    socket transparent 1 meta mark set 1 accept
    ip daddr ${address} tcp dport 1883 tproxy ip to 127.0.0.1:${listenPort} meta mark set 1 accept
  }
}
`;

test('transparent: mosquitto and its clients, unchanged, with the proxy between them', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'mosquitto', 'mosquitto-clients')) return;
  await using net = await createNetwork({
    hosts: {
      broker: { interfaces: { eth0: { network: 'cell', addresses: [`${address}/24`] } } },
      sensor: { interfaces: { eth0: { network: 'cell', addresses: ['10.78.0.3/24'] } } },
      stranger: { interfaces: { eth0: { network: 'cell', addresses: ['10.78.0.4/24'] } } },
    },
  });
  await using broker = await startMosquitto({ address, port: 1883, on: (argv) => net.commandOn('broker', argv) });
  const publish = async (from: 'sensor' | 'stranger' | 'broker', version: string, topic: string, payload: string) => {
    const argv = ['mosquitto_pub', '-h', address, '-i', from === 'broker' ? 'local' : 'sensor-1', '-V', version];
    const { code, stdout, stderr } = await net.exec(from, [...argv, '-q', '2', '-t', topic, '-m', payload]);
    return { code, output: stdout + stderr };
  };
  const arrived = (name: string): boolean => broker.log().includes(`'${name}'`);

  for (const version of ['311', '5']) {
    assert.equal((await publish('sensor', version, `secret/before/${version}`, 'x')).code, 0);
    assert.ok(arrived(`secret/before/${version}`), 'control: without the rules it arrives');
  }
  const host = net.spawn('broker', [
    process.execPath,
    join(import.meta.dirname, 'mqtt-transparent-host.ts'),
    address,
    listenPort,
  ]);
  await host.waitFor(/ready/);
  for (const argv of [
    ['ip', 'rule', 'add', 'fwmark', '1', 'lookup', '100'],
    ['ip', 'route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo', 'table', '100'],
  ]) {
    assert.equal((await net.exec('broker', argv)).code, 0);
  }
  const loaded = await net.exec('broker', ['nft', '-f', '-'], { input: rules });
  assert.equal(loaded.code, 0, loaded.stderr);

  for (const version of ['311', '5']) {
    assert.equal((await publish('sensor', version, `plant/sensor-1/${version}`, 'x')).code, 0);
    await publish('sensor', version, `secret/after/${version}`, 'x');
    assert.notEqual((await publish('stranger', version, `plant/sensor-1/stranger${version}`, 'x')).code, 0);
    // The host itself is not diverted, and neither is the proxy's own connection.
    assert.equal((await publish('broker', version, `secret/local/${version}`, 'x')).code, 0);
    assert.ok(arrived(`plant/sensor-1/${version}`));
    assert.ok(arrived(`secret/local/${version}`));
    assert.ok(!arrived(`secret/after/${version}`));
    assert.ok(!arrived(`plant/sensor-1/stranger${version}`));
  }
  const [denied] = await host.waitFor(/^\{.*"activity":"deny".*"topic":"secret.*\}$/m);
  const { data } = JSON.parse(denied) as { data: Record<string, unknown> };
  assert.deepEqual(
    [data['subject'], data['source_ip'], data['destination_ip'], data['destination_port'], data['topic'], data['qos']],
    ['sensor-1', '10.78.0.3', address, 1883, 'secret/after/311', 2],
  );
});
