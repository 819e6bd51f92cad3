// The edge's link to its control plane: always dialled by the edge, over mutual TLS with its SVID, to one SPIFFE ID.
import { AuditIngestService } from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { EdgeStreamService } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { StreamConnection } from '../../policy/distribution/edge/index.ts';
import { controlVerifier, exportPkcs8Pem } from '../../identity/index.ts';
import { type ClientTls, createGrpcClient, type GrpcClient } from '../../runtime/grpc.ts';
import type { EdgeConfig } from './config.ts';
import type { OwnIdentity } from './identity.ts';

function tlsOf(own: OwnIdentity, time: { now(): number }): ClientTls {
  const { keys, chain, anchors } = own.current();
  const verify = controlVerifier(anchors.trustDomain, anchors.roots, { now: () => time.now() });
  return { key: exportPkcs8Pem(keys.privateKey), chain, roots: anchors.roots, verifyServer: (chainDer) => verify(chainDer) };
}

export function dialStream(config: EdgeConfig, own: OwnIdentity, time: { now(): number }): StreamConnection {
  return createGrpcClient(EdgeStreamService, config.control.address, tlsOf(own, time), { proxyFromEnvironment: true });
}

export function dialAudit(config: EdgeConfig, own: OwnIdentity, time: { now(): number }): GrpcClient<typeof AuditIngestService> {
  return createGrpcClient(AuditIngestService, config.control.address, tlsOf(own, time), { proxyFromEnvironment: true });
}
