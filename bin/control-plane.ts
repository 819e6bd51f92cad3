// The control plane: rooms on one database, three listeners, and the loops that keep them current.
import { type Authority, openAuthority, renewServerWhenDue } from '../ca/cloud/index.ts';
import type { DeliveringDevice } from '../audit/cloud/index.ts';
import { certificatesToPem, parseCertificate, type VerifiedSvid, verifyChain } from '../identity/index.ts';
import { AdminService } from '../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { AuditIngestService } from '../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { EnrolmentService } from '../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { EdgeStreamService } from '../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { systemClock } from '../runtime/clock.ts';
import { serveDiagnostics } from '../runtime/diagnostics.ts';
import { CodedError } from '../runtime/errors.ts';
import { createGrpcServer, type GrpcServer, type Refusal, type ServerTls } from '../runtime/grpc.ts';
import { createLogger, type Logger } from '../runtime/log.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { periodically, runTasks } from '../runtime/tasks.ts';
import { lockInstance } from '../store/instance-lock.ts';
import { createAccessControl, createRateLimits } from './control/access.ts';
import { adminService } from './control/admin.ts';
import { type ControlConfig, loadControlConfig } from './control/config.ts';
import { keyFileOf } from './control/init.ts';
import { type ControlRooms, openRooms } from './control/rooms.ts';
import { nobody } from './control/refusals.ts';
import { createControlStream } from './control/stream.ts';
import { programVersion } from './edge/program.ts';
import { rateTable } from './rpc-table.ts';

const drainMs = 8_000;
const agingMs = 10_000;
/** How often refusals that were only counted are recorded. */
const refusalsMs = 10_000;
/** Bytes of an enrolment message: a certificate request is at most 16 KiB. */
const maxEnrolmentBytes = 64 * 1024;
/** How often the listeners' own certificate is looked at; it is renewed at half of its life. */
const serverRenewalMs = 3_600_000;

export async function runControlPlane(configFile: string, signal: AbortSignal): Promise<void> {
  const config = await loadControlConfig(configFile);
  const log = createLogger({ name: 'control', level: config.logLevel });
  const keyFile = await keyFileOf(config);
  const lock = lockInstance(config.state, 'a control plane');
  const authority = await openAuthority(keyFile);
  const rooms = await openRooms(config, authority, log);
  const { server, enrolment, edges } = serve(config, rooms, log);
  await enrolment.listen(config.listen.enrolment, tlsOf(authority));
  await edges.listen(config.listen.edges, {
    ...tlsOf(authority),
    roots: certificatesToPem([authority.root.certificate.raw]),
  });
  let serving = authority;
  const renewServer = async (): Promise<void> => {
    const renewed = await renewServerWhenDue(keyFile, serving);
    if (renewed === serving) return;
    serving = renewed;
    enrolment.replaceTls(tlsOf(renewed));
    edges.replaceTls({ ...tlsOf(renewed), roots: certificatesToPem([renewed.root.certificate.raw]) });
    log.info('the certificate of the listeners was renewed');
  };
  const diagnostics = await serveDiagnostics({
    port: config.diagnostics,
    metrics: createMetrics(),
    notReady: () => ({}),
    status: () => ({
      trustDomain: config.trustDomain,
      connected: server.stream.server.connected(),
      judged: rooms.detection.position(),
    }),
  });
  log.info(
    { enrolment: config.listen.enrolment, edges: config.listen.edges, diagnostics: diagnostics.port },
    'control plane runs',
  );
  try {
    await runTasks(
      signal,
      {
        detection: rooms.detection.task,
        reports: rooms.reports.task,
        findings: rooms.delivery.task,
        revocations: rooms.ca.revocations.keepFresh,
        resign: server.stream.resign,
        log: rooms.log.task,
        certificate: periodically(systemClock, serverRenewalMs, async () => await renewServer()),
        refusals: periodically(systemClock, refusalsMs, async () => await rooms.refusals.flush()),
        aging: periodically(systemClock, agingMs, async () => {
          await rooms.responses
            .ageOut(config.attestation.maxAgeSeconds * 1_000)
            .catch((error: unknown) => log.error({ err: error }, 'device states could not be aged'));
        }),
      },
      { drainMs, log },
    );
  } finally {
    server.stream.server.stop();
    await Promise.all([enrolment.close(1_000), edges.close(2_000)]);
    await diagnostics.close();
    await rooms.close();
    lock.release();
  }
}

/** The rate of enrolment counts tokens: thousands of edges stand behind one address. */
function limitByToken(enrolment: ControlRooms['ca']['enrolment']): ControlRooms['ca']['enrolment'] {
  const rpc = 'edgeward.enrolment.v1.EnrolmentService/Enroll';
  const limit = createRateLimits(systemClock);
  return {
    enroll: async (request, call) => {
      const rate = rateTable[rpc];
      if (rate !== undefined) limit(rpc, rate, request.tokenId);
      return await enrolment.enroll(request, call);
    },
  };
}

const codeOf = (error: Error): string => (error instanceof CodedError ? error.code : 'PEER_REFUSED');

const tlsOf = (authority: Authority): ServerTls => ({
  key: authority.server.key,
  chain: certificatesToPem(authority.serverChain),
});

function serve(config: ControlConfig, rooms: ControlRooms, log: Logger) {
  const { authority, ca, trustDomain } = rooms;
  const roots = [authority.root.certificate.raw];
  // OpenSSL has verified the whole chain; Node hands on the leaf alone on this side, and we issued it ourselves.
  const intermediates = [authority.intermediate.certificate.raw];
  const verify = ([leaf]: readonly Buffer[]) =>
    verifyChain(leaf ?? Buffer.alloc(0), intermediates, roots, {
      now: systemClock.now(),
      trustDomain,
      revoked: (serial) => ca.revocations.isRevoked(serial),
    });
  const access = createAccessControl({
    verify,
    rolesOf: async (operator) => await ca.rolesOf(operator),
    clock: systemClock,
    refused: ({ rpc, caller, identified, code, message }) => {
      log.warn({ rpc, caller, code }, 'call refused');
      void rooms.refusals.tell(identified ? caller : nobody, {
        kind: 'admin',
        activity: 'refuse',
        severity: 'medium',
        data: { ...(identified ? { subject: caller } : { peer: caller }), operation: rpc, code, message },
      });
    },
  });
  const stream = createControlStream(config, rooms, programVersion, log);
  const options = {
    log,
    maxHandshakesInFlight: config.limits.maxHandshakesInFlight,
    maxConnections: config.limits.maxConnections,
  };
  const onRefused = ({ peer, error }: Refusal): void => {
    void rooms.refusals.tell(nobody, {
      kind: 'admin',
      activity: 'refuse',
      severity: 'medium',
      data: { peer, operation: 'tls', code: codeOf(error), message: error.message },
    });
  };
  const enrolment = createGrpcServer({ ...options, maxMessageBytes: maxEnrolmentBytes });
  enrolment.addService(EnrolmentService, limitByToken(ca.enrolment), access.interceptor);
  const edges = createGrpcServer({ ...options, onRefused });
  edges.addService(
    EdgeStreamService,
    { connect: (requests, call) => stream.server.connect(access.callerOf(call).svid, requests, call.signal) },
    access.interceptor,
  );
  edges.addService(
    AuditIngestService,
    {
      deliver: (requests, call) =>
        rooms.log.ingest.deliver(requests, deliveringDevice(access.callerOf(call).svid, intermediates)),
    },
    access.interceptor,
  );
  edges.addService(AdminService, adminService(rooms, access.callerOf), access.interceptor);
  rooms.events.revoked = (serials) => dropRevoked(edges, rooms, stream.server, serials);
  return { server: { stream }, enrolment, edges };
}

const deliveringDevice = (svid: VerifiedSvid, intermediates: readonly Buffer[]): DeliveringDevice => ({
  deviceId: svid.id.name,
  publicKey: svid.publicKey,
  certificates: [svid.der, ...intermediates],
});

/** Ends the connections of revoked certificates; what they could not do any more is not left open either. */
function dropRevoked(
  edges: GrpcServer,
  rooms: ControlRooms,
  stream: ReturnType<typeof createControlStream>['server'],
  serials: readonly string[],
): void {
  const gone = new Set(serials);
  for (const device of rooms.connected()) if (gone.has(device.serialHex)) stream.disconnect(device.deviceId);
  edges.closeConnections(({ peerChain: [leaf] }) => leaf !== undefined && gone.has(parseCertificate(leaf).serialHex));
}
