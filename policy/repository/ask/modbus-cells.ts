// Modbus requests that stand for all of them. Where an access begins and ends decides: so the ends of all ranges cut the
// address space into stretches, and each pair of stretches gives one access, the shortest, and the next longer than each
// bound on its quantity. The same for written values, where the smallest, the largest and one between them decide, and for
// changes, of which one may be unknown. Quantities stay within what the specification lets travel (application protocol
// 1.1b3, section 6).
import type { SliceOperation } from '../../bundle/slice.ts';
import type { Operation } from '../../engine/index.ts';
import { hasAddress } from '../../engine/modbus-operation.ts';
import { MAX_SINGLE_REGISTERS } from '../../limits.ts';
import { modbusFunctions, writes } from '../modbus-functions.ts';
import type { OperationCells } from './operation-cells.ts';

type ModbusOperation = Extract<SliceOperation, { protocol: 'modbus' }>;
type ModbusRequest = Extract<Operation, { protocol: 'modbus' }>;
type Range = readonly [number, number];

/** Most registers or coils of one access; absent functions touch one. */
const maxQuantity: Readonly<Record<number, number>> = {
  1: 2_000,
  2: 2_000,
  3: 125,
  4: 125,
  15: 1_968,
  16: 123,
  23: 121,
};
const reading: ReadonlySet<number> = new Set([1, 2, 3, 4]);
const coils: ReadonlySet<number> = new Set([5, 15]);
const maskWrite = 22;
const readWrite = 23;

export function modbusCells(operations: readonly ModbusOperation[], read: readonly ModbusOperation[]): OperationCells {
  const named = new Set(operations.flatMap(({ functionCodes }) => functionCodes));
  const unnamed = [true, false].flatMap(
    (writing) => Object.values(modbusFunctions).find((code) => !named.has(code) && writes(code) === writing) ?? [],
  );
  const cells = [...named, ...unnamed].flatMap((code) => {
    const concerned = operations.filter(({ functionCodes }) => functionCodes.includes(code));
    return accessesOf(code, concerned, read).flatMap((access) =>
      unitsOf(concerned).map((unit): Operation => ({ ...access, unit })),
    );
  });
  return { cells, gaps: gapsOf(read) };
}

function gapsOf(operations: readonly ModbusOperation[]): string[] {
  const reader = 'where a Casbin model or a Rego package reads them';
  return [
    ...(operations.some(({ units }) => units.length === 0)
      ? [`units that no operation lists are samples ${reader}`]
      : []),
    ...(registersOf(operations).length > MAX_SINGLE_REGISTERS
      ? [`of more than ${MAX_SINGLE_REGISTERS} registers the ends of ranges are samples ${reader}`]
      : []),
  ];
}

/** Each unit that is named, the broadcast, and one that nobody names. */
function unitsOf(operations: readonly ModbusOperation[]): number[] {
  const named = new Set(operations.flatMap(({ units }) => units));
  const other = Array.from({ length: 255 }, (_, index) => index + 1).find((unit) => !named.has(unit));
  return [...new Set([...named, 0, ...(other === undefined ? [] : [other])])];
}

function accessesOf(
  code: number,
  operations: readonly ModbusOperation[],
  read: readonly ModbusOperation[],
): ModbusRequest[] {
  const access = (address: number, quantity: number, values: readonly number[] = []): ModbusRequest => ({
    protocol: 'modbus',
    unit: 0,
    functionCode: code,
    address,
    quantity,
    values,
  });
  if (!hasAddress(code)) return [access(0, 0)];
  const stretches = cut(
    operations.flatMap(({ addresses }) => addresses),
    0xffff,
  );
  const written = valuesOf(code, operations);
  const changes = changesOf(code, operations);
  const bounds = [...new Set(operations.flatMap(({ maxQuantity: most }) => most ?? []))];
  const single = registersOf(read.filter(({ functionCodes }) => functionCodes.includes(code)));
  return [
    ...stretches.flatMap(([from, to], index) =>
      stretches.slice(index).flatMap(([otherFrom, otherTo], distance) =>
        written.flatMap((values) => {
          const shortest = distance === 0 ? 1 : otherFrom - to + 1;
          const fewest = Math.max(shortest, values.length);
          const room = Math.min(otherTo - from + 1, maxQuantity[code] ?? 1);
          const longer = bounds.filter((most) => most >= fewest).map((most) => most + 1);
          return [fewest, ...longer]
            .filter((quantity) => quantity <= room)
            .flatMap((quantity) => {
              const first = distance === 0 ? from : Math.max(from, to - Math.max(quantity - shortest, 0));
              return withChanges(access(first, quantity, spread(code, values, quantity)), changes);
            });
        }),
      ),
    ),
    ...(single.length > MAX_SINGLE_REGISTERS ? [] : single).flatMap((address) =>
      written
        .slice(0, 1)
        .flatMap((values) => withChanges(access(address, 1, spread(code, values.slice(0, 1), 1)), changes)),
    ),
  ];
}

/** Stretches of `0..last` in which no range begins or ends. */
function cut(ranges: readonly Range[], last: number): Range[] {
  const starts = new Set([0, ...ranges.flatMap(([from, to]) => [from, to + 1])].filter((at) => at <= last));
  const sorted = [...starts].sort((a, b) => a - b);
  return sorted.map((from, index): Range => [from, (sorted[index + 1] ?? last + 1) - 1]);
}

/** Sets of written values; one empty set where none are written. */
function valuesOf(code: number, operations: readonly ModbusOperation[]): readonly (readonly number[])[] {
  if (reading.has(code)) return [[]];
  // Two masks, not a value.
  if (code === maskWrite) return [[0]];
  const ranges = operations.flatMap(({ values }) => (values === undefined ? [] : [values]));
  const firsts = cut(ranges, coils.has(code) ? 1 : 0xffff).map(([from]) => from);
  const sets = firsts.flatMap((low, index) =>
    firsts
      .slice(index)
      .flatMap((high, distance) =>
        distance === 0
          ? [[low]]
          : [[low, high], ...firsts.slice(index + 1, index + distance).map((between) => [low, between, high])],
      ),
  );
  // Function 23 is asked twice: what it reads without values, what it writes with them.
  return code === readWrite ? [[], ...sets] : sets;
}

/** What a write may change its registers by, one for each stretch between the bounds; beside it always the unknown. */
function changesOf(code: number, operations: readonly ModbusOperation[]): readonly number[] {
  const bounds = operations.flatMap(({ maxChangePerMinute }) => maxChangePerMinute ?? []);
  if (bounds.length === 0 || reading.has(code) || code === maskWrite) return [];
  return [...new Set([0, ...bounds.map((most) => most + 1)])].filter((by) => by <= 0xffff);
}

function withChanges(access: ModbusRequest, changes: readonly number[]): ModbusRequest[] {
  return [access, ...(access.values.length === 0 ? [] : changes).map((by) => ({ ...access, change: by }))];
}

/** Values of a write of so many registers that make a difference to the operations; one empty set for a read. */
export function writtenValues(code: number, operations: readonly ModbusOperation[], quantity: number): number[][] {
  const concerned = operations.filter(({ functionCodes }) => functionCodes.includes(code));
  return valuesOf(code, concerned)
    .filter(({ length }) => length <= quantity)
    .map((values) => [...spread(code, values, quantity)]);
}

function spread(code: number, values: readonly number[], quantity: number): readonly number[] {
  if (code === maskWrite) return [0xffff, 0];
  if (values.length === 0) return [];
  return Array.from({ length: quantity }, (_, index) => values[Math.min(index, values.length - 1)] ?? 0);
}

function registersOf(operations: readonly ModbusOperation[]): number[] {
  const registers = new Set<number>();
  for (const [from, to] of operations.flatMap(({ addresses }) => addresses)) {
    for (let at = from; at <= to && registers.size <= MAX_SINGLE_REGISTERS; at++) registers.add(at);
  }
  return [...registers];
}
