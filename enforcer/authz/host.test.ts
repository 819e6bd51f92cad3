// A host with two spellings is none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostFault } from './host.ts';

test('hosts: one spelling', () => {
  for (const host of [
    'plant.example',
    'hmi-1.plant.example:8443',
    'web_server:80',
    'localhost',
    '192.0.2.1',
    '192.0.2.1:65535',
    '[2001:db8::1]',
    '[::1]:443',
    'xn--bcher-kva.example',
    '1and1.example',
    '4.example',
  ]) {
    assert.equal(hostFault(host), undefined, host);
  }
});

test('hosts: two spellings', () => {
  for (const host of [
    ['', '.', 'a..b', '.a', 'plant.example.', 'plant.example.:443'],
    ['Plant.example', 'PLANT.EXAMPLE', 'pl\u00e4nt.example', 'plant\u3002example', '\u212aelvin'],
    ['user@plant.example', 'user:pass@plant.example', 'a,b', 'a b', 'a/b', 'a\\b', 'a?b', 'a#b', 'a%2eb', 'a\u0000b'],
    ['plant.example:', 'plant.example:0', 'plant.example:080', 'plant.example:65536', 'plant.example:+80'],
    ['plant.example:80:80', ':80', 'plant.example:8a', '::1', '-a.example', 'a-.example'],
    ['127.1', '0177.0.0.1', '0x7f.0.0.1', '2130706433', '1.2.3.4.5', 'a.1', 'a.0x', '256.1.1.1', '1.2.3.04'],
    ['[::1', '[]', '[::1]x', '[::1]:', '[::1]:0', '[0:0:0:0:0:0:0:1]', '[2001:DB8::1]', '[::ffff:192.0.2.1]'],
    ['[fe80::1%25eth0]', '[v1.a]', '[::1]@evil', '[192.0.2.1]', `${'a'.repeat(64)}.example`, 'a.'.repeat(130)],
  ].flat()) {
    assert.equal(typeof hostFault(host), 'string', JSON.stringify(host));
  }
});

test('property: any text is judged without a fault, and a host of one spelling is what the URL parser makes of it', () => {
  const pieces = fc.constantFrom(
    'a',
    'B',
    '.',
    '-',
    '_',
    '1',
    '0x',
    ':',
    '80',
    '[',
    ']',
    '::1',
    '@',
    '%41',
    '/',
    '\\',
    '\u00e4',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(pieces, { maxLength: 8 }).map((all) => all.join('')),
      ),
      (host) => {
        if (hostFault(host) !== undefined) return;
        // A special scheme, so that addresses are read as browsers do; with a port that none has by default.
        const port = /:\d+$/.exec(host.replace(/^\[.*\]/, ''))?.[0] ?? '';
        const url = new URL(`http://${host.slice(0, host.length - port.length)}:4711/`);
        assert.equal(url.hostname + port, host);
        assert.equal(url.username + url.password, '');
      },
    ),
    { numRuns: 5_000 },
  );
});
