// Envoy's external authorization API v3 (envoy.service.auth.v3.Authorization/Check). The interface comes from the HTTP
// filter's `context_extensions: {edgeward-interface: NAME}` or, as the network filter has none, from the labels of the
// destination (`bootstrap_metadata_labels_key`); the subject from the mTLS peer that Envoy verified; nothing comes from
// the client's headers.
import type { CheckRequest, CheckResponse } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import type {
  AttributeContext,
  AttributeContext_Peer,
} from '../../../proto/gen/envoy/service/auth/v3/attribute_context_pb.ts';
import { type AuthzPorts, authorize } from '../authorize.ts';
import { maxContextAttributes } from '../limits.ts';
import { parseFulfils } from '../obligations.ts';
import type { PeerEvidence, Question } from '../question.ts';
import { checkResponse } from './check-response.ts';

const interfaceExtension = 'edgeward-interface';
/** `edgeward-fulfils: "custom:badge custom:door"`: obligations that this filter chain carries out. */
const fulfilsExtension = 'edgeward-fulfils';
/** `edgeward-attribute-line: press-3` is the context attribute `line`, a string. */
const attributePrefix = 'edgeward-attribute-';

export async function check(ports: AuthzPorts, request: CheckRequest): Promise<CheckResponse> {
  return checkResponse(await authorize(ports, questionOf(request.attributes)));
}

function questionOf(attributes: AttributeContext | undefined): Question {
  const http = attributes?.request?.http;
  // Each filter says its interface in a place of its own, so a request without its HTTP part asks for none.
  const said = (http === undefined ? attributes?.destination?.labels : attributes?.contextExtensions) ?? {};
  const fulfils = parseFulfils(said[fulfilsExtension]);
  return {
    interface: said[interfaceExtension] ?? '',
    operation: http === undefined ? { protocol: 'port' } : { protocol: 'http', method: http.method, path: http.path },
    peer: peerOf(attributes?.source),
    connection: connectionOf(attributes?.source),
    source: 'ext-authz',
    attributes: attributesOf(said),
    ...(fulfils === undefined ? {} : { fulfils }),
  };
}

/** None where there are more than any filter has reason to say: what nobody says opens nothing. */
function attributesOf(configured: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const said = Object.entries(configured)
    .filter(([name]) => name.startsWith(attributePrefix))
    .map(([name, value]): [string, string] => [name.slice(attributePrefix.length), value]);
  return said.length > maxContextAttributes ? {} : Object.fromEntries(said);
}

function peerOf(source: AttributeContext_Peer | undefined): PeerEvidence {
  if (source === undefined) return {};
  if (source.certificate !== '') {
    try {
      // Envoy sends the certificate URL-encoded PEM (include_peer_certificate).
      return { certificatePem: decodeURIComponent(source.certificate) };
    } catch {
      return { certificatePem: source.certificate };
    }
  }
  return source.principal === '' ? {} : { principal: source.principal };
}

function connectionOf(source: AttributeContext_Peer | undefined): string {
  const address = source?.address?.address;
  if (address?.case !== 'socketAddress') return '';
  const { address: host, portSpecifier } = address.value;
  const port = portSpecifier.case === 'portValue' ? portSpecifier.value : 0;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
