// Elements of the seen sets as a kernel (Linux 6.18) and nft 1.0.6 wrote them, and garbage. Against a kernel:
// test/firewall/flows-seen.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CodedError } from '../../../runtime/errors.ts';
import { netlinkMessages } from '../../../runtime/linux-netlink-wire.ts';
import { commandSeen, parseSeen } from './command-seen.ts';
import { flowAddress } from './flow-address.ts';
import { netlinkSeen, readSeenElements } from './netlink-seen.ts';

const local = flowAddress('127.0.0.1');
/** The element of 127.0.0.1, 136 ms after its last packet. */
const element = Buffer.from(
  '740000000c0a0000020000006a5700000100000206000100740000000a0002007365656e340000004c000300480001000c000100080001007f00' +
    '00012c0007000c000100636f756e746572001c0002000c00010000000000000001f80c00020000000000000000060c000500000000080befbf78',
  'hex',
);
const read = (bytes: Buffer): unknown =>
  [...netlinkMessages(bytes)].flatMap((message) => readSeenElements(message, [local]));

test('an element says when its address was seen last, and how often', () => {
  assert.deepEqual(read(element), [{ address: local, agoMs: 136, packets: 6, bytes: 504 }]);
  const [message] = netlinkMessages(element);
  assert.ok(message);
  assert.deepEqual(readSeenElements(message, [flowAddress('127.0.0.2')]), []);
  const listed = `table inet t {
    set seen4 {
        elements = { 127.0.0.1 counter packets 6 bytes 504 expires 399d23h59m58s992ms,
                     fd20::3 counter packets 1 bytes 40 expires 399d }
    }
}`;
  assert.deepEqual(parseSeen(listed), [
    { address: local, agoMs: 1_008, packets: 6, bytes: 504 },
    { address: flowAddress('fd20::3'), agoMs: 86_400_000, packets: 1, bytes: 40 },
  ]);
});

test('what is not seen is left out, a set that is not there is a fault, and so is an answer without the element', async () => {
  const answering = (stderr: string, code = 1) => commandSeen(async () => ({ code, stdout: '', stderr }), 'inet t');
  const absent = answering('Error: Could not process rule: No such file or directory\nget element …');
  assert.deepEqual(await absent('seen4', [local]), []);
  const gone = 'Error: No such file or directory; did you mean set ‘seen4’ in table inet ‘t’?';
  await assert.rejects(answering(gone)('seen5', [local]), { code: 'FIREWALL_FLOWS', message: /did you mean/ });
  await assert.rejects(answering('', 0)('seen4', [local]), { code: 'FIREWALL_FLOWS', message: /no element/ });
  const silent = netlinkSeen('t', undefined, () => ({
    send: () => {},
    read: () => ({ kind: 'overrun' }),
    close: () => {},
  }));
  await assert.rejects(silent('seen4', [local]), { code: 'LINUX_NETLINK_OVERRUN' });
});

test('property: garbage is a coded error, or an element of ours with a whole counter', () => {
  const damaged = fc
    .tuple(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.option(fc.nat(element.length)))
    .map(([changes, cut]) => {
      const bytes = Buffer.from(element);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      if (cut === null || cut < 16) return bytes;
      const short = Buffer.from(bytes.subarray(0, cut));
      short.writeUInt32LE(cut, 0);
      return short;
    });
  fc.assert(
    fc.property(damaged, (bytes) => {
      try {
        for (const message of netlinkMessages(bytes)) {
          for (const { address, agoMs, packets, bytes: count } of readSeenElements(message, [local])) {
            assert.equal(address, local);
            for (const number of [agoMs, packets, count]) assert.ok(Number.isSafeInteger(number) && number >= 0);
          }
        }
      } catch (error) {
        assert.ok(error instanceof CodedError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

test('property: text that nft did not write is no element, or a plain one', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (address, left) => {
      try {
        for (const seen of parseSeen(`${address} counter packets 6 bytes 504 expires ${left}1s`)) {
          assert.ok(Number.isSafeInteger(seen.agoMs));
        }
      } catch (error) {
        assert.ok(error instanceof CodedError, String(error));
      }
    }),
  );
});
