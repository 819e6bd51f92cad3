// Masters that know nothing of Edgeward, pymodbus and mbpoll, with every function that they have and the proxy knows: what is
// granted gives the same values and leaves the same registers as straight at the server, what is not gives exception 1.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sliceSchema } from '../../policy/bundle/slice.ts';
import { findProgram, requires } from '../support/capabilities.ts';
import { must, run } from '../support/netns-process.ts';
import { join } from 'node:path';
import { startModbusServer } from './modbus-server.ts';
import { decideBySlice, readOnlySlice, world } from './world.ts';

type Step = readonly [call: string, args: Readonly<Record<string, unknown>>];
type Got = {
  readonly registers?: number[];
  readonly bits?: boolean[];
  readonly done?: number;
  readonly exception?: number;
};

/** One operation for all functions at all addresses of unit 1. */
const openSlice = sliceSchema.parse({
  ...readOnlySlice,
  interfaces: readOnlySlice.interfaces.map((entry) => ({
    ...entry,
    operations: [
      {
        name: 'everything',
        protocol: 'modbus',
        functionCodes: [1, 2, 3, 4, 5, 6, 15, 16, 22, 23],
        units: [1],
        addresses: [[0, 65_535]],
        class: 'normal',
        island: false,
      },
    ],
  })),
  grants: readOnlySlice.grants.map((grant) => ({ ...grant, operations: ['everything'] })),
});

const writes: readonly Step[] = [
  ['write_coil', { address: 20, value: true }],
  ['write_register', { address: 21, value: 4_711 }],
  ['write_coils', { address: 30, values: [true, false, true, true, false, true, true, true, true] }],
  ['write_registers', { address: 40, values: [1, 2, 65_535] }],
  ['mask_write_register', { address: 21, and_mask: 0x00f2, or_mask: 0x0025 }],
  ['readwrite_registers', { read_address: 20, read_count: 3, write_address: 50, write_registers: [8, 9] }],
];
const reads: readonly Step[] = [
  ['read_coils', { address: 18, count: 22 }],
  ['read_discrete_inputs', { address: 0, count: 9 }],
  ['read_holding_registers', { address: 20, count: 40 }],
  ['read_input_registers', { address: 0, count: 125 }],
];
/** Beyond the 1,000 registers and coils that the server has: it answers exception 2 itself. */
const beyond: readonly Step[] = [
  ['read_holding_registers', { address: 2_000, count: 1 }],
  ['write_register', { address: 2_000, value: 1 }],
  ['read_coils', { address: 5_000, count: 3 }],
];

async function pymodbus(port: number, steps: readonly Step[]): Promise<readonly Got[]> {
  const script = join(import.meta.dirname, 'pymodbus-client.py');
  return JSON.parse(
    await must(['/usr/bin/python3', script, '127.0.0.1', String(port)], JSON.stringify(steps)),
  ) as Got[];
}

test('pymodbus: functions 1 to 6, 15, 16, 22, 23 and exceptions give through the proxy what they give without', async (t) => {
  if (!requires(t, 'pymodbus')) return;
  await using straight = await startModbusServer();
  await using behind = await startModbusServer();
  await using w = await world(behind.port, { decide: decideBySlice(openSlice) });
  const steps = [...reads, ...writes, ...reads, ...beyond];
  const expected = await pymodbus(straight.port, steps);
  assert.deepEqual(await pymodbus(w.port, steps), expected);
  // The steps do something, and the server refuses something itself.
  assert.notDeepEqual(expected.slice(0, 4), expected.slice(10, 14));
  assert.deepEqual(
    expected.slice(-3),
    beyond.map(() => ({ exception: 2 })),
  );
  assert.deepEqual(await pymodbus(behind.port, reads), await pymodbus(straight.port, reads));
});

test('pymodbus: what is not granted gives exception 1 and changes nothing; what is granted beside it works', async (t) => {
  if (!requires(t, 'pymodbus')) return;
  await using server = await startModbusServer();
  await using w = await world(server.port);
  const before = await pymodbus(server.port, reads);
  const outside: Step = ['read_holding_registers', { address: 99, count: 2 }];
  const granted: Step = ['write_register', { address: 15, value: 900 }];
  const tooMuch: Step = ['write_register', { address: 15, value: 1_001 }];
  const got = await pymodbus(w.port, [...writes, outside, tooMuch]);
  assert.deepEqual(
    got,
    [...writes, outside, tooMuch].map(() => ({ exception: 1 })),
  );
  assert.deepEqual(await pymodbus(server.port, reads), before);
  assert.deepEqual(await pymodbus(w.port, [granted, ['read_holding_registers', { address: 15, count: 1 }]]), [
    { done: 6 },
    { registers: [900] },
  ]);
});

/** `-0`: addresses as on the wire. Types: 0 coils, 1 discrete inputs, 3 input registers, 4 holding registers. */
async function mbpoll(port: number, ...args: readonly string[]): Promise<readonly string[]> {
  const all = ['-1', '-0', '-m', 'tcp', '-a', '1', '-p', String(port), ...args];
  const { stdout, stderr } = await run([findProgram('mbpoll') ?? 'mbpoll', ...all]);
  // What it says of values and failures, without the port and the time.
  return `${stdout}${stderr}`.split('\n').filter((line) => /^\[\d+\]|Written|failed/.test(line));
}

test('mbpoll: functions 1 to 6, 15 and 16 give through the proxy what they give without; denied writes fail', async (t) => {
  if (!requires(t, 'pymodbus', 'mbpoll')) return;
  await using straight = await startModbusServer();
  await using behind = await startModbusServer();
  await using open = await world(behind.port, { decide: decideBySlice(openSlice) });
  await using narrow = await world(behind.port);
  const at = (type: number, address: number, ...more: string[]) => ['-t', String(type), '-r', String(address), ...more];
  const polls = [0, 1, 3, 4].map((type) => [...at(type, 5, '-c', '12'), '127.0.0.1']);
  const sets = [
    [...at(0, 6), '127.0.0.1', '1'],
    [...at(0, 8), '127.0.0.1', '1', '0', '1'],
    [...at(4, 6), '127.0.0.1', '99'],
    [...at(4, 8), '127.0.0.1', '1', '2', '3'],
  ];
  for (const args of sets) {
    const [refused = ''] = await mbpoll(narrow.port, ...args);
    assert.match(refused, /failed: Illegal function/);
  }
  for (const args of [...polls, ...sets, ...polls]) {
    const expected = await mbpoll(straight.port, ...args);
    assert.ok(expected.length > 0 && !expected.some((line) => line.includes('failed')), expected.join(' '));
    assert.deepEqual(await mbpoll(open.port, ...args), expected);
  }
});
