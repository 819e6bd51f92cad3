// What the fields of a stream ask for (RFC 9113, 8.3). node:http2 has refused what the version forbids; what is left is judged by
// the same rules as HTTP/1.1.
import { ambiguityOf } from '../../../authz/http-request.ts';
import { fault, type Reading, valuesOf } from '../head.ts';
import { headersAsked, type HttpOperation } from '../operation.ts';
import { bodiless, identityFault } from '../request-head.ts';

export interface StreamHead {
  readonly operation: HttpOperation;
  /** `application/grpc` and its kinds: answered in its own way. */
  readonly isGrpc: boolean;
  /** Its content may be as long as was said; undefined where nobody said. */
  readonly saidBytes: number | undefined;
}

/** @param fields names and values in turn, pseudo fields first. @param isWhole nothing follows them. */
export function readStreamHead(fields: readonly string[], isWhole: boolean): Reading<StreamHead> {
  const [method] = valuesOf(fields, ':method');
  const [target] = valuesOf(fields, ':path');
  const [scheme = ''] = valuesOf(fields, ':scheme');
  const [host] = valuesOf(fields, ':authority');
  if (method === undefined || target === undefined) return fault('no method or no path');
  // Host alone names it too (RFC 9113, 8.3.1), but Node would send on an `:authority` of its own beside it.
  if (host === undefined) return fault('no :authority');
  const why = ambiguityOf({ method, target, host, scheme, headers: fields }) ?? identityFault(fields);
  if (why !== undefined) return fault(why);
  if (bodiless.has(method) && !isWhole)
    return fault(`${method} with a body, which some servers read as the next request`);
  const [length] = valuesOf(fields, 'content-length');
  const bytes = isWhole ? 0 : Number(length ?? '0');
  if (!Number.isSafeInteger(bytes)) return fault('content-length beyond what is counted');
  const [contentType = ''] = valuesOf(fields, 'content-type');
  return {
    read: {
      operation: {
        protocol: 'http',
        method,
        path: target,
        host,
        headers: headersAsked(fields.slice(firstField(fields))),
        bodyBytes: bytes,
      },
      isGrpc: /^application\/grpc(?:$|[+;])/.test(contentType),
      saidBytes: isWhole || length !== undefined ? bytes : undefined,
    },
  };
}

/** Behind the pseudo fields. */
function firstField(fields: readonly string[]): number {
  let at = 0;
  while (fields[at]?.startsWith(':') === true) at += 2;
  return at;
}
