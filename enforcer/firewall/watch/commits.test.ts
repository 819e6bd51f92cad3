// Messages of NFNLGRP_NFTABLES, as the kernel writes them and as nobody should.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CodedError } from '../../../runtime/errors.ts';
import { netlinkMessages, NetlinkWriter } from '../../../runtime/linux-netlink-wire.ts';
import { CommitReader } from './commits.ts';

const message = (number: number): number => (10 << 8) | number;

/** A blocked source added, a rule of another table, and the generation that ends the commit. */
function commit(generation: number): Buffer {
  const out = new NetlinkWriter();
  out.begin(message(12), 0).netfilter(1).string(1, 'edgeward').string(2, 'blocked4');
  out.nested(3, () =>
    out.nested(1, () => {
      out.nested(1, () => out.bytes(1, Buffer.of(10, 0, 0, 9)));
      out.u64(4, 60_000).u64(5, 59_000);
    }),
  );
  out.begin(message(6), 0).netfilter(2).string(1, 'filter').string(2, 'INPUT');
  out.begin(message(15), 0).netfilter(0).u32(1, generation).u32(2, 4711).string(3, 'bad\nname');
  return Buffer.from(out.finish().bytes);
}

function read(reader: CommitReader, datagram: Buffer) {
  return [...netlinkMessages(datagram)].flatMap((each) => reader.take(each) ?? []);
}

test('a commit is told with its author and what it did; a gap in generations is what was lost', () => {
  const reader = new CommitReader(1, 'edgeward');
  const [first] = read(reader, commit(7));
  assert.deepEqual(first, {
    lost: 0,
    commit: {
      generation: 7,
      pid: 4711,
      port: 0,
      process: 'bad?name',
      changes: ['added element of blocked4'],
      blocked: [{ set: 'blocked4', address: '10.0.0.9', verb: 'added', leftMs: 59_000 }],
      elsewhere: true,
    },
  });
  assert.equal(read(reader, commit(8))[0]?.lost, 0);
  assert.equal(read(reader, commit(12))[0]?.lost, 3);
});

test('a table of the same name in another family, or with a longer name, is another', () => {
  for (const [family, name] of [
    [2, 'edgeward'],
    [1, 'edgeward2'],
    [1, 'edge'],
  ] as const) {
    const out = new NetlinkWriter();
    out.begin(message(2), 0).netfilter(family).string(1, name);
    out.begin(message(15), 0).netfilter(0).u32(1, 1).u32(2, 1).string(3, 'nft');
    const [found] = read(new CommitReader(1, 'edgeward'), Buffer.from(out.finish().bytes));
    assert.deepEqual([found?.commit.changes, found?.commit.elsewhere], [[], true], name);
  }
});

test('whatever bytes come, they are read or refused with a code', () => {
  const whole = commit(3);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }),
      fc.nat(),
      (changes, cut) => {
        const bytes = Buffer.from(whole.subarray(0, whole.length - (cut % 8 === 0 ? cut % whole.length : 0)));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          read(new CommitReader(1, 'edgeward'), bytes);
        } catch (error) {
          assert.ok(error instanceof CodedError && error.code === 'LINUX_NETLINK_MALFORMED', String(error));
        }
      },
    ),
    { numRuns: 3_000 },
  );
});
