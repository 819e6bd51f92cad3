// The head of a request: which fields it may have (RFC 9113 section 8), and what of it is asked for later.
import { runtimeErrors } from '../error-codes.ts';
import { errorBlock } from './answer-blocks.ts';
import { parseGrpcTimeout } from './grpc-timeout.ts';
import type { FieldSink } from './hpack-decoder.ts';

export interface RequestHead {
  readonly path: string;
  readonly timeoutMs: number | undefined;
  readonly contentLength: number | undefined;
  /** The answer, when the request is refused by its head alone. */
  readonly refusal: Buffer | undefined;
}

/** The answer to a request that is refused by its head, given its deciding and pseudo-header fields. */
export type RefusalOf = (fields: ReadonlyMap<string, string>) => Buffer | undefined;

/** What is wrong with the head: not HTTP/2 (RFC 9113 section 8.1.1), a stream error. */
export interface Malformed {
  readonly malformed: string;
}

const pseudoFields = new Set([':method', ':scheme', ':path', ':authority']);
/** Section 8.2.2. */
const connectionFields = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);
/** Fields that decide something here; a second one could mean something else to somebody. */
const decidingFields = new Set(['content-type', 'content-length', 'te', 'host', 'grpc-timeout', 'grpc-encoding']);
const fieldName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
// oxlint-disable-next-line no-control-regex -- a tab is allowed inside a value
const notInValue = /[^\t\x20-\x7e]|^[\t ]|[\t ]$/;
const tooLarge = errorBlock(runtimeErrors.error('RPC_RESOURCE_EXHAUSTED', 'the header list is too large'));

/** Reads one head, or one block of trailers; then `begin` again. */
export class HeadReader implements FieldSink {
  readonly #maxBytes: number;
  readonly #refusalOf: RefusalOf;
  readonly #fields = new Map<string, string>();
  #bytes = 0;
  #sawRegular = false;
  #isTrailers = false;
  #malformed: string | undefined;

  constructor(maxHeaderListBytes: number, refusalOf: RefusalOf) {
    this.#maxBytes = maxHeaderListBytes;
    this.#refusalOf = refusalOf;
  }

  begin(isTrailers: boolean): this {
    this.#fields.clear();
    this.#bytes = 0;
    this.#sawRegular = false;
    this.#isTrailers = isTrailers;
    this.#malformed = undefined;
    return this;
  }

  field(name: string, value: string): void {
    this.#bytes += name.length + value.length + 32;
    if (this.#malformed !== undefined || this.#bytes > this.#maxBytes) return;
    this.#malformed = this.#faultOf(name, value);
  }

  #faultOf(name: string, value: string): string | undefined {
    if (notInValue.test(value)) return 'a field value with an octet that is not allowed';
    if (name.startsWith(':')) {
      if (this.#isTrailers || this.#sawRegular || !pseudoFields.has(name)) return 'a pseudo-header field out of place';
      if (this.#fields.has(name)) return 'a pseudo-header field twice';
      this.#fields.set(name, value);
      return undefined;
    }
    this.#sawRegular = true;
    if (!fieldName.test(name)) return 'a field name with an octet that is not allowed';
    if (connectionFields.has(name)) return 'a connection-specific field';
    if (name === 'te' && value !== 'trailers') return 'te may only be trailers';
    if (!decidingFields.has(name)) return undefined;
    if (this.#fields.has(name)) return 'a deciding field twice';
    if (name === 'content-length' && !/^[0-9]{1,15}$/.test(value)) return 'content-length is no number';
    this.#fields.set(name, value);
    return undefined;
  }

  trailers(): Malformed | undefined {
    if (this.#bytes > this.#maxBytes) return { malformed: 'the trailers are too large' };
    return this.#malformed === undefined ? undefined : { malformed: this.#malformed };
  }

  head(): RequestHead | Malformed {
    if (this.#malformed !== undefined) return { malformed: this.#malformed };
    const fields = this.#fields;
    const path = fields.get(':path') ?? '';
    const length = fields.get('content-length');
    const contentLength = length === undefined ? undefined : Number(length);
    if (this.#bytes > this.#maxBytes)
      return { path, timeoutMs: undefined, contentLength: undefined, refusal: tooLarge };
    if (path === '' || !fields.has(':method') || !fields.get(':scheme'))
      return { malformed: 'a pseudo-header field is missing' };
    const host = fields.get('host');
    if (host !== undefined && host !== (fields.get(':authority') ?? host))
      return { malformed: 'host is not :authority' };
    const timeout = fields.get('grpc-timeout');
    const timeoutMs = timeout === undefined ? undefined : parseGrpcTimeout(timeout);
    return { path, timeoutMs, contentLength, refusal: this.#refusalOf(fields) };
  }
}
