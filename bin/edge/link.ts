// The edge's link to its control plane: always dialled by the edge, over mutual TLS with its SVID, to one SPIFFE ID.
import {
  AuditIngestService,
  type DeliverRequest,
  type DeliverResponse,
} from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { EdgeStreamService } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { StreamConnection } from '../../policy/distribution/edge/index.ts';
import { controlVerifier, exportPkcs8Pem } from '../../identity/index.ts';
import { type ClientTls, createGrpcClient } from '../../runtime/grpc.ts';
import type { OwnIdentity } from './identity.ts';

function tlsOf(own: OwnIdentity, time: { now(): number }): ClientTls {
  const { keys, chain, anchors } = own.current();
  const verify = controlVerifier(anchors.trustDomain, anchors.roots, { now: () => time.now() });
  return {
    key: exportPkcs8Pem(keys.privateKey),
    chain,
    roots: anchors.roots,
    verifyServer: (chainDer) => verify(chainDer),
  };
}

export function dialStream(address: string, own: OwnIdentity, time: { now(): number }): StreamConnection {
  return createGrpcClient(EdgeStreamService, address, tlsOf(own, time), { proxyFromEnvironment: true });
}

/** One Deliver stream on a connection of its own, so that a drain of weeks never slows orders down. */
export async function* deliverOver(
  address: string,
  own: OwnIdentity,
  time: { now(): number },
  requests: AsyncIterable<DeliverRequest>,
  options: { readonly signal: AbortSignal },
): AsyncGenerator<DeliverResponse> {
  const client = createGrpcClient(AuditIngestService, address, tlsOf(own, time), {
    proxyFromEnvironment: true,
  });
  try {
    yield* client.deliver(requests, options);
  } finally {
    client.close();
  }
}
