// Modbus operations: function codes, units, address ranges, value ranges, how many registers at once and by how much a
// register may change (Modbus application protocol 1.1b3). An access has to lie inside one range with every register it
// touches; a deny is reached by the first one it touches.
import type { SliceOperation } from '../bundle/slice.ts';
import { MAX_MODBUS_QUANTITY } from '../limits.ts';
import { noMatch, type MatchOperation } from './operation-match.ts';
import type { Operation } from './request.ts';

type ModbusOperation = Extract<SliceOperation, { protocol: 'modbus' }>;
type ModbusRequest = Extract<Operation, { protocol: 'modbus' }>;

const maskWrite = 22;
const readWrite = 23;
const singleCoil = 5;
/** Unit 0 is broadcast on a serial line behind a gateway: it reaches every unit. */
const broadcast = 0;

const reading: ReadonlySet<number> = new Set([1, 2, 3, 4]);
const writing: ReadonlySet<number> = new Set([5, 6, 15, 16, maskWrite, readWrite]);

interface Rule {
  readonly index: number;
  readonly operation: ModbusOperation;
  readonly units: ReadonlySet<number>;
}

/** `operations[i]` belongs to index `i`; undefined where the operation is of another protocol. */
export function compileModbus(operations: readonly (ModbusOperation | undefined)[]): MatchOperation {
  const rules = new Map<number, Rule[]>();
  for (const [index, operation] of operations.entries()) {
    if (operation === undefined) continue;
    for (const code of new Set(operation.functionCodes)) {
      const rule = { index, operation, units: new Set(operation.units) };
      rules.set(code, [...(rules.get(code) ?? []), rule]);
    }
  }
  return (operation) => {
    if (operation.protocol !== 'modbus' || !isWellFormed(operation)) return noMatch;
    const candidates = rules.get(operation.functionCode) ?? [];
    return {
      kind: 'matched',
      sure: candidates.filter((rule) => isInside(operation, rule)).map((rule) => rule.index),
      possible: () => candidates.filter((rule) => touches(operation, rule)).map((rule) => rule.index),
    };
  };
}

/** True for function codes whose access is an address and a quantity. */
export function hasAddress(functionCode: number): boolean {
  return reading.has(functionCode) || writing.has(functionCode);
}

function isWellFormed(request: ModbusRequest): boolean {
  const { unit, functionCode, address, quantity, values, change = 0 } = request;
  if (!within(unit, 0, 255) || !within(functionCode, 1, 127) || !within(change, 0, 0xffff)) return false;
  if (!Array.isArray(values) || !values.every((value) => within(value, 0, 0xffff))) return false;
  if (!hasAddress(functionCode)) return true;
  if (!within(address, 0, 0xffff) || !within(quantity, 1, MAX_MODBUS_QUANTITY)) return false;
  return address + quantity <= 0x10000 && !(reading.has(functionCode) && values.length > 0);
}

function within(value: unknown, low: number, high: number): boolean {
  return Number.isInteger(value) && (value as number) >= low && (value as number) <= high;
}

function isInside(request: ModbusRequest, { operation, units }: Rule): boolean {
  if (units.size > 0 && !units.has(request.unit)) return false;
  const { values, maxQuantity, maxChangePerMinute } = operation;
  const bounded = values !== undefined || maxChangePerMinute !== undefined;
  // Whatever such a function carries, nobody counts it here.
  if (!hasAddress(request.functionCode)) return !bounded && maxQuantity === undefined;
  const last = request.address + request.quantity - 1;
  if (!operation.addresses.some(([low, high]) => low <= request.address && last <= high)) return false;
  if (maxQuantity !== undefined && request.quantity > maxQuantity) return false;
  return !bounded || writesInside(request, operation);
}

function writesInside(request: ModbusRequest, { values, maxChangePerMinute }: ModbusOperation): boolean {
  if (reading.has(request.functionCode)) return true;
  // What a mask leaves in the register depends on what is in it: nobody can promise that it stays in the range.
  if (request.functionCode === maskWrite) return false;
  // The reading half of function 23 is asked on its own, without values.
  if (request.functionCode === readWrite && request.values.length === 0) return true;
  if (request.values.length !== request.quantity) return false;
  const { change } = request;
  if (maxChangePerMinute !== undefined && (change === undefined || change > maxChangePerMinute)) return false;
  return values === undefined || written(request).every((value) => values[0] <= value && value <= values[1]);
}

function touches(request: ModbusRequest, { operation, units }: Rule): boolean {
  if (units.size > 0 && !units.has(request.unit) && request.unit !== broadcast) return false;
  if (!hasAddress(request.functionCode)) return true;
  const last = request.address + request.quantity - 1;
  if (!operation.addresses.some(([low, high]) => low <= last && request.address <= high)) return false;
  // An access of more registers than the most is also one of fewer, so that the quantity spares nothing.
  if (request.functionCode === maskWrite || reading.has(request.functionCode)) return true;
  if (request.values.length !== request.quantity) return true;
  const { values, maxChangePerMinute } = operation;
  // The change is that of the register which changes most; of several the others may change by less.
  const tooFast = maxChangePerMinute !== undefined && (request.change ?? 0) > maxChangePerMinute;
  if (tooFast && request.quantity === 1) return false;
  return values === undefined || written(request).some((value) => values[0] <= value && value <= values[1]);
}

/** A coil is 1 or 0; on the wire function 5 says 0xff00 for 1. */
function written(request: ModbusRequest): readonly number[] {
  if (request.functionCode !== singleCoil) return request.values;
  return request.values.map((value) => (value === 0xff00 ? 1 : value));
}
