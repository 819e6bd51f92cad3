// The proxy as it stands on an edge: TPROXY diverts what comes from outside, client and server keep their addresses and
// know nothing. The same write arrives before the rules are loaded, and does not after.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';

const plc = '10.77.0.2';
const listenPort = '15502';

const rules = `table inet divert {
  chain prerouting {
    type filter hook prerouting priority mangle; policy accept;
    iifname "lo" accept
    socket transparent 1 meta mark set 1 accept
    ip daddr ${plc} tcp dport 502 tproxy ip to 127.0.0.1:${listenPort} meta mark set 1 accept
  }
}
`;

test('transparent: TPROXY diverts peers to the proxy, the write is refused and the read is not', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'mbpoll')) return;
  await using net = await createNetwork({
    hosts: {
      plc: { interfaces: { eth0: { network: 'cell', addresses: [`${plc}/24`] } } },
      gateway: { interfaces: { eth0: { network: 'cell', addresses: ['10.77.0.3/24'] } } },
      stranger: { interfaces: { eth0: { network: 'cell', addresses: ['10.77.0.4/24'] } } },
    },
  });
  const host = net.spawn('plc', [process.execPath, join(import.meta.dirname, 'transparent-host.ts'), plc, listenPort]);
  await host.waitFor(/ready/);
  const mbpoll = async (from: 'gateway' | 'stranger' | 'plc', ...args: string[]): Promise<string> => {
    const { stdout, stderr } = await net.exec(from, [
      'mbpoll',
      '-1',
      '-0',
      '-m',
      'tcp',
      '-t',
      '4',
      '-r',
      '50',
      ...args,
    ]);
    return stdout + stderr;
  };

  assert.match(
    await mbpoll('gateway', plc, '11'),
    /Written 1 references/,
    'control: without the rules the write arrives',
  );

  for (const argv of [
    ['ip', 'rule', 'add', 'fwmark', '1', 'lookup', '100'],
    ['ip', 'route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo', 'table', '100'],
  ]) {
    assert.equal((await net.exec('plc', argv)).code, 0);
  }
  const loaded = await net.exec('plc', ['nft', '-f', '-'], { input: rules });
  assert.equal(loaded.code, 0, loaded.stderr);

  assert.match(await mbpoll('gateway', plc, '22'), /Illegal function/);
  assert.match(await mbpoll('gateway', plc), /\[50\]:\s+11/);
  assert.match(await mbpoll('stranger', plc), /Illegal function/);
  // The host itself is not diverted, and neither is the proxy's own connection.
  assert.match(await mbpoll('plc', plc), /\[50\]:\s+11/);

  const [denied] = await host.waitFor(/^\{.*"activity":"deny".*\}$/m);
  const { data } = JSON.parse(denied) as { data: Record<string, unknown> };
  assert.deepEqual(
    [data['subject'], data['source_ip'], data['destination_ip'], data['destination_port'], data['function_code']],
    ['gateway-1', '10.77.0.3', plc, 502, 6],
  );
});
