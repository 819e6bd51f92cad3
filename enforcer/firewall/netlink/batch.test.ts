// What a batch says when the kernel refuses it, and that nothing but its word is success. Without a kernel.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { requires } from '../../../test/support/capabilities.ts';
import { netlinkMessages } from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkRead } from '../../../runtime/linux-netlink.ts';
import type { Rule, SetDefinition } from '../plan.ts';
import { Batch } from './batch.ts';
import { NFT_MSG } from './codes.ts';

const rule: Rule = {
  family: 4,
  match: [{ kind: 'lookup', fields: ['source'], set: 'served4', not: false }],
  log: 'x',
  verdict: { kind: 'drop' },
};
const set: SetDefinition = {
  name: 'served4',
  type: ['ipv4_addr'],
  interval: false,
  timeout: false,
  purpose: 'served',
  elements: Array.from({ length: 5_000 }, (_, index) => ({ key: [`10.0.${index >> 8}.${index & 255}`] })),
};

const batchOf = (): Batch =>
  new Batch('edgeward')
    .addTable()
    .addSet(set)
    .addElements(set, set.elements, 0, true)
    .addChain({ name: 'input', hook: 'input', policy: 'drop' })
    .addRules({ name: 'input', rules: [rule] });

interface Refusal {
  readonly type: number;
  /** Which of the messages of that type. */
  readonly nth?: number;
  readonly errno: number;
  /** Counted from the message's header; `last` for its end. */
  readonly offset?: number | 'last';
  readonly words?: string;
}

/** A kernel that answers every batch with an ACK or one refusal. */
function kernel(refusal?: Refusal) {
  const answers: Buffer[] = [];
  return {
    send: (bytes: Buffer): void => {
      const messages = [...netlinkMessages(bytes)];
      const refused = messages.filter(({ type }) => type === refusal?.type)[refusal?.nth ?? 0];
      for (const { flags, sequence } of messages) if ((flags & 4) !== 0) answers.push(answer(sequence, 0));
      if (refusal === undefined || refused === undefined) return;
      const offset = refusal.offset === 'last' ? refused.payload.length + 16 - 4 : refusal.offset;
      answers.unshift(answer(refused.sequence, refusal.errno, offset, refusal.words));
    },
    read: (): NetlinkRead => {
      const bytes = answers.shift();
      return bytes === undefined ? { kind: 'empty' } : { kind: 'data', bytes };
    },
  };
}

function answer(sequence: number, errno: number, offset?: number, words?: string): Buffer {
  const parts: Buffer[] = [Buffer.alloc(36)];
  const attribute = (type: number, value: Buffer): void => {
    const head = Buffer.alloc(4);
    head.writeUInt16LE(4 + value.length, 0);
    head.writeUInt16LE(type, 2);
    parts.push(head, value, Buffer.alloc((4 - (value.length % 4)) % 4));
  };
  if (words !== undefined) attribute(1, Buffer.from(`${words}\0`));
  if (offset !== undefined) {
    const value = Buffer.alloc(4);
    value.writeUInt32LE(offset);
    attribute(2, value);
  }
  const bytes = Buffer.concat(parts);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(2, 4);
  bytes.writeUInt16LE(0x300, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.writeInt32LE(-errno, 16);
  return bytes;
}

const errno = {
  EPERM: 1,
  ENOENT: 2,
  ENOMEM: 12,
  EINVAL: 22,
  ENFILE: 23,
  ENOSPC: 28,
  ERESTART: 85,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
};

test('a refusal names chain, rule as text, set or element, the errno and the words of the kernel', (t) => {
  if (!requires(t, 'linux')) return;
  batchOf().commit(kernel());
  const ruleName = /^chain input, rule 1 \(ip saddr @served4 counter log prefix "ew:x" group 5 drop\): /;
  const cases: readonly [Refusal, string, RegExp][] = [
    [{ type: NFT_MSG.newRule, errno: errno.EOPNOTSUPP }, 'FIREWALL_KERNEL_REFUSED', ruleName],
    [{ type: NFT_MSG.newRule, errno: errno.EINVAL }, 'FIREWALL_KERNEL_REFUSED', /EINVAL$/],
    [
      { type: NFT_MSG.newRule, errno: errno.ENOENT, words: 'no module nft_x' },
      'FIREWALL_KERNEL_REFUSED',
      /ENOENT \(no module nft_x\)$/,
    ],
    [{ type: NFT_MSG.newChain, errno: errno.EOPNOTSUPP }, 'FIREWALL_KERNEL_REFUSED', /^chain input: EOPNOTSUPP$/],
    [{ type: NFT_MSG.newSet, errno: errno.EOPNOTSUPP }, 'FIREWALL_KERNEL_REFUSED', /^set served4: EOPNOTSUPP$/],
    [{ type: NFT_MSG.newTable, errno: errno.EPERM }, 'FIREWALL_PERMISSION', /^table edgeward: EPERM$/],
    [{ type: 0x10, errno: errno.ERESTART }, 'FIREWALL_DRIFT', /another program changed the rules/],
    [{ type: 0x10, errno: errno.ENOMEM }, 'FIREWALL_TOO_LARGE', /^the transaction: ENOMEM$/],
    ...(['EMSGSIZE', 'ENOSPC', 'ENFILE', 'ENOMEM'] as const).map((name): [Refusal, string, RegExp] => [
      { type: NFT_MSG.newElements, errno: errno[name] },
      'FIREWALL_TOO_LARGE',
      new RegExp(`^elements of set served4: ${name}$`),
    ]),
    [
      { type: NFT_MSG.newElements, nth: 1, errno: errno.EINVAL, offset: 'last' },
      'FIREWALL_KERNEL_REFUSED',
      /^element 10\.0\.19\.135 of set served4: EINVAL$/,
    ],
  ];
  for (const [refusal, code, message] of cases) {
    assert.throws(() => batchOf().commit(kernel(refusal)), { code, message });
  }
});

test('lists of elements are cut before their 16-bit length ends, in order and without a gap', (t) => {
  if (!requires(t, 'linux')) return;
  const keys: string[] = [];
  const sizes: number[] = [];
  const own = kernel();
  const send = (bytes: Buffer): void => {
    own.send(bytes);
    for (const { type, payload } of netlinkMessages(bytes)) {
      if (type !== NFT_MSG.newElements) continue;
      sizes.push(payload.length);
      // Each element: headers of the element, its key and the value before 4 bytes of address.
      for (let at = payload.indexOf('served4') + 12; at < payload.length; at += 16) {
        keys.push(payload.subarray(at + 12, at + 16).join('.'));
      }
    }
  };
  new Batch('edgeward').addElements(set, set.elements, 0, true).commit({ send, read: own.read });
  assert.deepEqual(
    keys,
    set.elements.map(({ key }) => key[0]),
  );
  assert.ok(sizes.length > 1 && sizes.every((size) => size < 65_536));
});

test('no answer but the ACK is success', (t) => {
  if (!requires(t, 'linux')) return;
  assert.throws(() => batchOf().commit({ send: () => undefined, read: () => ({ kind: 'empty' }) }), {
    code: 'LINUX_NETLINK_NO_ANSWER',
  });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), (noise) => {
      let given = false;
      const read = (): NetlinkRead => {
        if (given) return { kind: 'empty' };
        given = true;
        return { kind: 'data', bytes: Buffer.from(noise) };
      };
      assert.throws(() => batchOf().commit({ send: () => undefined, read }), /./);
    }),
    { numRuns: 200 },
  );
});

test('an empty change sends nothing', () => {
  new Batch('edgeward').commit({ send: () => assert.fail('sent'), read: () => assert.fail('read') });
});
