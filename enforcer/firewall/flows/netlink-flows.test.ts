// Ending flows over answers recorded from a kernel (Linux 6.18), and over garbage. Against a kernel: test/firewall/flows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CodedError } from '../../../runtime/errors.ts';
import { NETLINK, netlinkMessages } from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkMessage } from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkRead } from '../../../runtime/linux-netlink.ts';
import { readFlow } from './conntrack.ts';
import { netlinkFlows } from './netlink-flows.ts';
import type { OpenSocket } from './netlink-flows.ts';
import { readSocket } from './sock-diag.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const target = { addresses: [{ family: 4, text: '10.20.0.3' }], sparedPorts: [] } as const;

/** A dual-stack socket of port 8080 with the peer ::ffff:10.20.0.3, port 55572. */
const socket = `7c00000014000200SSSSSSSS5d1e00000a0100001f90d91400000000000000000000ffff0a140002
  00000000000000000000ffff0a14000300000000777b000000000000000000000000000000000000
  0000000019d64a00050008000000000008000f00000000000c0015000100000000000000060016001200 0000`;
/** An echo request of 10.20.0.3 and its TCP connection to port 8080. */
const flows = `b400000000012200SSSSSSSS5d1e0000020000003c00018014000180080001000a140003080002000a140002240002800500
  01000100000006000400d0bd0000050005000800000005000600000000003c00028014000180080001000a140002080002000a1400032400028005
  0001000100000006000400d0bd000005000500000000000500060000000000080003000000000a080008000000000008000c000716ef7908000b00
  00000001080007000000001dd400000000012200SSSSSSSS5d1e0000020000003400018014000180080001000a140003080002000a1400021c0002
  80050001000600000006000200d9140000060003001f9000003400028014000180080001000a140002080002000a1400031c000280050001000600
  0000060002001f90000006000300d9140000080003000000000e080008000000000008000c0024e9a39608000b0000000001080007000000000930
  0004802c0001800500010008000000050002000a000000050003000a00000006000400230000000600050023000000`;
const done = '1400000003000200SSSSSSSS5d1e000000000000';

/** The recording as an answer to the request with this sequence number. */
function answer(recorded: string, sequence: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(sequence);
  return hex(recorded.replaceAll('SSSSSSSS', bytes.toString('hex')));
}

const first = (bytes: Buffer): NetlinkMessage => {
  const [message] = [...netlinkMessages(bytes)];
  assert.ok(message);
  return message;
};

interface Kernel {
  readonly open: OpenSocket;
  /** Messages it was sent, by protocol. */
  readonly sent: { readonly protocol: number; readonly type: number; readonly payload: Buffer }[];
  readonly closed: number[];
}

/** Answers a list with what `lists` says and orders with an ACK, unless `refuse` has an errno for one. */
function kernel(
  lists: (protocol: number, request: NetlinkMessage) => Buffer[],
  refuse: (type: number) => number = () => 0,
): Kernel {
  const sent: Kernel['sent'] = [];
  const closed: number[] = [];
  const open: OpenSocket = (protocol) => {
    const waiting: NetlinkRead[] = [];
    return {
      send(bytes) {
        for (const message of netlinkMessages(bytes)) {
          sent.push({ protocol, type: message.type, payload: Buffer.from(message.payload) });
          if ((message.flags & 0x300) === 0x300) {
            waiting.push(...lists(protocol, message).map((it): NetlinkRead => ({ kind: 'data', bytes: it })));
          } else if ((message.flags & 4) !== 0 || refuse(message.type) !== 0) {
            waiting.push({ kind: 'data', bytes: refusal(message, refuse(message.type)) });
          }
        }
      },
      read: () => waiting.shift() ?? { kind: 'empty' },
      close: () => void closed.push(protocol),
    };
  };
  return { open, sent, closed };
}

function refusal(message: NetlinkMessage, errno: number): Buffer {
  const bytes = Buffer.alloc(36);
  bytes.writeUInt32LE(36, 0);
  bytes.writeUInt16LE(2, 4);
  bytes.writeUInt16LE(0x100, 6);
  bytes.writeUInt32LE(message.sequence, 8);
  bytes.writeInt32LE(-errno, 16);
  bytes.writeUInt32LE(16 + message.payload.length, 20);
  return bytes;
}

const recorded = (protocol: number, request: NetlinkMessage): Buffer[] =>
  [protocol === NETLINK.sockDiag ? socket : flows, done].map((it) => answer(it, request.sequence));

test('a socket and a flow are read as the kernel wrote them', () => {
  assert.deepEqual(
    { ...readSocket(first(answer(socket, 1))), id: '' },
    { family: 6, remote: hex('00000000000000000000ffff0a140003'), localPort: 8080, remotePort: 55_572, id: '' },
  );
  const [ping, connection] = [...netlinkMessages(answer(flows, 1))].map(readFlow);
  assert.deepEqual(ping?.source, { original: hex('0a140003'), reply: hex('0a140002') });
  assert.equal(ping.servicePort, undefined);
  assert.equal(connection?.servicePort, 8080);
  assert.deepEqual([connection.id, connection.zone], [hex('24e9a396'), undefined]);
});

test('what a peer has open is ended entry by entry, sockets before the flows that their resets pass through', async () => {
  const { open, sent, closed } = kernel(recorded);
  // The socket is in the answers of both families, the flows in those of both directions.
  assert.deepEqual(await netlinkFlows(undefined, open)(target), { sockets: 2, flows: 4, failures: [] });
  const orders = sent.filter(({ type }) => type === 21 || type === 0x102);
  assert.deepEqual(
    orders.map(({ type }) => type),
    [21, 21, 0x102, 0x102, 0x102, 0x102],
  );
  // The id with its cookie; the tuple with the entry's id.
  assert.ok(orders[0]?.payload.includes(hex('1f90d91400000000000000000000ffff0a140002')));
  assert.ok(orders[0]?.payload.includes(hex('777b0000')));
  assert.ok(orders[2]?.payload.includes(hex('080001000a140003080002000a140002')));
  assert.ok(orders[2]?.payload.includes(hex('08000c000716ef79')));
  assert.deepEqual(closed, [NETLINK.sockDiag, NETLINK.netfilter]);
});

test("spared ports, another peer's sockets and another peer's flows stay", async () => {
  const spared = kernel(recorded);
  const ended = await netlinkFlows(undefined, spared.open)({ ...target, sparedPorts: [8080] });
  assert.deepEqual(ended, { sockets: 0, flows: 2, failures: [] });
  const other = kernel(recorded);
  const addresses = [
    { family: 4, text: '10.20.0.9' },
    { family: 6, text: 'fd20::3' },
  ] as const;
  const nobody = await netlinkFlows(undefined, other.open)({ addresses, sparedPorts: [] });
  assert.deepEqual(nobody, { sockets: 0, flows: 0, failures: [] });
  assert.ok(!other.sent.some(({ type }) => type === 21 || type === 0x102));
});

test('what ended by itself is no failure; a refusal is, and the rest goes on', async () => {
  const gone = kernel(recorded, (type) => (type === 0x102 ? 2 : 0));
  assert.deepEqual(await netlinkFlows(undefined, gone.open)(target), { sockets: 2, flows: 0, failures: [] });
  const refused = kernel(recorded, (type) => (type === 21 ? 95 : 0));
  assert.deepEqual(await netlinkFlows(undefined, refused.open)(target), {
    sockets: 0,
    flows: 4,
    failures: ['EOPNOTSUPP'],
  });
});

test('a list that stops, one of somebody else, one that is refused and one without end are failures', async () => {
  const cases: [(request: NetlinkMessage) => Buffer[], RegExp][] = [
    [() => [], /stopped before its end/],
    [(request) => [answer(done, request.sequence + 7)], /not to ours/],
    [(request) => [refusal(request, 1)], /EPERM/],
    [(request) => [hex('7c000000'), answer(done, request.sequence)], /message header/],
  ];
  for (const [lists, expected] of cases) {
    const { open } = kernel((_, request) => lists(request));
    const { failures, ...ended } = await netlinkFlows(undefined, open)(target);
    assert.deepEqual(ended, { sockets: 0, flows: 0 });
    assert.match(failures.join('\n'), expected);
  }
  const endless: OpenSocket = () => {
    let sequence = 0;
    return {
      send: (bytes) => (sequence = bytes.readUInt32LE(8)),
      read: () => ({ kind: 'data', bytes: answer('1000000001000200SSSSSSSS00000000', sequence) }),
      close: () => {},
    };
  };
  const { failures } = await netlinkFlows(undefined, endless)(target);
  assert.match(failures.join('\n'), /without end/);
});

test('a socket that cannot be opened is a failure too', async () => {
  const ended = await netlinkFlows(undefined, () => {
    throw new Error('no permission');
  })(target);
  assert.deepEqual(ended, { sockets: 0, flows: 0, failures: ['no permission', 'no permission'] });
});

test('property: garbage from the kernel is a coded error of the reader, and a failure of the whole, never a hang or a throw', async () => {
  const damaged = fc
    .tuple(fc.constantFrom(socket, flows), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }), fc.nat())
    .map(([recording, changes, cut]) => {
      const bytes = answer(recording, 1);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      if (cut % 3 === 0) return bytes.subarray(0, cut % bytes.length);
      if (cut % 3 === 1) return bytes;
      // The first message alone, shorter than it should be, and saying so.
      const short = Buffer.from(bytes.subarray(0, 16 + (cut % 128)));
      short.writeUInt32LE(short.length, 0);
      return short;
    });
  const garbage = fc.oneof(
    damaged,
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(garbage, async (bytes) => {
      const readers = [
        (message: NetlinkMessage) => assert.equal(readFlow(message).id.length, 4),
        (message: NetlinkMessage) => assert.equal(readSocket(message).id.length, 48),
      ];
      for (const read of readers) {
        try {
          for (const message of netlinkMessages(bytes)) read(message);
        } catch (error) {
          assert.ok(error instanceof CodedError, String(error));
        }
      }
      const { open } = kernel((_, request) => {
        const sent = Buffer.from(bytes);
        if (sent.length >= 12) sent.writeUInt32LE(request.sequence, 8);
        return [sent, answer(done, request.sequence)];
      });
      const { failures } = await netlinkFlows(undefined, open)(target);
      assert.ok(failures.every((failure) => failure !== ''));
    }),
    { numRuns: 2_000 },
  );
});
