// What a request has to be to be a unary gRPC call (gRPC over HTTP/2, "Requests").
import { runtimeErrors } from '../error-codes.ts';
import type { CodedError } from '../errors.ts';
import { errorBlock, httpStatusBlock } from './answer-blocks.ts';
import { parseGrpcTimeout } from './grpc-timeout.ts';
import { prefixBytes } from './stream.ts';

/** What makes a call of a well-formed HTTP/2 request. */
export interface RequestRules {
  /** The answer to a request that is refused by its head; `knows` says which paths have a method. */
  refusal(fields: ReadonlyMap<string, string>, knows: (path: string) => boolean): Buffer | undefined;
  /** The message in `source[start, end)`, which may go on while END_STREAM has not come. */
  message(source: Buffer, start: number, end: number, maxBytes: number): ReadMessage;
}

export interface ReadMessage {
  /** A view of the source: the content, when it is one whole message. */
  readonly message?: Uint8Array;
  /** Known as soon as the prefix is. */
  readonly tooLarge?: CodedError;
  /** What is wrong, if nothing more comes. */
  readonly fault?: CodedError;
}

const contentType = /^application\/grpc(\+proto)?($|;)/;

const refusals = {
  method: httpStatusBlock(405),
  contentType: httpStatusBlock(415),
  path: errorBlock(runtimeErrors.error('RPC_UNIMPLEMENTED', 'no such method here')),
  encoding: errorBlock(runtimeErrors.error('RPC_UNIMPLEMENTED', 'messages are not compressed here')),
  timeout: errorBlock(runtimeErrors.error('RPC_INTERNAL', 'grpc-timeout is malformed')),
} as const;

export const grpcRequests: RequestRules = {
  refusal(fields, knows) {
    if (fields.get(':method') !== 'POST') return refusals.method;
    if (!contentType.test(fields.get('content-type') ?? '')) return refusals.contentType;
    if (!knows(fields.get(':path') ?? '')) return refusals.path;
    if ((fields.get('grpc-encoding') ?? 'identity') !== 'identity') return refusals.encoding;
    const timeout = fields.get('grpc-timeout');
    return timeout !== undefined && parseGrpcTimeout(timeout) === undefined ? refusals.timeout : undefined;
  },
  message(source, start, end, maxBytes) {
    if (end - start < prefixBytes) return { fault: notOne() };
    const length = source.readUInt32BE(start + 1);
    if (length > maxBytes) {
      return { tooLarge: runtimeErrors.error('RPC_RESOURCE_EXHAUSTED', `a message has at most ${maxBytes} bytes`) };
    }
    if (source[start] !== 0) return { fault: compressed(source[start]) };
    if (end - start !== prefixBytes + length) return { fault: notOne() };
    return { message: source.subarray(start + prefixBytes, end) };
  },
};

const notOne = (): CodedError =>
  runtimeErrors.error('RPC_UNIMPLEMENTED', 'a request of this method is exactly one message');

const compressed = (flags: number | undefined): CodedError =>
  flags === 1
    ? runtimeErrors.error('RPC_UNIMPLEMENTED', 'messages are not compressed here')
    : runtimeErrors.error('RPC_INTERNAL', 'the prefix of the message is malformed');
