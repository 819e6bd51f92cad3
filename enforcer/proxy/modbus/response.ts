// The values in the answer to a reading request (Modbus application protocol 1.1b3, 6.1, 6.3, 6.17).
import type { ModbusOperation } from './request.ts';

const readCoils = 1;
const readHoldingRegisters = 3;
const readWriteRegisters = 23;

/** Undefined for an exception, and for an answer that does not hold what was asked for. */
export function readValues(pdu: Buffer, { functionCode, quantity }: ModbusOperation): readonly number[] | undefined {
  if (pdu[0] !== functionCode) return undefined;
  const bytes = pdu.subarray(2);
  switch (functionCode) {
    case readCoils:
      if (bytes.length !== Math.ceil(quantity / 8) || pdu[1] !== bytes.length) return undefined;
      return Array.from({ length: quantity }, (_, index) => ((bytes[index >> 3] ?? 0) >> (index & 7)) & 1);
    case readHoldingRegisters:
    case readWriteRegisters:
      if (bytes.length !== quantity * 2 || pdu[1] !== bytes.length) return undefined;
      return Array.from({ length: quantity }, (_, index) => bytes.readUInt16BE(index * 2));
    default:
      return undefined;
  }
}
