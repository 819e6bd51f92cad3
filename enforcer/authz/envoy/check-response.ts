// The only two ways to answer an ext_authz Check. Envoy looks at status.code alone: code 0, an absent status, even a
// message of zero bytes is an ALLOW, so half-filled answers must not be constructible (policy note, ext_authz bytes).
import { create, toBinary } from '@bufbuild/protobuf';
import { type CheckResponse, CheckResponseSchema } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { HeaderValueOption_HeaderAppendAction } from '../../../proto/gen/envoy/config/core/v3/base_pb.ts';
import { StatusCode } from '../../../proto/gen/envoy/type/v3/http_status_pb.ts';
import { obligationsOfProxy } from '../obligations.ts';
import { type Answer, identityHeaders } from '../question.ts';
import { challengeHeaders, denialStatus } from '../step-up.ts';

const ok = 0;
const permissionDenied = 7;
const unauthenticated = 16;

const overwrite = (headers: Readonly<Record<string, string>>) =>
  Object.entries(headers).map(([key, value]) => ({
    header: { key, value },
    // Both forms: an Envoy that reads the old field and one that reads the new one overwrite alike.
    append: false,
    appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
  }));

export function checkResponse(answer: Answer): CheckResponse {
  return answer.decision.allow ? allowed(answer) : denied(answer);
}

/** For access logs and later filters, under the filter's own name: `%DYNAMIC_METADATA(envoy.filters.http.ext_authz:rule)%`. */
const metadataOf = ({ subject, decision }: Answer) => ({
  subject,
  decision: decision.allow ? 'allow' : 'deny',
  rule: decision.rule,
  reason: decision.reason,
  bundle: decision.bundle,
});

function allowed(answer: Answer): CheckResponse {
  return create(CheckResponseSchema, {
    status: { code: ok },
    httpResponse: { case: 'okResponse', value: { headers: overwrite(identityHeaders(answer)) } },
    // Obligations that the proxy carries out: what a client sends is never in it.
    dynamicMetadata: { ...metadataOf(answer), obligations: obligationsOfProxy(answer.decision) },
  });
}

function denied(answer: Answer): CheckResponse {
  const known = denialStatus(answer) === 403;
  const response = create(CheckResponseSchema, {
    status: { code: known ? permissionDenied : unauthenticated, message: answer.decision.reason },
    httpResponse: {
      case: 'deniedResponse',
      value: {
        status: { code: known ? StatusCode.Forbidden : StatusCode.Unauthorized },
        headers: overwrite({ ...identityHeaders(answer), ...challengeHeaders(answer) }),
        body: `${answer.decision.reason}\n`,
      },
    },
    dynamicMetadata: metadataOf(answer),
  });
  assertDenies(toBinary(CheckResponseSchema, response));
  return response;
}

/** Field 1 (status) comes first and holds field 1 (code) with a value other than 0. */
function assertDenies(bytes: Uint8Array): void {
  if (bytes[0] !== 0x0a || bytes[2] !== 0x08 || bytes[3] === undefined || bytes[3] === 0) {
    throw new Error('a denial would have been read as an allow');
  }
}
