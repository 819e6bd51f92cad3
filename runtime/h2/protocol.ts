// The numbers of HTTP/2 on the wire (RFC 9113) and the fault that ends a connection.

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** RFC 9113 section 4.1: length (24), type (8), flags (8), stream identifier (31, one bit reserved). */
export const frameHeaderBytes = 9;
/** Section 4.2: what every endpoint must accept, and what we accept. */
export const maxFrameBytes = 16_384;
export const maxFrameBytesEver = 2 ** 24 - 1;
export const maxWindow = 2 ** 31 - 1;
/** Section 6.9.2. */
export const defaultWindow = 65_535;
export const maxStreamId = 2 ** 31 - 1;

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** Section 7. */
export const errorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
} as const;

export type ErrorName = keyof typeof errorCode;

/** Section 5.4.1: GOAWAY with this code and text, then the end of the connection. */
export class ConnectionFault extends Error {
  override readonly name = 'ConnectionFault';
  readonly code: ErrorName;

  constructor(code: ErrorName, message: string) {
    super(message);
    this.code = code;
  }
}
