// The exchange of one request against answers of every kind, and sockets of other network namespaces.
import assert from 'node:assert/strict';
import { readlinkSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { requires } from '../test/support/capabilities.ts';
import { createNetwork } from '../test/support/netns.ts';
import { exchange, openNetlink } from './linux-netlink.ts';
import type { NetlinkRead } from './linux-netlink.ts';
import { NETLINK, NetlinkWriter, NLM_F, NLMSG } from './linux-netlink-wire.ts';
import type { NetlinkRequest } from './linux-netlink-wire.ts';

const GETGEN = (10 << 8) | 16;
const NEWGEN = (10 << 8) | 15;
const GETTABLE = (10 << 8) | 1;

function requestOf(flags: readonly number[]): NetlinkRequest {
  const writer = new NetlinkWriter();
  for (const flag of flags) writer.begin(GETGEN, NLM_F.request | flag).netfilter(0);
  return writer.finish();
}

function message(type: number, flags: number, sequence: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + payload.length, 0);
  head.writeUInt16LE(type, 4);
  head.writeUInt16LE(flags, 6);
  head.writeUInt32LE(sequence, 8);
  return Buffer.concat([head, payload]);
}

function answer(sequence: number, errno: number): Buffer {
  const payload = Buffer.alloc(20);
  payload.writeInt32LE(-errno);
  return message(NLMSG.error, NLM_F.capped, sequence, payload);
}

/** A socket that gives these reads and nothing more. */
function fake(...reads: readonly (Buffer | 'overrun')[]): Parameters<typeof exchange>[0] {
  const left = [...reads];
  return {
    send: () => undefined,
    read: (): NetlinkRead => {
      const next = left.shift();
      if (next === undefined) return { kind: 'empty' };
      return next === 'overrun' ? { kind: 'overrun' } : { kind: 'data', bytes: next };
    },
  };
}

test('success is the ACK that was asked for, and nothing else is', (t) => {
  if (!requires(t, 'linux')) return;
  const request = requestOf([0, NLM_F.ack]);
  const { firstSequence: first } = request;
  assert.deepEqual(exchange(fake(answer(first + 1, 0)), request), []);
  const cases: readonly [string, (Buffer | 'overrun')[]][] = [
    ['LINUX_NETLINK_NO_ANSWER', []],
    ['LINUX_NETLINK_NO_ANSWER', [answer(first, 0)]],
    ['LINUX_NETLINK_NO_ANSWER', [message(NEWGEN, 0, first + 1, Buffer.alloc(4))]],
    ['LINUX_NETLINK_MALFORMED', [answer(first + 2, 0)]],
    ['LINUX_NETLINK_MALFORMED', [answer(first - 1, 0)]],
    ['LINUX_NETLINK_MALFORMED', [answer(first + 1, 0).subarray(0, 18)]],
    ['LINUX_NETLINK_OVERRUN', ['overrun']],
    ['LINUX_NETLINK_OVERRUN', [answer(first + 1, 0), 'overrun']],
    ['LINUX_NETLINK_INTERRUPTED', [message(NLMSG.done, NLM_F.dumpInterrupted, first + 1, Buffer.alloc(4))]],
  ];
  for (const [code, reads] of cases) assert.throws(() => exchange(fake(...reads), request), { code });
});

test('a refusal is named by message and errno, also when the last message was acknowledged', (t) => {
  if (!requires(t, 'linux')) return;
  const request = requestOf([0, 0, NLM_F.ack]);
  const { firstSequence: first } = request;
  const refusals = exchange(fake(answer(first + 1, 2), answer(first + 2, 0)), request);
  assert.deepEqual(
    refusals.map((refusal) => [refusal.message, refusal.errno]),
    [[1, 'ENOENT']],
  );
});

test('no answer makes it hang, throw without a code, or take garbage for success', (t) => {
  if (!requires(t, 'linux')) return;
  const request = requestOf([NLM_F.ack]);
  const ack = answer(request.firstSequence, 0);
  const broken = fc
    .tuple(fc.nat({ max: ack.length }), fc.uint8Array({ maxLength: 12 }), fc.nat({ max: 12 }))
    .map(([at, noise, skip]) => Buffer.concat([ack.subarray(0, at), noise, ack.subarray(at + skip)]));
  fc.assert(
    fc.property(fc.array(fc.oneof(broken, fc.constant('overrun' as const)), { maxLength: 4 }), (reads) => {
      let refusals: unknown[];
      try {
        refusals = exchange(fake(...reads), request);
      } catch (error) {
        assert.match(String((error as { code?: string }).code), /^LINUX_NETLINK_/);
        return;
      }
      // Success has the code 0 for our number in it.
      const said = reads.some((read) => read !== 'overrun' && read.includes(ack.subarray(8, 12)));
      assert.ok(refusals.length > 0 || said);
    }),
    { numRuns: 2_000 },
  );
  const chatter = message(NLMSG.noop, 0, request.firstSequence, Buffer.alloc(2 ** 20));
  const endless = { send: () => undefined, read: () => ({ kind: 'data' as const, bytes: chatter }) };
  assert.throws(() => exchange(endless, request), { code: 'LINUX_NETLINK_MALFORMED' });
});

test('a socket speaks to the namespace that it was made in; this process stays in its own', async (t) => {
  if (!requires(t, 'netns', 'nft')) return;
  const home = readlinkSync('/proc/thread-self/ns/net');
  const eth = (last: number): object => ({ network: 'cell', addresses: [`10.20.0.${last}/24`] });
  await using net = await createNetwork({
    hosts: { plc: { interfaces: { eth0: eth(2) as never } }, gateway: { interfaces: { eth0: eth(3) as never } } },
  });
  assert.equal((await net.exec('plc', ['nft', 'add table inet only_here'])).code, 0);
  const tables = (host: 'plc' | 'gateway'): number => {
    const socket = openNetlink(NETLINK.netfilter, { namespace: `/run/netns/${net.namespaceOf(host)}` });
    let count = 0;
    const request = new NetlinkWriter()
      .begin(GETTABLE, NLM_F.request | NLM_F.ack | NLM_F.dump)
      .netfilter(0)
      .finish();
    assert.deepEqual(exchange(socket, request, { answer: () => (count += 1) }), []);
    socket.close();
    return count;
  };
  assert.deepEqual([tables('plc'), tables('gateway')], [1, 0]);
  for (const [namespace, protocol] of [
    ['/run/netns/nowhere-at-all', NETLINK.netfilter],
    ['/dev/null', NETLINK.netfilter],
    [`/run/netns/${net.namespaceOf('plc')}`, 31],
  ] as const) {
    assert.throws(() => openNetlink(protocol, { namespace }), { code: 'LINUX_CALL' });
  }
  assert.equal(readlinkSync('/proc/thread-self/ns/net'), home);
});

test('the kernel says in words what it refuses', (t) => {
  if (!requires(t, 'root', 'linux')) return;
  const socket = openNetlink(NETLINK.netfilter, { sendBufferBytes: 2 ** 20 });
  const request = new NetlinkWriter()
    .begin(GETTABLE, NLM_F.request | NLM_F.ack)
    .netfilter(1)
    .string(1, 'no_such_table')
    .finish();
  const [refusal] = exchange(socket, request);
  assert.deepEqual([refusal?.message, refusal?.errno, refusal?.offset], [0, 'ENOENT', 20]);
  socket.close();
});
