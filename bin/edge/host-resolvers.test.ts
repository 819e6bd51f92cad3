import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostResolvers } from './host-resolvers.ts';

const files =
  (texts: Readonly<Record<string, string>>) =>
  (path: string): Promise<string | undefined> =>
    Promise.resolve(texts[path]);

test('the resolvers of resolv.conf, without what no rule can name', async () => {
  const text =
    '# made by DHCP\nsearch plant.example\nnameserver 10.20.0.53\nnameserver\tfd20::53 # second\n' +
    'nameserver fe80::1%eth0\nnameserver ::ffff:10.0.0.1\nnameserver name.example\nnameserver\n #nameserver 10.9.9.9\n';
  assert.deepEqual(await hostResolvers(files({ '/etc/resolv.conf': text })), ['10.20.0.53', 'fd20::53']);
});

test('behind a resolver on this host, the ones that it asks', async () => {
  const stub = { '/etc/resolv.conf': 'nameserver 127.0.0.53\noptions edns0\n' };
  const behind = { '/run/systemd/resolve/resolv.conf': 'nameserver 10.20.0.53\n' };
  assert.deepEqual(await hostResolvers(files({ ...stub, ...behind })), ['10.20.0.53']);
  assert.deepEqual(await hostResolvers(files(stub)), []);
  const named = { '/etc/resolv.conf': 'nameserver 10.20.0.54\n' };
  assert.deepEqual(await hostResolvers(files({ ...named, ...behind })), ['10.20.0.54'], 'not asked, not opened');
});

test('a host without any is no fault', async () => {
  assert.deepEqual(await hostResolvers(files({})), []);
});
