// Reads Modbus/TCP with jsmodbus, and says by the words of the policy what may be asked. A message that jsmodbus would write
// otherwise than it came is none: two readers could see two requests. It knows no function 22 and 23: read here.
import tcpRequest from 'jsmodbus/dist/tcp-request.js';
import { MAX_VALUE, readable, UNIT, writable } from '../policy.ts';
import type { Who } from './suite.ts';

// CommonJS with a default export of its own.
const ModbusTCPRequest = tcpRequest.default;

interface Body {
  readonly start: number;
  readonly count: number;
  readonly address: number;
  readonly value: number | boolean;
  readonly quantity: number;
  readonly valuesAsArray: readonly (number | boolean)[];
}

const inside = ([from, to]: readonly [number, number], address: number, quantity: number): boolean =>
  quantity >= 1 && address >= from && address + quantity - 1 <= to;

/** Frames by their length fields alone; `rest` is what follows the last whole one, or the first that cannot be one. */
export function framesOf(bytes: Buffer): { frames: Buffer[]; rest: Buffer } {
  const frames: Buffer[] = [];
  let at = 0;
  while (bytes.length - at >= 8) {
    const length = bytes.readUInt16BE(at + 4);
    if (bytes.readUInt16BE(at + 2) !== 0 || length < 2 || length > 254 || bytes.length - at < 6 + length) break;
    frames.push(bytes.subarray(at, at + 6 + length));
    at += 6 + length;
  }
  return { frames, rest: bytes.subarray(at) };
}

export function mayAsk(who: Who, frame: Buffer): boolean {
  if (who === 'nobody' || frame.readUInt8(6) !== UNIT) return false;
  const functionCode = frame.readUInt8(7);
  const isOperator = who === 'operator';
  if (functionCode === 23) return isOperator && mayExchange(frame);
  const request = ModbusTCPRequest.fromBuffer(frame);
  if (request === null || !request.createPayload().equals(frame)) return false;
  const body = request.body as unknown as Body;
  const stops = functionCode === 5 && isCoilValue(frame) && body.address === 0;
  // What is for safety, no order takes away.
  if (who === 'quarantined') return stops;
  switch (functionCode) {
    case 1:
    case 2:
      return body.count <= 2_000 && readable.some((range) => inside(range, body.start, body.count));
    case 3:
    case 4:
      return body.count <= 125 && readable.some((range) => inside(range, body.start, body.count));
    case 5:
      return isOperator && (stops || (isCoilValue(frame) && inside(writable, body.address, 1)));
    case 6:
      return isOperator && inside(writable, body.address, 1) && Number(body.value) <= MAX_VALUE;
    case 15:
      return isOperator && inside(writable, body.address, body.quantity) && body.quantity <= 1_968;
    case 16:
      return (
        isOperator &&
        inside(writable, body.address, frame.readUInt16BE(10)) &&
        wordsOf(frame, 13).every((value) => value <= MAX_VALUE)
      );
    default:
      return false;
  }
}

const isCoilValue = (frame: Buffer): boolean => [0, 0xff00].includes(frame.readUInt16BE(10));

const wordsOf = (frame: Buffer, from: number): number[] =>
  Array.from({ length: (frame.length - from) >> 1 }, (_, at) => frame.readUInt16BE(from + 2 * at));

/** MODBUS Application Protocol 1.1b3, 6.17: reads and writes; both halves have to be granted. */
function mayExchange(frame: Buffer): boolean {
  if (frame.length < 19) return false;
  const [readAt, readCount, writeAt, writeCount] = [8, 10, 12, 14].map((at) => frame.readUInt16BE(at));
  const bytes = frame.readUInt8(16);
  return (
    bytes === 2 * (writeCount ?? 0) &&
    frame.length === 17 + bytes &&
    (readCount ?? 0) <= 125 &&
    (writeCount ?? 0) <= 121 &&
    inside(writable, readAt ?? 0, readCount ?? 0) &&
    inside(writable, writeAt ?? 0, writeCount ?? 0) &&
    wordsOf(frame, 17).every((value) => value <= MAX_VALUE)
  );
}
