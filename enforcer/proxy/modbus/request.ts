// What a Modbus request asks for (application protocol 1.1b3, section 6). Lengths that contradict each other are
// malformed: two readers could see two requests. What the specification forbids is illegal and never reaches a server,
// which may be a fragile one.
import type { Operation } from '../../../policy/engine/index.ts';

export type ModbusOperation = Extract<Operation, { protocol: 'modbus' }>;

export type ModbusRequest =
  /** Function 23 reads and writes: two operations, both of which have to be allowed. */
  | { readonly kind: 'request'; readonly operations: readonly ModbusOperation[] }
  /** Answered here with this exception code: 1 function, 2 address, 3 value. */
  | { readonly kind: 'illegal'; readonly exception: 1 | 2 | 3; readonly operation: ModbusOperation }
  | { readonly kind: 'malformed'; readonly why: string };

const maxCoilsRead = 2_000;
const maxRegistersRead = 125;
const maxCoilsWritten = 1_968;
const maxRegistersWritten = 123;
const maxRegistersExchanged = 121;
const addressSpace = 0x10000;

export function decodeRequest(unit: number, pdu: Buffer): ModbusRequest {
  const functionCode = pdu[0] ?? 0;
  const operation = (address: number, quantity: number, values: readonly number[] = []): ModbusOperation => ({
    protocol: 'modbus',
    unit,
    functionCode,
    address,
    quantity,
    values,
  });
  switch (functionCode) {
    case 1:
    case 2:
      return reading(pdu, operation, maxCoilsRead);
    case 3:
    case 4:
      return reading(pdu, operation, maxRegistersRead);
    case 5:
      return singleCoil(pdu, operation);
    case 6:
      if (pdu.length !== 5) return wrongLength;
      return requested(operation(pdu.readUInt16BE(1), 1, [pdu.readUInt16BE(3)]));
    case 15:
      return multipleCoils(pdu, operation);
    case 16:
      return multipleRegisters(pdu, operation);
    case 22:
      if (pdu.length !== 7) return wrongLength;
      return requested(operation(pdu.readUInt16BE(1), 1, [pdu.readUInt16BE(3), pdu.readUInt16BE(5)]));
    case 23:
      return exchange(pdu, operation);
    default:
      // 0 and what has the bit of an exception are no functions.
      if (functionCode === 0 || functionCode >= 0x80)
        return { kind: 'illegal', exception: 1, operation: operation(0, 0) };
      return requested(operation(0, 0));
  }
}

type MakeOperation = (address: number, quantity: number, values?: readonly number[]) => ModbusOperation;

const wrongLength: ModbusRequest = { kind: 'malformed', why: 'length does not fit the function' };

/** Checks quantity and address of each part, in the order the specification has a server check them. */
function requested(...operations: readonly ModbusOperation[]): ModbusRequest {
  const beyond = operations.find(({ address, quantity }) => address + quantity > addressSpace);
  return beyond === undefined ? { kind: 'request', operations } : { kind: 'illegal', exception: 2, operation: beyond };
}

function illegalValue(operation: ModbusOperation): ModbusRequest {
  return { kind: 'illegal', exception: 3, operation };
}

function reading(pdu: Buffer, operation: MakeOperation, most: number): ModbusRequest {
  if (pdu.length !== 5) return wrongLength;
  const asked = operation(pdu.readUInt16BE(1), pdu.readUInt16BE(3));
  return asked.quantity < 1 || asked.quantity > most ? illegalValue(asked) : requested(asked);
}

function singleCoil(pdu: Buffer, operation: MakeOperation): ModbusRequest {
  if (pdu.length !== 5) return wrongLength;
  const [address, value] = [pdu.readUInt16BE(1), pdu.readUInt16BE(3)];
  if (value !== 0 && value !== 0xff00) return illegalValue(operation(address, 1, [value]));
  return requested(operation(address, 1, [value === 0 ? 0 : 1]));
}

function multipleCoils(pdu: Buffer, operation: MakeOperation): ModbusRequest {
  if (pdu.length < 6 || pdu.length !== 6 + pdu.readUInt8(5)) return wrongLength;
  const [address, quantity] = [pdu.readUInt16BE(1), pdu.readUInt16BE(3)];
  if (quantity < 1 || quantity > maxCoilsWritten) return illegalValue(operation(address, quantity));
  if (pdu.readUInt8(5) !== Math.ceil(quantity / 8)) return wrongLength;
  const values = Array.from({ length: quantity }, (_, index) => ((pdu[6 + (index >> 3)] ?? 0) >> (index & 7)) & 1);
  return requested(operation(address, quantity, values));
}

function multipleRegisters(pdu: Buffer, operation: MakeOperation): ModbusRequest {
  if (pdu.length < 6 || pdu.length !== 6 + pdu.readUInt8(5)) return wrongLength;
  const [address, quantity] = [pdu.readUInt16BE(1), pdu.readUInt16BE(3)];
  if (quantity < 1 || quantity > maxRegistersWritten) return illegalValue(operation(address, quantity));
  if (pdu.readUInt8(5) !== quantity * 2) return wrongLength;
  return requested(operation(address, quantity, registers(pdu, 6, quantity)));
}

function exchange(pdu: Buffer, operation: MakeOperation): ModbusRequest {
  if (pdu.length < 10 || pdu.length !== 10 + pdu.readUInt8(9)) return wrongLength;
  const read = operation(pdu.readUInt16BE(1), pdu.readUInt16BE(3));
  const [address, quantity] = [pdu.readUInt16BE(5), pdu.readUInt16BE(7)];
  if (read.quantity < 1 || read.quantity > maxRegistersRead) return illegalValue(read);
  if (quantity < 1 || quantity > maxRegistersExchanged) return illegalValue(operation(address, quantity));
  if (pdu.readUInt8(9) !== quantity * 2) return wrongLength;
  return requested(operation(address, quantity, registers(pdu, 10, quantity)), read);
}

function registers(pdu: Buffer, start: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => pdu.readUInt16BE(start + index * 2));
}
