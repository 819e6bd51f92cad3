// HTTP/2 frames of a gRPC unary client (RFC 9113, gRPC over HTTP/2), made beforehand so that sending one is a copy and two
// patches: the stream id, and what is new in this sending of the request.

export const FRAME_HEAD = 9;
const GRPC_HEAD = 5;
export const preface: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const frameTypes = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flags = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const settingIds = { tableSize: 1, enablePush: 2, maxStreams: 3, window: 4, maxFrame: 5 } as const;

export function frame(type: number, flag: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flag, 4);
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, FRAME_HEAD);
  return bytes;
}

export function settingsFrame(settings: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  for (const [index, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  }
  return frame(frameTypes.settings, 0, 0, payload);
}

export function windowUpdateFrame(stream: number, by: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(by);
  return frame(frameTypes.windowUpdate, 0, stream, payload);
}

/** Static table (RFC 7541, appendix A) entries that a request of Envoy uses. */
const methodPost = 0x83;
const schemeHttp = 0x86;
/** Dynamic table size update to 0 (RFC 7541, 6.3). */
const noTable = 0x20;
const names = { ':authority': 1, ':path': 4, 'content-type': 31 } as const;

/** What Envoy's gRPC client sends beside the pseudo-headers that are in the static table. */
const requestHeaders: readonly (readonly [string, string])[] = [
  [':path', '/envoy.service.auth.v3.Authorization/Check'],
  [':authority', 'edgeward'],
  ['te', 'trailers'],
  // As the shipped configuration has it.
  ['grpc-timeout', '500m'],
  ['content-type', 'application/grpc'],
  ['x-envoy-internal', 'true'],
  ['x-forwarded-for', '10.77.0.12'],
];
const FIRST_DYNAMIC = 62;

/**
 * Header block of a Check. `indexing` puts every header into the dynamic table, once a connection; `indexed` is what follows
 * then, as Envoy's encoder does it; `plain` is for a server that keeps no table (SETTINGS_HEADER_TABLE_SIZE 0), the first time
 * with the change of size that it has to be told of (RFC 7541, 4.2).
 */
export function headerBlock(form: 'indexing' | 'indexed' | 'first plain' | 'plain'): Buffer {
  const start = [...(form === 'first plain' ? [noTable] : []), methodPost, schemeHttp];
  if (form === 'indexed') {
    return Buffer.from([
      ...start,
      ...requestHeaders.map((_, at) => 0x80 | (FIRST_DYNAMIC + requestHeaders.length - 1 - at)),
    ]);
  }
  const first = form === 'indexing' ? 0x40 : 0x00;
  const most = form === 'indexing' ? 0x3f : 0x0f;
  const parts = requestHeaders.map(([name, value]) => {
    const index = (names as Readonly<Record<string, number>>)[name];
    const named = index === undefined ? [first, ...textOf(name)] : prefixed(first, most, index);
    return [...named, ...textOf(value)];
  });
  return Buffer.from([...start, ...parts.flat()]);
}

function prefixed(first: number, most: number, value: number): number[] {
  return value < most ? [first | value] : [first | most, value - most];
}

const textOf = (text: string): number[] => [text.length, ...Buffer.from(text, 'latin1')];

export interface CallFrames {
  /** HEADERS and DATA (end of stream), stream ids 0. */
  readonly bytes: Buffer;
  /** Where the second stream id stands; the first is at 5. */
  readonly secondId: number;
  /** Where the message begins. */
  readonly message: number;
  /** What flow control counts. */
  readonly counted: number;
}

export function callFrames(block: Uint8Array, message: Uint8Array): CallFrames {
  const head = frame(frameTypes.headers, flags.endHeaders, 0, block);
  const prefix = Buffer.alloc(GRPC_HEAD);
  prefix.writeUInt32BE(message.length, 1);
  const data = frame(frameTypes.data, flags.endStream, 0, Buffer.concat([prefix, message]));
  return {
    bytes: Buffer.concat([head, data]),
    secondId: head.length + 5,
    message: head.length + FRAME_HEAD + GRPC_HEAD,
    counted: GRPC_HEAD + message.length,
  };
}

/** The message of a gRPC unary answer's DATA; undefined when it is no single uncompressed message. */
export function messageOf(data: Uint8Array): Uint8Array | undefined {
  if (data.length < GRPC_HEAD || data[0] !== 0) return undefined;
  const length = new DataView(data.buffer, data.byteOffset).getUint32(1);
  return data.length === GRPC_HEAD + length ? data.subarray(GRPC_HEAD) : undefined;
}
