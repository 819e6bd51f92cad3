// What is the same on both ends of a call: protobuf-es messages as bytes, strict decoding, errors as status and detail.
import { Metadata, status as grpcStatus, type ServiceDefinition, type StatusObject } from '@grpc/grpc-js';
import { create, fromBinary, isMessage, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, DescMethod, DescService, Message, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { ErrorDetailSchema } from '../proto/gen/edgeward/errors/v1/errors_pb.ts';
import { CodedError, type StatusName } from './errors.ts';
import { rpcCode, runtimeErrors } from './error-codes.ts';
import { maxErrorText, maxMessageDepth, maxStatusText } from './limits.ts';

/** Trailer that carries an ErrorDetail; grpc-js treats names that end in -bin as bytes. */
export const errorTrailer = 'edgeward-error-bin';

export interface DecodeRules {
  /** Accept fields and enum numbers we do not know. Only for protocols whose other end is not ours (Envoy). */
  readonly lenient?: boolean;
}

export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** The service for grpc-js. Bytes pass through: messages are decoded by our own layer, which can refuse with a code. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  const bytes = (value: Buffer): Buffer => value;
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      {
        path: methodPath(method),
        requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
        responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
        requestSerialize: bytes,
        requestDeserialize: bytes,
        responseSerialize: bytes,
        responseDeserialize: bytes,
      },
    ]),
  );
}

export function encodeMessage<D extends DescMessage>(schema: D, value: MessageInitShape<D>): Buffer {
  const message = isMessage(value, schema) ? value : create(schema, value);
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function decodeMessage<D extends DescMessage>(
  schema: D,
  bytes: Uint8Array,
  rules: DecodeRules = {},
): MessageShape<D> {
  let message: MessageShape<D>;
  try {
    message = fromBinary(schema, bytes, { recursionLimit: maxMessageDepth });
  } catch (cause) {
    throw runtimeErrors.error('WIRE_MALFORMED', `${schema.typeName} cannot be decoded`, { cause });
  }
  if (!rules.lenient) refuseUnknown(schema, message);
  return message;
}

/** Refuses what the sender said and we do not understand: skipping it could mean the opposite of what was meant. */
function refuseUnknown(schema: DescMessage, message: Message): void {
  const [unknown] = message.$unknown ?? [];
  if (unknown !== undefined) {
    throw runtimeErrors.error('WIRE_UNKNOWN_FIELD', `${schema.typeName} has the unknown field ${unknown.no}`);
  }
  const values = message as unknown as Record<string, unknown>;
  for (const field of schema.fields) {
    let value = values[field.localName];
    if (field.oneof !== undefined) {
      const chosen = values[field.oneof.localName] as { case?: string; value?: unknown };
      value = chosen.case === field.localName ? chosen.value : undefined;
    }
    if (value === undefined) continue;
    const nested = field.message;
    const { enum: numbers } = field;
    if (nested === undefined && numbers === undefined) continue;
    for (const item of itemsOf(field.fieldKind, value)) {
      if (nested !== undefined) refuseUnknown(nested, item as Message);
      if (numbers !== undefined && numbers.value[item as number] === undefined) {
        throw runtimeErrors.error(
          'WIRE_UNKNOWN_FIELD',
          `${schema.typeName}.${field.name} has the unknown value ${String(item)} of ${numbers.typeName}`,
        );
      }
    }
  }
}

function itemsOf(kind: string, value: unknown): readonly unknown[] {
  if (kind === 'list') return value as readonly unknown[];
  if (kind === 'map') return Object.values(value as object);
  return [value];
}

/** What a failed handler becomes. Only coded errors say anything to the other side. */
export function statusOf(
  error: unknown,
): Partial<StatusObject> & { code: number; details: string; metadata: Metadata } {
  const coded = error instanceof CodedError ? error : runtimeErrors.error('RPC_INTERNAL', 'internal error');
  const message = coded.message.slice(0, maxErrorText).toWellFormed();
  const metadata = new Metadata();
  const { code, remedy } = coded;
  const detail = { code, message, remedy: remedy.slice(0, maxErrorText), place: placeOf(coded) };
  metadata.set(errorTrailer, encodeMessage(ErrorDetailSchema, detail));
  return {
    code: grpcStatus[coded.status],
    details: `${coded.code}: ${message.slice(0, maxStatusText)}`.toWellFormed(),
    metadata,
  };
}

function placeOf(error: CodedError): MessageInitShape<typeof ErrorDetailSchema>['place'] {
  if (error.place === undefined) return undefined;
  return { file: error.place.file, line: error.place.line ?? 0, column: error.place.column ?? 0 };
}

/** What a failed call was: the coded error of the other side, or one that stands for the bare status. */
export function errorOf(failure: {
  code?: number;
  details?: string;
  metadata?: Metadata;
  message?: string;
}): CodedError {
  const name = statusName(failure.code);
  const [trailer] = failure.metadata?.get(errorTrailer) ?? [];
  if (Buffer.isBuffer(trailer)) {
    try {
      const detail = fromBinary(ErrorDetailSchema, trailer, { recursionLimit: maxMessageDepth });
      const place = detail.place && {
        file: detail.place.file,
        ...(detail.place.line > 0 ? { line: detail.place.line } : {}),
        ...(detail.place.column > 0 ? { column: detail.place.column } : {}),
      };
      if (/^[A-Z][A-Z0-9_]{2,63}$/.test(detail.code)) {
        return new CodedError(
          detail.code,
          { status: name, remedy: detail.remedy },
          detail.message,
          place ? { place } : {},
        );
      }
    } catch {
      // A broken detail says no more than the status.
    }
  }
  return runtimeErrors.error(rpcCode(name), failure.details ?? failure.message ?? name, { cause: failure });
}

function statusName(code: number | undefined): StatusName {
  const name = code === undefined ? undefined : grpcStatus[code];
  return name === undefined || name === 'OK' || name === 'UNKNOWN' ? 'INTERNAL' : (name as StatusName);
}
