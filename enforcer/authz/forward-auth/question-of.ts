// From what a convention has read to a question; the same for every proxy.
import type { HttpReads } from '../../../policy/bundle/index.ts';
import { knownOf } from '../http-known.ts';
import { ambiguityOf } from '../http-request.ts';
import type { PeerEvidence, Question } from '../question.ts';

/** What the policy asks of requests to an interface (AuthzPorts.httpReads). */
export type ReadsOf = ((interfaceName: string) => HttpReads | undefined) | undefined;

export interface ReadRequest {
  readonly interface: string;
  readonly method: string;
  /** Raw target. */
  readonly target: string;
  /** As the client said it; empty where it said none. */
  readonly host: string;
  readonly scheme: string;
  readonly connection: string;
  /** Empty for none. */
  readonly certificatePem: string;
  readonly bearer: string | undefined;
  readonly fulfils: Question['fulfils'];
  /** Headers of the client that came along, names and values in turn. */
  readonly clientHeaders: readonly string[];
}

/** Undefined when the proxy did not say what is asked about. */
export function questionOf(read: ReadRequest, readsOf: ReadsOf): Question | undefined {
  if (read.interface === '' || read.method === '' || read.target === '') return undefined;
  const reads = readsOf?.(read.interface);
  const ambiguous = ambiguityOf({
    method: read.method,
    target: read.target,
    host: read.host === '' ? undefined : read.host,
    scheme: read.scheme,
    headers: read.clientHeaders,
  });
  return {
    interface: read.interface,
    operation: {
      protocol: 'http',
      method: read.method,
      path: read.target,
      // Content-length is that of the question, which has no body.
      ...(reads === undefined ? {} : knownOf(read.host, read.clientHeaders, false, reads)),
    },
    peer: peerOf(read),
    connection: read.connection,
    source: 'forward-auth',
    ...(ambiguous === undefined ? {} : { ambiguous }),
    ...(read.fulfils === undefined ? {} : { fulfils: read.fulfils }),
  };
}

function peerOf({ certificatePem, bearer }: ReadRequest): PeerEvidence {
  return {
    ...(certificatePem === '' ? {} : { certificatePem }),
    ...(bearer === undefined ? {} : { bearer }),
  };
}

/** All but those that the proxy itself sets or changes. */
export function clientHeaders(headers: readonly string[], ofProxy: RegExp): readonly string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name = '', value = ''] = headers.slice(at, at + 2);
    if (!ofProxy.test(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}
