// The one stream on the control plane's side: which room each resource comes from, and what happens to what edges say.
import { create, toBinary } from '@bufbuild/protobuf';
import { randomBytes } from 'node:crypto';
import type { VerifiedSvid } from '../../identity/index.ts';
import { createStreamServer, type StreamServer } from '../../policy/distribution/cloud/index.ts';
import { TrustAnchorsSchema, EnrollResponseSchema } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import {
  OrderLogSchema,
  ResourceType,
  RevocationsSchema,
  SignedTimeSchema,
} from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { formatPlace } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import type { ControlConfig } from './config.ts';
import type { ControlRooms } from './rooms.ts';

/** States and revocations are signed anew this often, so that connected edges never see them grow old. */
const resignMs = 10 * 60_000;
/** Version of a resource that is signed anew without a change: counter, then the minute of signing. */
const signingsPerVersion = 100_000_000n;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Grows with every change and with every signing; never back while the clock does not. */
const versionNow = (counter: number | bigint): bigint =>
  BigInt(counter) * signingsPerVersion + BigInt(Math.floor(Date.now() / resignMs));

export function createControlStream(
  config: ControlConfig,
  rooms: ControlRooms,
  serverVersion: string,
  log: Logger,
): { server: StreamServer; resign: Task } {
  const { publications, responses, ca, sign, trustDomain } = rooms;
  const server = createStreamServer({
    clock: systemClock,
    random: randomBytes,
    serverVersion,
    log,
    sources: {
      [ResourceType.ORDERS]: {
        current: async () => await orders(0n),
        since: async (_, version) => await orders(version),
      },
      [ResourceType.DEVICE_STATE]: { current: async () => await responses.statesResource(versionNow) },
      [ResourceType.REVOCATIONS]: { current: async () => await revocations() },
      [ResourceType.TRUST_BUNDLE]: { current: async () => await anchors() },
      [ResourceType.TIME]: { current: async () => ({ version: Date.now(), payload: bytes(await signedTime()) }) },
      [ResourceType.POLICY]: {
        current: async (deviceId) => {
          const manifest = await publications.manifestFor(deviceId);
          return manifest === undefined
            ? undefined
            : { version: manifest.version, payload: bytes(manifest.manifestJws) };
        },
        chunk: async (_, digest) => await publications.chunk(digest),
      },
    },
    renew: async (device, csrDer) => {
      const issued = await ca.renew({ svid: device, csrDer, peer: device.id.uri });
      const { anchors: trustAnchors } = await ca.trustAnchors();
      return create(EnrollResponseSchema, {
        certificateChainDer: issued.chain.map((der) => new Uint8Array(der)),
        spiffeId: issued.id.uri,
        anchors: trustAnchors,
      });
    },
    submitEvidence: async (device, { nonce, jws }) => {
      rooms.deviceKeys.set(device.id.name, device.publicKey);
      await rooms.attestation.submit(device.id.name, nonce, jws, device.serialHex);
    },
    challenge: {
      intervalMs: config.attestation.intervalSeconds * 1_000,
      // Bound to the certificate of the connection that is asked.
      issue: (device) => Promise.resolve(rooms.attestation.challenge(device.id.name, device.serialHex)),
      missed: async (deviceId) => {
        await rooms.log.emit({
          kind: 'attestation',
          activity: 'missed',
          severity: 'medium',
          data: { device: deviceId, message: 'no evidence before the deadline' },
        });
      },
    },
    record: {
      refused: async (deviceId, error) => {
        await rooms.log.emit({
          kind: 'device',
          activity: 'stream_refuse',
          severity: 'medium',
          data: { device: deviceId, code: error.code, message: error.message },
        });
      },
      ack: async ({ deviceId, type, version, digest, selfTest }) => {
        if (type !== ResourceType.POLICY) return;
        const known = await publications.recordAck(deviceId, {
          version: Number(version),
          digest,
          ...(selfTest === undefined ? {} : { selfTest }),
        });
        if (known === 'recorded') return await challengeUnaffirmed(deviceId);
        await rooms.log.emit({
          kind: 'policy',
          activity: 'unknown-bundle',
          severity: 'critical',
          data: {
            device: deviceId,
            version: Number(version),
            digest,
            message: 'the device says it enforces a bundle that was never published for it',
          },
        });
      },
      nack: async ({ deviceId, type, version, error }) => {
        const message = error.place === undefined ? error.message : `${formatPlace(error.place)}: ${error.message}`;
        await rooms.log.emit({
          kind: 'policy',
          activity: 'refuse',
          severity: 'high',
          data: { device: deviceId, version: Number(version), code: error.code, message },
        });
        if (type === ResourceType.POLICY)
          await publications.recordNack(deviceId, { version: Number(version), code: error.code, message });
      },
    },
    admission: async (device) => await admit(rooms, device),
  });

  /** What came before its first bundle cannot be affirmed; it is asked again now and not an interval later. */
  async function challengeUnaffirmed(deviceId: string): Promise<void> {
    if ((await responses.get(deviceId))?.attestationClass === 'none') server.reappraise(deviceId);
  }

  async function orders(after: bigint) {
    const { version, orders: log } = await responses.ordersSince(Number(after));
    if (log.length === 0) return undefined;
    return { version, payload: toBinary(OrderLogSchema, create(OrderLogSchema, { orders: log })) };
  }

  async function revocations() {
    const list = await ca.revocations.current();
    const version = versionNow(list.version);
    const message = create(RevocationsSchema, {
      trustDomain,
      version,
      issuedAtMs: BigInt(Date.now()),
      serials: [...list.serials],
    });
    return { version, payload: bytes(await sign('edgeward-revocations+proto', toBinary(RevocationsSchema, message))) };
  }

  async function anchors() {
    const { version, anchors: trustAnchors } = await ca.trustAnchors();
    return {
      version,
      payload: bytes(await sign('edgeward-anchors+proto', toBinary(TrustAnchorsSchema, trustAnchors))),
    };
  }

  async function signedTime(): Promise<string> {
    const message = create(SignedTimeSchema, { trustDomain, nowMs: BigInt(Date.now()) });
    return await sign('edgeward-time+proto', toBinary(SignedTimeSchema, message));
  }

  const types = {
    orders: ResourceType.ORDERS,
    states: ResourceType.DEVICE_STATE,
    anchors: ResourceType.TRUST_BUNDLE,
    policy: ResourceType.POLICY,
    revocations: ResourceType.REVOCATIONS,
  } as const;
  rooms.events.changed = (what) => server.notify(types[what], 'all');
  rooms.events.reappraise = (deviceId) => void server.reappraise(deviceId);
  rooms.connected = () => server.connected();
  return {
    server,
    resign: periodically(systemClock, resignMs, () => {
      server.notify(ResourceType.DEVICE_STATE, 'all');
      server.notify(ResourceType.REVOCATIONS, 'all');
      return Promise.resolve();
    }),
  };
}

async function admit(rooms: ControlRooms, device: VerifiedSvid): Promise<void> {
  const permission = await rooms.responses.mayRenew(device.id.name);
  if (!permission.allowed) throw permission.refusal;
}
