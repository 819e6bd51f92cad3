// What a request asks the engine for, and what its record says.
import type { Operation } from '../../../policy/engine/index.ts';
import { headerFamily } from '../../authz/http-known.ts';
import type { OperationRecord, ProxyOperation } from '../protocol.ts';

/** With all that its bytes say. */
export type HttpOperation = Extract<Operation, { protocol: 'http' }> & {
  /** `name` or `name:port`. */
  readonly host: string;
  /** By `headerFamily` of the name, in the order of the lines. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  /** Octets of the body; where its length is not said before, those that have come so far. */
  readonly bodyBytes: number;
};

/** Names and values in turn, as values by lower-case name. */
export const headersOf = (fields: readonly string[]): Headers => byName(fields, (name) => name.toLowerCase());

/** The same as the engine is asked about them: what some servers make one header of is one. */
export const headersAsked = (fields: readonly string[]): Headers => byName(fields, headerFamily);

type Headers = Readonly<Record<string, readonly string[]>>;

function byName(fields: readonly string[], nameOf: (written: string) => string): Headers {
  // A header may be called `__proto__`.
  const headers = Object.create(null) as Record<string, string[]>;
  for (let at = 0; at < fields.length; at += 2) {
    const name = nameOf(fields[at] ?? '');
    (headers[name] ??= []).push(fields[at + 1] ?? '');
  }
  return headers;
}

const reading: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** The query stays out: it may hold what nobody should read in a log. */
export function recordHttp(operation: ProxyOperation): OperationRecord {
  if (operation.protocol !== 'http') throw new TypeError(`${operation.protocol} is not HTTP`);
  const { method } = operation;
  const { host = '', bodyBytes }: Partial<HttpOperation> = operation;
  const path = operation.path.split('?', 1)[0]?.slice(0, maxRecordedPath) ?? '';
  return {
    class: 'request',
    data: { method, path, host, ...(bodyBytes === undefined ? {} : { body_bytes: bodyBytes }) },
    key: [method, path, host],
    changes: !reading.has(method),
  };
}

/** Characters of a path in an event. */
const maxRecordedPath = 1_024;
