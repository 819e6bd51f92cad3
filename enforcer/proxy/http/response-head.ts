// Where the answer of a server ends (RFC 9112, 4 and 6.3). A server that lies about it could make the client read an answer
// that nobody gave; what it says of anything else is its own.
import { fault, type Framing, hasConnectionOption, type Head, type Reading, valuesOf } from './head.ts';

export interface ResponseHead {
  /** 100 to 599, without 101. */
  readonly status: number;
  readonly framing: Framing;
  /** The server gives no further answer on this connection. */
  readonly last: boolean;
}

/** The space before an empty reason is left out by many servers. */
const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/** @param method that the answer belongs to. */
export function readResponseHead({ startLine, fields }: Head, method: string): Reading<ResponseHead> {
  const [, minor, code] = statusLine.exec(startLine) ?? [];
  if (code === undefined) return fault('a first line that is no status line');
  const status = Number(code);
  if (status === 101) return fault('a protocol that nobody asked to switch to');
  const framing = framingOf(fields, status, method, minor === '1');
  if ('fault' in framing) return framing;
  const persists = minor === '1' ? !hasConnectionOption(fields, 'close') : hasConnectionOption(fields, 'keep-alive');
  return { read: { status, framing: framing.read, last: !persists || framing.read.kind === 'until-close' } };
}

function framingOf(fields: readonly string[], status: number, method: string, is11: boolean): Reading<Framing> {
  const codings = valuesOf(fields, 'transfer-encoding');
  const lengths = valuesOf(fields, 'content-length');
  const [coding] = codings;
  const [length] = lengths;
  if (coding !== undefined && (codings.length > 1 || coding.toLowerCase() !== 'chunked')) {
    return fault('transfer-encoding other than chunked');
  }
  if (coding !== undefined && !is11) return fault('transfer-encoding in HTTP/1.0');
  if (lengths.length > 1) return fault('content-length twice');
  if (coding !== undefined && length !== undefined) return fault('content-length beside transfer-encoding');
  if (length !== undefined && !/^\d{1,16}$/.test(length)) return fault('content-length that is no number');
  const bytes = Number(length);
  if (length !== undefined && !Number.isSafeInteger(bytes)) return fault('content-length beyond what is counted');
  // RFC 9110, 8.6 and RFC 9112, 6.1 forbid both there; some readers would look for the body.
  if ((status < 200 || status === 204) && (coding !== undefined || bytes > 0)) return fault(`a ${status} with a body`);
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return { read: { kind: 'none' } };
  if (coding !== undefined) return { read: { kind: 'chunked' } };
  if (length === undefined) return { read: { kind: 'until-close' } };
  return { read: bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes } };
}
