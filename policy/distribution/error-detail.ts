// CodedError to ErrorDetail and back: the shape in which a NACK, a failed renewal and a Goodbye carry a fault.
import { create } from '@bufbuild/protobuf';
import { type ErrorDetail, ErrorDetailSchema } from '../../proto/gen/edgeward/errors/v1/errors_pb.ts';
import { CodedError, type Place } from '../../runtime/errors.ts';
import { distributionErrors } from './errors.ts';
import { MAX_ERROR_CHARACTERS } from './limits.ts';

/** Any fault as a coded one; what is not coded says nothing of its inside to the other end. */
export function asCodedError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return distributionErrors.error('DISTRIBUTION_HANDLER_FAILED', 'an unexpected fault', { cause: error });
}

export function toErrorDetail(error: CodedError): ErrorDetail {
  const { place } = error;
  return create(ErrorDetailSchema, {
    code: cut(error.code),
    message: cut(error.message),
    remedy: cut(error.remedy),
    ...(place === undefined
      ? {}
      : { place: { file: cut(place.file), line: place.line ?? 0, column: place.column ?? 0 } }),
  });
}

/** The other end's fault as ours. Its texts are cut: they end in tables and logs. */
export function fromErrorDetail(detail: ErrorDetail | undefined): CodedError {
  const code = /^[A-Z][A-Z0-9_]{0,63}$/.test(detail?.code ?? '') ? (detail?.code ?? '') : 'DISTRIBUTION_HANDLER_FAILED';
  const place = detail?.place;
  return new CodedError(
    code,
    { status: 'ABORTED', remedy: cut(detail?.remedy ?? '') },
    cut(detail?.message ?? 'no reason given'),
    place === undefined || place.file === '' ? {} : { place: toPlace(place) },
  );
}

function toPlace(place: { file: string; line: number; column: number }): Place {
  return {
    file: cut(place.file),
    ...(place.line > 0 ? { line: place.line } : {}),
    ...(place.column > 0 ? { column: place.column } : {}),
  };
}

function cut(text: string): string {
  return text.length <= MAX_ERROR_CHARACTERS ? text : text.slice(0, MAX_ERROR_CHARACTERS);
}
