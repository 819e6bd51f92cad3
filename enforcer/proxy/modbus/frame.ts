// Modbus/TCP framing (MODBUS Messaging on TCP/IP Implementation Guide 1.0b, 3.1.3): a header of seven bytes gives the
// length, TCP gives the bytes in any pieces. The reader puts frames together again and stops for good at the first byte
// that cannot be part of one: after garbage nobody knows where the next frame begins.

export interface ModbusFrame {
  readonly transaction: number;
  readonly unit: number;
  /** Function code and data, 1 to 253 bytes. */
  readonly pdu: Buffer;
  /** The whole frame as it came. */
  readonly bytes: Buffer;
}

export type FrameFault = 'protocol identifier is not 0' | 'length is not 2 to 254';

export interface FrameBatch {
  readonly frames: readonly ModbusFrame[];
  readonly fault: FrameFault | undefined;
}

export interface FrameReader {
  readonly push: (chunk: Buffer) => FrameBatch;
  /** True between the first and the last byte of a frame. */
  readonly isPartial: () => boolean;
}

const headerBytes = 7;
/** Length counts the unit and the data: header of six bytes before it, 254 after. */
const maxFrameBytes = 260;

export function createFrameReader(): FrameReader {
  const frame = Buffer.alloc(maxFrameBytes);
  let filled = 0;
  let fault: FrameFault | undefined;

  /** How many bytes the frame in the buffer has, as far as that is known yet. */
  const wanted = (): number => (filled < 6 ? 6 : 6 + frame.readUInt16BE(4));
  const headerFault = (): FrameFault | undefined => {
    // Each byte is judged as soon as it is there, so that garbage does not wait for more garbage.
    if (filled >= 3 && frame[2] !== 0) return 'protocol identifier is not 0';
    if (filled >= 4 && frame[3] !== 0) return 'protocol identifier is not 0';
    if (filled >= 5 && frame[4] !== 0) return 'length is not 2 to 254';
    if (filled >= 6 && !lengthIsValid(frame[5] ?? 0)) return 'length is not 2 to 254';
    return undefined;
  };

  return {
    isPartial: () => filled > 0,
    push(chunk) {
      const frames: ModbusFrame[] = [];
      let at = 0;
      while (at < chunk.length && fault === undefined) {
        const take = Math.min(wanted() - filled, chunk.length - at);
        chunk.copy(frame, filled, at, at + take);
        filled += take;
        at += take;
        fault = headerFault();
        if (fault === undefined && filled >= headerBytes && filled === wanted()) {
          frames.push(finished(Buffer.from(frame.subarray(0, filled))));
          filled = 0;
        }
      }
      return { frames, fault };
    },
  };
}

function lengthIsValid(length: number): boolean {
  return length >= 2 && length <= 254;
}

function finished(bytes: Buffer): ModbusFrame {
  return {
    transaction: bytes.readUInt16BE(0),
    unit: bytes.readUInt8(6),
    pdu: bytes.subarray(headerBytes),
    bytes,
  };
}

/** The answer that a server gives to a request it refuses (application protocol 1.1b3, 7). */
export function exceptionResponse(request: ModbusFrame, exception: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt16BE(request.transaction, 0);
  bytes.writeUInt16BE(3, 4);
  bytes.writeUInt8(request.unit, 6);
  bytes.writeUInt8((request.pdu[0] ?? 0) | 0x80, 7);
  bytes.writeUInt8(exception, 8);
  return bytes;
}

/** True when `response` can be the answer to a request with these fields. */
export function answers(
  response: ModbusFrame,
  request: { readonly transaction: number; readonly unit: number; readonly functionCode: number },
): boolean {
  return (
    response.transaction === request.transaction &&
    response.unit === request.unit &&
    ((response.pdu[0] ?? 0) & 0x7f) === request.functionCode
  );
}
