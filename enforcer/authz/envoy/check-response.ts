// The only two ways to answer an ext_authz Check, as bytes. Envoy looks at status.code alone: code 0, an absent status, even
// a message of zero bytes is an ALLOW, so half-filled answers must not be constructible (policy note, ext_authz bytes).
// Every answer is read back as Envoy reads it before it leaves; one that says something else than was decided is replaced by
// a denial that was checked when this module was loaded.
import { obligationsOfProxy } from '../obligations.ts';
import { type Answer, identityHeaders } from '../question.ts';
import { challengeHeaders, denialStatus } from '../step-up.ts';
import { readVerdict } from './read-verdict.ts';
import { joinSpans, spanField, stringField, varintField } from './wire-writer.ts';

/** google.rpc.Code and the HTTP status that goes with it. */
const forbidden = { code: 7, http: 403 };
const unauthenticated = { code: 16, http: 401 };

/** Fields of CheckResponse as tags. */
const CHECK = { denied: 0x12, ok: 0x1a, metadata: 0x22 } as const;
/** `status` with code 0. */
const statusOk = Buffer.from([0x0a, 0x00]);
const OVERWRITE_IF_EXISTS_OR_ADD = 2;

/** Texts of each kind whose bytes are kept: the rules and devices of a bundle. */
const KEPT_TEXTS = 8_192;

/** Bytes of the answer for Envoy. Never throws. */
export function checkResponse(answer: Answer): Uint8Array {
  try {
    const bytes = answer.decision.allow ? allowed(answer) : denied(answer);
    return (readVerdict(bytes) === 'allow') === answer.decision.allow ? bytes : faultResponse;
  } catch {
    return faultResponse;
  }
}

/** Of the answer that is being made: filled and joined before anything else runs. */
const reply: Uint8Array[] = [];
const metadata: Uint8Array[] = [];

function allowed(answer: Answer): Uint8Array {
  reply.length = 0;
  addHeaders(identityHeaders(answer));
  addMetadata(answer);
  return joinSpans(statusOk, CHECK.ok, reply, CHECK.metadata, metadata);
}

function denied(answer: Answer): Uint8Array {
  const { reason, stepUp } = answer.decision;
  const known = denialStatus(answer) === forbidden.http;
  reply.length = 0;
  reply.push((known ? forbiddenReply : unauthenticatedReply)(reason));
  addHeaders(identityHeaders(answer));
  if (stepUp !== undefined) addHeaders(challengeHeaders(answer));
  addMetadata(answer);
  const status = (known ? forbiddenStatus : unauthenticatedStatus)(reason);
  return joinSpans(status, CHECK.denied, reply, CHECK.metadata, metadata);
}

const statusField = (code: number) => kept((reason) => spanField(1, [varintField(1, code), stringField(2, reason)]));
const forbiddenStatus = statusField(forbidden.code);
const unauthenticatedStatus = statusField(unauthenticated.code);

/** Status and body of a DeniedHttpResponse. */
const replyFields = (http: number) =>
  kept((reason) => Buffer.concat([spanField(1, [varintField(1, http)]), stringField(3, `${reason}\n`)]));
const forbiddenReply = replyFields(forbidden.http);
const unauthenticatedReply = replyFields(unauthenticated.http);

const headerFields = new Map<string, (value: string) => Buffer>();

/** `headers` of an OkHttpResponse or a DeniedHttpResponse. */
function addHeaders(headers: Readonly<Record<string, string>>): void {
  addFields(reply, headers, headerFields, headerField);
}

const headerField = (name: string, value: string): Buffer =>
  spanField(2, [
    spanField(1, [stringField(1, name), stringField(2, printable(value))]),
    // Both forms: an Envoy that reads the old field and one that reads the new one overwrite alike.
    spanField(2, []),
    varintField(3, OVERWRITE_IF_EXISTS_OR_ADD),
    // An empty value overwrites too: dropped, it would leave the client's own in place.
    varintField(4, 1),
  ]);

const metadataFields = new Map<string, (value: string) => Buffer>();

/** Fields of a google.protobuf.Struct, for filters and access logs: `%DYNAMIC_METADATA(envoy.filters.http.ext_authz:rule)%`. */
function addMetadata({ subject, decision }: Answer): void {
  const { allow, reason, rule, operation, bundle } = decision;
  const obligations = obligationsOfProxy(decision);
  const said = { subject, decision: allow ? 'allow' : 'deny', reason, rule, operation, bundle, obligations };
  metadata.length = 0;
  addFields(metadata, said, metadataFields, metadataField);
}

const metadataField = (name: string, value: string): Buffer =>
  spanField(1, [stringField(1, name), spanField(2, [stringField(3, value)])]);

function addFields(
  fields: Uint8Array[],
  values: Readonly<Record<string, string>>,
  made: Map<string, (value: string) => Buffer>,
  make: (name: string, value: string) => Buffer,
): void {
  for (const name in values) {
    let field = made.get(name);
    if (field === undefined) made.set(name, (field = kept((value) => make(name, value))));
    fields.push(field(values[name] ?? ''));
  }
}

/** Header values that no proxy reads two ways. */
const printable = (value: string): string => value.replaceAll(/[^\x20-\x7e]/g, '?');

function kept(make: (text: string) => Buffer): (text: string) => Buffer {
  const known = new Map<string, Buffer>();
  return (text) => {
    let bytes = known.get(text);
    if (bytes !== undefined) return bytes;
    if (known.size >= KEPT_TEXTS) known.clear();
    bytes = make(text);
    known.set(text, bytes);
    return bytes;
  };
}

/** Answers when nothing else can be said. */
export const faultResponse: Uint8Array = denied({
  subject: '',
  decision: { allow: false, reason: 'fault', rule: '', place: '', operation: '', bundle: '' },
});
if (readVerdict(faultResponse) !== 'deny') throw new Error('the denial of last resort would be read as an allow');
