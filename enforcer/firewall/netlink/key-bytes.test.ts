// Keys as the kernel keeps them, and back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { canonicalKey } from '../keys.ts';
import { randomTable } from '../../../test/firewall/random-table.ts';
import { keyLayout, keyTypesOf } from './key-bytes.ts';

test('what is written is read back in the spelling of keys.ts, for every type and concatenation', () => {
  fc.assert(
    fc.property(randomTable, ({ sets }) => {
      for (const set of sets) {
        const layout = keyLayout(set.type);
        assert.deepEqual(keyTypesOf(layout.number), set.type);
        for (const { key } of set.elements) {
          const { first, last } = set.interval
            ? layout.writeRange(key)
            : { first: layout.write(key), last: layout.write(key) };
          assert.equal(layout.rangeText(first, last), canonicalKey(set.type, key));
          if (!set.interval) assert.equal(layout.textAt(first, 0), canonicalKey(set.type, key));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('fields of a concatenation stand on boundaries of 4 bytes, as nft writes them', () => {
  const hex = (types: Parameters<typeof keyLayout>[0], ...key: string[]): string =>
    keyLayout(types).write(key).toString('hex');
  assert.equal(hex(['ipv4_addr', 'inet_proto', 'inet_service'], '10.0.0.1', 'tcp', '80'), '0a0000010600000000500000');
  assert.equal(
    hex(['ifname', 'ether_addr', 'ipv4_addr'], 'eth0', '02:00:00:00:00:02', '10.20.0.2'),
    '6574683000000000000000000000000002000000000200000a140002',
  );
  assert.equal(hex(['inet_service'], '502'), '01f6');
  assert.equal(hex(['mark'], '2147483649'), '01000080');
});

test('a value that is none of its type is refused by name', () => {
  const wrong: readonly [Parameters<typeof keyLayout>[0][number], readonly string[]][] = [
    [
      'ipv4_addr',
      ['', '10.0.0', '10.0.0.256', '10.0.0.1.2', '10..0.1', '10.0.0.1 ', 'fd00::1', '-1.0.0.0', '0x1.0.0.0'],
    ],
    ['ipv6_addr', ['10.0.0.1', '']],
    ['inet_service', ['65536', '-1', 'http', '']],
    ['inet_proto', ['256', 'ospf']],
    ['ether_addr', ['02:00:00:00:00', '2:0:0:0:0:0', '']],
    ['ifname', ['', 'sixteen-letters-']],
    ['nf_proto', ['ip', '2']],
    ['mark', ['4294967296', 'x']],
    ['cgroupsv2', ['no/such/group']],
  ];
  for (const [type, values] of wrong) {
    for (const value of values) {
      assert.throws(() => keyLayout([type]).write([value]), { code: 'FIREWALL_ADDRESS' }, `${type} ${value}`);
    }
  }
});
