// Every way to smuggle a write past a filter, against real Modbus servers behind the real engine. Each way is tried at
// each server through the proxy, where it must not arrive, and straight, where at least one server has to take it: a
// suite whose attacks never work has no teeth.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startModbusServers, type ModbusServer } from './modbus-server.ts';
import { frame, rawClient, readRegisters, writeRegister, writeRegisters } from './wire.ts';
import { world, type World } from './world.ts';

const guarded: { readonly server: ModbusServer; readonly proxy: World }[] = [];

before(async () => {
  for (const server of await startModbusServers()) guarded.push({ server, proxy: await world(server.port) });
});

after(async () => {
  for (const { server, proxy } of guarded) {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }
});

/** Registers that nothing granted may write, another one for each attempt. */
let target = 200;

interface Attempt {
  readonly name: string;
  /** TCP segments, in order, that write `value` to `address`. */
  readonly segments: (address: number, written: number) => readonly Buffer[];
  /** How many registers it writes; 1 unless said. */
  readonly registers?: number;
  /** Which servers have to be installed for the control; `none` where no server that keeps to the specification takes it. */
  readonly control?: 'pymodbus' | 'none';
}

const splitAt = (bytes: Buffer, cut: number): Buffer[] => [bytes.subarray(0, cut), bytes.subarray(cut)];
const write = (address: number, written: number, transaction = 1): Buffer =>
  writeRegister(transaction, address, written);
const everyByte = (bytes: Buffer): Buffer[] => [...bytes].map((byte) => Buffer.from([byte]));

const attempts: readonly Attempt[] = [
  { name: 'plain', segments: (address, written) => [write(address, written)] },
  ...Array.from({ length: 11 }, (_, index): Attempt => ({
    name: `split after byte ${index + 1}`,
    segments: (address, written) => splitAt(write(address, written), index + 1),
  })),
  { name: 'one byte a segment', segments: (address, written) => everyByte(write(address, written)) },
  {
    name: 'behind a read in one segment',
    segments: (address, written) => [Buffer.concat([readRegisters(1, 0), write(address, written, 2)])],
  },
  {
    name: 'between reads in one segment',
    segments: (address, written) => [
      Buffer.concat([readRegisters(1, 0), write(address, written, 2), readRegisters(3, 0)]),
    ],
  },
  {
    name: 'across the segments of two reads',
    segments: (address, written) => {
      const stream = Buffer.concat([readRegisters(1, 0), write(address, written, 2), readRegisters(3, 0)]);
      return [stream.subarray(0, 15), stream.subarray(15, 21), stream.subarray(21)];
    },
  },
  {
    name: 'with the transaction of a read that waits',
    segments: (address, written) => [readRegisters(7, 0), write(address, written, 7)],
  },
  { name: 'as function 16', segments: (address, written) => [writeRegisters(1, address, [written])] },
  {
    name: 'as function 16 over many registers',
    registers: 100,
    segments: (address, written) => [
      writeRegisters(
        1,
        address,
        Array.from({ length: 100 }, () => written),
      ),
    ],
  },
  {
    name: 'as function 22, by masks',
    segments: (address, written) => [
      frame(1, 1, [22, address >> 8, address & 0xff, 0, 0, written >> 8, written & 0xff]),
    ],
  },
  {
    name: 'as the writing half of function 23',
    control: 'pymodbus',
    segments: (address, written) => [
      frame(1, 1, [23, 0, 0, 0, 1, address >> 8, address & 0xff, 0, 1, 2, written >> 8, written & 0xff]),
    ],
  },
  { name: 'to another unit', segments: (address, written) => [writeRegister(1, address, written, 2)] },
  { name: 'to unit 0', segments: (address, written) => [writeRegister(1, address, written, 0)] },
  {
    name: 'to another unit in the middle of the stream',
    segments: (address, written) => [readRegisters(1, 0), writeRegister(2, address, written, 255), readRegisters(3, 0)],
  },
  {
    name: 'behind garbage',
    segments: (address, written) => [Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n\r\n'), write(address, written)])],
    control: 'none',
  },
  {
    name: 'behind a frame of another protocol',
    segments: (address, written) => [Buffer.concat([Buffer.from([0, 1, 0, 9, 0, 2, 1, 3]), write(address, written)])],
    control: 'none',
  },
  {
    name: 'inside an oversize frame',
    segments: (address, written) => {
      const bytes = Buffer.concat([readRegisters(1, 0), write(address, written)]);
      bytes.writeUInt16BE(0x0106, 4);
      return [bytes];
    },
    control: 'none',
  },
  {
    name: 'inside a read that says it is longer',
    segments: (address, written) => {
      const bytes = Buffer.concat([readRegisters(1, 0), write(address, written)]);
      bytes.writeUInt16BE(bytes.length - 6, 4);
      return [bytes];
    },
    control: 'none',
  },
  {
    name: 'with fewer values than stated',
    segments: (address, written) => [
      frame(1, 1, [16, address >> 8, address & 0xff, 0, 2, 2, written >> 8, written & 0xff]),
    ],
    control: 'none',
  },
];

/** Sends, and waits until the server had time to act: an answer to everything, the end, or a moment of silence. */
async function attack(port: number, segments: readonly Buffer[]): Promise<void> {
  await using client = await rawClient(port);
  await client.send(...segments);
  let quiet = false;
  while (!quiet && !client.isClosed()) {
    const silence = new Promise<'quiet'>((resolve) => setTimeout(() => resolve('quiet'), 60));
    quiet = (await Promise.race([client.answer(), silence])) === 'quiet';
  }
}

for (const { name, segments, control, registers = 1 } of attempts) {
  test(`evasion: a write ${name} does not arrive`, async (t) => {
    const address = target;
    target += registers;
    const written = 1_000 + address;
    const bytes = segments(address, written);
    const taken: string[] = [];
    for (const { server, proxy } of guarded) {
      await attack(proxy.port, bytes);
      assert.equal(await server.register(address), 7, `it arrived at ${server.name} through the proxy`);
      await attack(server.port, bytes);
      if ((await server.register(address)) === written) taken.push(server.name);
    }
    t.diagnostic(`straight: ${taken.join(' and ') || 'no server takes it'}`);
    if (control === 'none' || (control === 'pymodbus' && guarded.length === 1)) return;
    assert.ok(taken.length > 0, 'straight at a server it has to arrive');
  });
}

test('evasion: writes on a second connection while reads go on; every read is answered', async () => {
  for (const { server, proxy } of guarded) {
    await using reader = await rawClient(proxy.port);
    await using writer = await rawClient(proxy.port);
    for (let poll = 0; poll < 50; poll++) {
      await Promise.all([reader.send(readRegisters(poll, 0, 10)), writer.send(writeRegister(poll, 150, 666))]);
      const [read, written] = [await reader.answer(), await writer.answer()];
      assert.deepEqual([read?.transaction, read?.functionCode, read?.data.length], [poll, 3, 21]);
      assert.deepEqual([written?.functionCode, written?.data[0]], [0x86, 1]);
    }
    assert.equal(await server.register(150), 7);
  }
});

test('evasion: what is granted still works, up to its value', async () => {
  for (const { server, proxy } of guarded) {
    await using client = await rawClient(proxy.port);
    await client.send(writeRegister(1, 15, 900));
    assert.equal((await client.answer())?.functionCode, 6);
    await client.send(writeRegister(2, 15, 1_001));
    assert.equal((await client.answer())?.functionCode, 0x86);
    assert.equal(await server.register(15), 900);
  }
});
