// Lines of conntrack(8) as orders for it. The programs themselves: test/firewall/flows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { commandFlows, deletionOf } from './command-flows.ts';

const tcp =
  'tcp      6 431999 ESTABLISHED src=10.20.0.3 dst=10.20.0.2 sport=49566 dport=502 src=10.20.0.2 dst=10.20.0.3 sport=502 dport=49566 [ASSURED] mark=0 use=1';

test('a listed flow is deleted by the ports it was opened with, and spared by the port its answers come from', () => {
  assert.equal(deletionOf(tcp, 'ipv4', [8080]), '-D -f ipv4 -p 6 -s 10.20.0.3 -d 10.20.0.2 --sport 49566 --dport 502');
  assert.equal(deletionOf(tcp, 'ipv4', [502]), undefined);
  // A destination that was translated: 8502 outside, 502 behind it.
  assert.equal(deletionOf(tcp.replace('dport=502', 'dport=8502'), 'ipv4', [502]), undefined);
  const ping =
    'icmpv6   58 29 src=fd20::2 dst=fd20::3 type=128 code=0 id=17292 src=fd20::3 dst=fd20::2 type=129 code=0 id=17292 mark=0 use=1';
  assert.equal(
    deletionOf(ping, 'ipv6', [502]),
    '-D -f ipv6 -p 58 -s fd20::2 -d fd20::3 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 17292',
  );
  assert.equal(deletionOf('', 'ipv4', []), undefined);
});

test('property: whatever is listed, an order is one line of options and addresses', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((noise) => `${tcp} ${noise}`),
      ),
      (line) => {
        assert.match(deletionOf(line, 'ipv4', []) ?? '-D', /^-D[ 0-9a-z.:-]*$/);
      },
    ),
  );
});

test('programs that fail or are missing are failures, in their own words', async () => {
  const ended = await commandFlows(async (argv) => ({ code: 127, stdout: '', stderr: `${argv[0]}: not found\n` }))({
    addresses: [{ family: 4, text: '10.20.0.3' }],
    sparedPorts: [],
  });
  assert.deepEqual(ended, {
    sockets: 0,
    flows: 0,
    failures: [
      'ss -K -H -t dst 10.20.0.3: ss: not found',
      'conntrack -D -f ipv4 -s 10.20.0.3: conntrack: not found',
      'conntrack -D -f ipv4 -r 10.20.0.3: conntrack: not found',
    ],
  });
});
