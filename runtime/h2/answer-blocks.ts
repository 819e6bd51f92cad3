// Header blocks that we send. Literals and the static table only (RFC 7541 section 6.2.2), so that a block means the same
// wherever it stands; most are constants.
import { errorTrailer, statusOf } from '../grpc-wire.ts';
import { maxFrameBytes } from './protocol.ts';

const statusIndex = 8;
const contentTypeIndex = 31;

function integer(value: number, prefixBits: number): Buffer {
  const max = (1 << prefixBits) - 1;
  if (value < max) return Buffer.from([value]);
  const octets = [max];
  let rest = value - max;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 0x80);
  return Buffer.from([...octets, rest]);
}

const string = (value: string): Buffer => Buffer.concat([integer(value.length, 7), Buffer.from(value, 'latin1')]);
const named = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0]), string(name), string(value)]);
const indexed = (index: number, value: string): Buffer => Buffer.concat([integer(index, 4), string(value)]);

const ok = Buffer.from([0x80 | statusIndex]);
const contentType = indexed(contentTypeIndex, 'application/grpc');

/** Section 6.3: our encoder uses no dynamic table. Begins the first block of a connection, whatever the peer announces. */
export const noDynamicTable: Buffer = Buffer.from([0x20]);
/** `:status 200`, `content-type application/grpc` */
export const answerBlock: Buffer = Buffer.concat([ok, contentType]);
/** `grpc-status 0` */
export const doneBlock: Buffer = named('grpc-status', '0');
/** An answer that is no gRPC, for a request that was none. */
export const httpStatusBlock = (status: number): Buffer => indexed(statusIndex, String(status));

/** Trailers that say what `error` was, as the servers of runtime/grpc do. */
export function errorTrailers(error: unknown): Buffer {
  const { code, details, metadata } = statusOf(error);
  const said = [named('grpc-status', String(code)), named('grpc-message', percentEncode(details))];
  const [detail] = metadata.get(errorTrailer);
  const whole = Buffer.concat([
    ...said,
    ...(Buffer.isBuffer(detail) ? [named(errorTrailer, detail.toString('base64').replace(/=+$/, ''))] : []),
  ]);
  // One frame: 100 octets are for what stands before the trailers.
  return whole.length <= maxFrameBytes - 100 ? whole : Buffer.concat(said);
}

/** The whole answer in one block ("Trailers-Only"). */
export const errorBlock = (error: unknown): Buffer => Buffer.concat([answerBlock, errorTrailers(error)]);

/** gRPC over HTTP/2, "Status-Message": what is not printable ASCII, and `%`, as percent-encoded UTF-8. */
function percentEncode(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map((octet) =>
      octet >= 0x20 && octet <= 0x7e && octet !== 0x25
        ? String.fromCharCode(octet)
        : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}
