import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ipv6Text, parseNetwork } from './linux-packet.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/[^0-9a-f]/g, ''), 'hex');
const ipv4 = (protocol: string, rest: string, flags = '0000'): Buffer =>
  hex(`4500 0028 0001 ${flags} 40 ${protocol} 0000 0a140003 0a140002 ${rest}`);
const ipv6 = (next: string, rest: string): Buffer =>
  hex(`60000000 0014 ${next} 40 fd200000000000000000000000000003 fd200000000000000000000000000002 ${rest}`);
const ports = '9c40 01f6';

test('IPv4 with TCP, UDP, ICMP, another protocol, and options', () => {
  const base = { source: '10.20.0.3', destination: '10.20.0.2' };
  const tcp = `${ports} 00000000 00000000 5002 0000 0000 0000`;
  assert.deepEqual(parseNetwork(ipv4('06', tcp)), {
    ...base,
    protocol: 'tcp',
    sourcePort: 40_000,
    destinationPort: 502,
    tcpFlags: 2,
  });
  assert.deepEqual(parseNetwork(ipv4('11', ports)), {
    ...base,
    protocol: 'udp',
    sourcePort: 40_000,
    destinationPort: 502,
  });
  assert.deepEqual(parseNetwork(ipv4('01', '0800 0000')), { ...base, protocol: 'icmp', icmpType: 8 });
  assert.deepEqual(parseNetwork(ipv4('2f', '0000 0800')), { ...base, protocol: '47' });
  const withOptions = hex(`4600 002c 0001 0000 40 11 0000 0a140003 0a140002 01010101 ${ports}`);
  assert.equal(parseNetwork(withOptions)?.destinationPort, 502);
});

test('a later fragment has no ports, and a cut header none either', () => {
  assert.equal(parseNetwork(ipv4('06', ports, '0010'))?.destinationPort, undefined);
  assert.equal(parseNetwork(ipv4('06', '9c'))?.sourcePort, undefined);
  assert.equal(parseNetwork(hex('4500 0028')), undefined);
  assert.equal(parseNetwork(hex('6000')), undefined);
  assert.equal(parseNetwork(Buffer.alloc(0)), undefined);
});

test('IPv6 behind hop-by-hop, destination options, authentication and fragment headers', () => {
  const chain = [
    '3c 00 0000 00000000', // hop-by-hop, then destination options
    '33 00 0000 00000000', // destination options, then authentication
    '2c 01 0000 00000000 00000000', // authentication (12 bytes), then fragment
    '11 00 0001 00000000', // first fragment, more follow
  ].join(' ');
  assert.deepEqual(parseNetwork(ipv6('00', `${chain} ${ports}`)), {
    source: 'fd20::3',
    destination: 'fd20::2',
    protocol: 'udp',
    sourcePort: 40_000,
    destinationPort: 502,
  });
  assert.equal(parseNetwork(ipv6('2c', `11 00 0008 00000000 ${ports}`))?.destinationPort, undefined);
  assert.deepEqual(parseNetwork(ipv6('3a', '8000 0000'))?.icmpType, 128);
});

test('addresses are written as RFC 5952 says', () => {
  const text = (words: string): string => ipv6Text(hex(words));
  assert.equal(text('0000000000000000 0000000000000001'), '::1');
  assert.equal(text('20010db800000000 0001000000000001'), '2001:db8::1:0:0:1');
  assert.equal(text('20010db800000001 0001000100010001'), '2001:db8:0:1:1:1:1:1');
  assert.equal(text('0000000000000000 0000000000000000'), '::');
});

test('no bytes make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(0x45, 0x4f, 0x60), (bytes, first) => {
      const packet = Buffer.from(bytes);
      if (packet.length > 0) packet[0] = first;
      parseNetwork(packet);
    }),
    { numRuns: 2_000 },
  );
});
