// What a request asks for and where it ends (RFC 9112, sections 3 and 6). What a proxy reports is judged by the rules of
// enforcer/authz/http-request.ts; beside them stands what only who reads the bytes can see.
import { ambiguityOf } from '../../authz/http-request.ts';
import type { HttpOperation } from './operation.ts';
import { headersAsked } from './operation.ts';
import { fault, type Framing, hasConnectionOption, type Head, type Reading, valuesOf } from './head.ts';

export interface RequestHead {
  readonly operation: HttpOperation;
  readonly framing: Framing;
  /** Nothing that a server would read comes behind it on this connection. */
  readonly last: boolean;
  /** The client may wait for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
}

/** RFC 9112, 3: a target has no spaces, and a proxy guesses at none. */
const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/1\.([01])$/;

export function readRequestHead(head: Head): Reading<RequestHead> {
  const [, method, target, minor] = requestLine.exec(head.startLine) ?? [];
  if (method === undefined || target === undefined) return fault(startFault(head.startLine));
  const { fields } = head;
  const hosts = valuesOf(fields, 'host');
  const [host] = hosts;
  if (host === undefined || hosts.length > 1) return fault(host === undefined ? 'no Host' : 'several Hosts');
  const path = pathOf(target, host);
  if (path === undefined) return fault('a target whose host is not that of Host');
  const why =
    ambiguityOf({ method, target: path, host, scheme: '', headers: fields }) ?? ownFault(fields, minor === '1');
  if (why !== undefined) return fault(why);
  const framing = framingOf(fields);
  if (framing === undefined) return fault('content-length beyond what is counted');
  if (framing.kind !== 'none' && bodiless.has(method))
    return fault(`${method} with a body, which some servers read as the next request`);
  return {
    read: {
      operation: {
        protocol: 'http',
        method,
        path,
        host,
        headers: headersAsked(fields),
        bodyBytes: framing.kind === 'length' ? framing.bytes : 0,
      },
      framing,
      last: minor === '0' || hasConnectionOption(fields, 'close'),
      expectsContinue: valuesOf(fields, 'expect').length > 0,
    },
  };
}

/** Content has no meaning in them, and servers that do not read it take it for the next request (RFC 9110, 9.3.1). */
export const bodiless: ReadonlySet<string> = new Set(['GET', 'HEAD', 'TRACE']);

function startFault(line: string): string {
  if (/ HTTP\/(?!1\.[01]$)\d/.test(line)) return 'a version other than HTTP/1.1 and HTTP/1.0';
  return 'a first line that is no request line';
}

/** The path with its query; of a target with scheme and host only where that host is the one of Host (RFC 9112, 3.2.2). */
function pathOf(target: string, host: string): string | undefined {
  if (!target.includes('://', 1) || target.startsWith('/')) return target;
  const prefix = `http://${host}`;
  if (!target.startsWith(prefix)) return undefined;
  const path = target.slice(prefix.length);
  if (path === '') return '/';
  return path.startsWith('/') ? path : undefined;
}

/** What changes the protocol, makes a body wait, or comes behind a body. */
function ownFault(fields: readonly string[], is11: boolean): string | undefined {
  if (valuesOf(fields, 'upgrade').length > 0) return 'Upgrade to a protocol that is not judged here';
  const [expectation, ...more] = valuesOf(fields, 'expect');
  if (expectation !== undefined && (more.length > 0 || !is11 || expectation.toLowerCase() !== '100-continue')) {
    return 'an expectation other than 100-continue';
  }
  if (!is11 && valuesOf(fields, 'transfer-encoding').length > 0) return 'transfer-encoding in HTTP/1.0';
  if (valuesOf(fields, 'trailer').length > 0) return 'trailers of a request';
  return identityFault(fields);
}

/** Servers behind a proxy may believe these; here nobody but the client can have written them. */
export function identityFault(fields: readonly string[]): string | undefined {
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]?.toLowerCase() ?? '';
    if (name === 'x-forwarded-client-cert' || name.startsWith('x-edgeward-'))
      return 'a client that says itself who it is';
  }
  return undefined;
}

function framingOf(fields: readonly string[]): Framing | undefined {
  if (valuesOf(fields, 'transfer-encoding').length > 0) return { kind: 'chunked' };
  const [length = '0'] = valuesOf(fields, 'content-length');
  const bytes = Number(length);
  if (!Number.isSafeInteger(bytes)) return undefined;
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes };
}
