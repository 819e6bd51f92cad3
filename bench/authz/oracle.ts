// What a CheckRequest has to be answered, found another way than the server finds it: decoded by protobuf-es, the
// certificate verified by identity/ alone, the engine asked directly. It is never stricter than the server has to be.
import { fromBinary } from '@bufbuild/protobuf';
import { certificatesFromPem, verifyChain } from '../../identity/index.ts';
import { type CheckRequest, CheckRequestSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import type { TestAuthority } from '../../test/support/pki.ts';
import type { Expected } from './corpus-file.ts';
import type { KnownEdge } from '../edge-state.ts';
import { deviceOf, type Evidence } from './check-requests.ts';
import { trustDomain } from './policy.ts';

export type Oracle = (request: Uint8Array, evidence: Evidence) => Expected;

export function createOracle({ engine, subjectState }: KnownEdge, authority: TestAuthority): Oracle {
  const named = new Map<string, string>();
  const byCertificate = (text: string): string => {
    const known = named.get(text);
    if (known !== undefined) return known;
    const device = deviceIn(text, authority);
    named.set(text, device);
    return device;
  };
  return (request, evidence) => {
    let message: CheckRequest;
    try {
      message = fromBinary(CheckRequestSchema, request);
    } catch {
      return { allow: false, subject: '', rule: '' };
    }
    const { attributes } = message;
    const { certificate = '', principal = '' } = attributes?.source ?? {};
    const device = evidence === 'certificate' ? byCertificate(certificate) : deviceOf(principal);
    const http = attributes?.request?.http;
    const state = device === '' ? { state: 'unknown' as const, attributes: {} } : subjectState(device);
    const { allow, rule } = engine.decide(
      {
        subject: { id: device, binding: 'svid', ...state },
        operation: { protocol: 'http', method: http?.method ?? '', path: http?.path ?? '' },
        resource: { interface: attributes?.contextExtensions['edgeward-interface'] ?? '', attributes: {} },
        context: { time: Date.now(), source: 'ext-authz', connection: '', attributes: {} },
      },
      'fresh',
    );
    return { allow, subject: device, rule };
  };
}

/** Empty when it does not verify. */
function deviceIn(text: string, { root, intermediate }: TestAuthority): string {
  try {
    const [leaf, ...sent] = certificatesFromPem(decodeURIComponent(text));
    if (leaf === undefined) return '';
    const chain = sent.length > 0 ? sent : [intermediate];
    const { id } = verifyChain(leaf, chain, [root], { now: Date.now(), trustDomain, revoked: () => false });
    return id.kind === 'device' ? (id.device ?? '') : '';
  } catch {
    return '';
  }
}
