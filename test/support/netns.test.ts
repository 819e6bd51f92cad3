// The test network itself: what it claims to build is there, probes tell the outcomes apart, and nothing is left behind.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { requires } from './capabilities.ts';
import { createNetwork } from './netns.ts';

const hosts = {
  a: { interfaces: { eth0: { network: 'lan', addresses: ['10.9.0.1/24', 'fd09::1/64'], mac: '02:00:00:00:09:01' } } },
  b: { interfaces: { eth0: { network: 'lan', addresses: ['10.9.0.2/24', 'fd09::2/64'] } } },
} as const;

test('hosts reach each other over both families, and a cut cable is silence', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'tcpdump', 'ping')) return;
  await using net = await createNetwork({ hosts });
  await net.echo('b', 'tcp', 7);
  await net.echo('b', 'udp', 7);
  assert.equal(await net.probeTcp('a', '10.9.0.2', 7), 'open');
  assert.equal(await net.probeTcp('a', 'fd09::2', 7), 'open');
  assert.equal(await net.probeTcp('a', '10.9.0.2', 8), 'refused');
  assert.equal(await net.probeUdp('a', 'fd09::2', 7), 'answered');
  assert.equal(await net.probeUdp('a', '10.9.0.2', 8), 'refused');
  assert.equal(await net.ping('a', 'fd09::2'), true);
  const watch = await net.watch('b', { match: 'udp dport 7' });
  assert.equal(await net.agent('a').burst('10.9.0.2', 7, 50), 50);
  assert.equal(await watch.count(), 50);
  await watch.stop();
  await net.cut('b');
  assert.equal(await net.probeTcp('a', '10.9.0.2', 7), 'silent');
  await net.mend('b');
  assert.equal(await net.ping('a', '10.9.0.2', 3), true);
});

test('the namespaces of a killed owner are removed by the next network', async (t) => {
  if (!requires(t, 'root', 'netns')) return;
  const module = new URL('./netns.ts', import.meta.url).href;
  const script = `
    const { createNetwork } = await import(${JSON.stringify(module)});
    const net = await createNetwork({ hosts: ${JSON.stringify(hosts)} });
    console.log(net.namespaceOf('a'));
    net.spawn('a', ['sleep', '600']);
    process.kill(process.pid, 'SIGKILL');`;
  const killed = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  const leftover = killed.stdout.trim();
  assert.match(leftover, /^ew-\d+-1-a$/);
  const names = (): string => spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout;
  assert.ok(names().includes(leftover));
  const net = await createNetwork({ hosts });
  const own = net.namespaceOf('a');
  assert.ok(names().includes(own));
  assert.ok(!names().includes(leftover));
  await net.close();
  await net.close();
  assert.ok(!names().includes(own));
});
