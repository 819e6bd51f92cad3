// Both ends of the stream on real parts: gRPC with TLS over loopback, real identities, signed bundles, orders and time,
// activation and orders store on a disk in memory. Only the control plane's tables are maps.
import { isPlainAddress } from '../../enforcer/firewall/index.ts';
import { randomBytes } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { createActivation, openOrdersStore, openTrustedClock } from '../../enforcer/activation/index.ts';
import { controlId, deviceId, verifyChain, type VerifiedSvid } from '../../identity/index.ts';
import { knownFeatures, openBundle, type SealedBundle } from '../../policy/bundle/index.ts';
import {
  type Acknowledgement,
  createStreamServer,
  type Refusal,
  type ResourceSource,
  type StreamServer,
} from '../../policy/distribution/cloud/index.ts';
import { createStreamClient, type Renewal, type StreamClient } from '../../policy/distribution/edge/index.ts';
import { compileSlice, type Engine } from '../../policy/engine/index.ts';
import { EnrollResponseSchema } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import {
  EdgeStreamService,
  OrderLogSchema,
  type OrderVerb,
  ResourceType,
} from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { CodedError } from '../../runtime/errors.ts';
import { createGrpcClient, createGrpcServer, type GrpcServer } from '../../runtime/grpc.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { anchors, order, revocations, signedTime, silent, stateDir, states, trustDomain } from '../activation/world.ts';
import { createTestAuthority, type TestSvid } from '../support/pki.ts';

export const authority = createTestAuthority(trustDomain);

/** The control plane: what it publishes may be changed at any time, and told with `server.notify`. */
export class Cloud {
  readonly acks: Acknowledgement[] = [];
  readonly nacks: Refusal[] = [];
  readonly evidence: string[] = [];
  readonly orders: string[] = [];
  policy: SealedBundle | undefined;
  manifest: string | undefined;
  states: Record<string, string> = {};
  stateVersion = 1;
  readonly chunks = new Map<string, Uint8Array>();
  /** Awaited before each chunk is read. */
  gate: Promise<void> = Promise.resolve();
  refuse: CodedError | undefined;
  readonly server: StreamServer;
  readonly #control = authority.issue(controlId(trustDomain, 'stream').uri);
  #grpc: GrpcServer | undefined;
  port = 0;

  constructor() {
    this.server = this.#newServer();
  }

  async publish(bundle: SealedBundle): Promise<void> {
    for (const { digest, content } of bundle.chunks) this.chunks.set(digest, content);
    this.policy = bundle;
    this.manifest = bundle.manifestJws;
    this.server.notify(ResourceType.POLICY, 'all');
  }

  async give(verb: OrderVerb, device: string): Promise<void> {
    this.orders.push(await order(this.orders.length + 1, verb, device));
    this.server.notify(ResourceType.ORDERS, 'all');
  }

  async listen(): Promise<void> {
    const grpc = createGrpcServer();
    grpc.addService(EdgeStreamService, {
      connect: (requests, call) => this.server.connect(deviceOf(call.peerChain), requests, call.signal),
    });
    const { keyPem, chainPem } = this.#control;
    this.port = await grpc.listen(`127.0.0.1:${this.port}`, {
      key: keyPem,
      chain: chainPem,
      roots: authority.rootPem,
    });
    this.#grpc = grpc;
  }

  async close(): Promise<void> {
    await this.#grpc?.close(0);
  }

  #newServer(): StreamServer {
    return createStreamServer({
      clock: systemClock,
      random: randomBytes,
      serverVersion: 'test',
      sources: this.#sources(),
      renew: (device) => {
        const next = authority.issue(device.id.uri);
        const certificateChainDer = [next.der, authority.intermediate];
        return Promise.resolve(create(EnrollResponseSchema, { certificateChainDer, spiffeId: device.id.uri }));
      },
      submitEvidence: (_device, { jws }) => {
        this.evidence.push(jws);
        return Promise.resolve();
      },
      challenge: {
        intervalMs: 3_600_000,
        issue: () => Promise.resolve({ nonce: randomBytes(32), deadlineMs: 5_000 }),
        missed: () => Promise.resolve(),
      },
      record: {
        ack: (ack) => {
          this.acks.push(ack);
          return Promise.resolve();
        },
        nack: (nack) => {
          this.nacks.push(nack);
          return Promise.resolve();
        },
        refused: () => Promise.resolve(),
      },
      admission: () => (this.refuse === undefined ? Promise.resolve() : Promise.reject(this.refuse)),
      log: silent,
    });
  }

  #sources(): Partial<Record<ResourceType, ResourceSource>> {
    const now = (): number => Date.now();
    return {
      [ResourceType.ORDERS]: {
        current: () => Promise.reject(new Error('a log is asked by since')),
        since: async (_device, version) => {
          if (this.orders.length <= Number(version)) return undefined;
          const payload = toBinary(
            OrderLogSchema,
            create(OrderLogSchema, { orders: this.orders.slice(Number(version)) }),
          );
          return { version: this.orders.length, payload };
        },
      },
      [ResourceType.DEVICE_STATE]: {
        current: async () => {
          const version = this.stateVersion;
          return { version, payload: await states(version, this.states, { issuedAt: now() }) };
        },
      },
      [ResourceType.REVOCATIONS]: {
        current: async () => ({ version: 1, payload: await revocations(1, [], { issuedAt: now() }) }),
      },
      [ResourceType.TIME]: {
        current: async () => ({ version: now(), payload: Buffer.from(await signedTime(now())) }),
      },
      [ResourceType.POLICY]: {
        current: async () =>
          this.manifest === undefined || this.policy === undefined
            ? undefined
            : { version: this.policy.manifest.version, payload: Buffer.from(this.manifest) },
        chunk: async (_device, digest) => {
          await this.gate;
          return this.chunks.get(digest);
        },
      },
    };
  }
}

/** Node 24 shows a TLS server only the leaf of its client; the intermediates are the authority's own. */
function deviceOf([leaf = Buffer.alloc(0)]: readonly Buffer[]): VerifiedSvid {
  return verifyChain(leaf, [authority.intermediate], [authority.root], { now: Date.now(), trustDomain });
}

export function dialTo(cloud: Cloud, svid: TestSvid) {
  return createGrpcClient(
    EdgeStreamService,
    `127.0.0.1:${cloud.port}`,
    {
      key: svid.keyPem,
      chain: svid.chainPem,
      roots: authority.rootPem,
      verifyServer: ([leaf = Buffer.alloc(0), ...rest]) => {
        verifyChain(leaf, rest, [authority.root], { now: Date.now(), trustDomain });
      },
    },
    { reconnectMs: { first: 50, max: 200 } },
  );
}

export interface Edge {
  readonly client: StreamClient;
  readonly activation: Awaited<ReturnType<typeof createActivation<Engine>>>;
  readonly orders: Awaited<ReturnType<typeof openOrdersStore>>;
  readonly time: Awaited<ReturnType<typeof openTrustedClock>>;
  readonly fs: SimulatedFiles;
  stop(): Promise<void>;
}

export async function startEdge(cloud: Cloud, name: string, options: { renewInMs?: number } = {}): Promise<Edge> {
  const fs = new SimulatedFiles();
  const common = { fs, stateDir, trustDomain, anchors: () => anchors, emit: () => Promise.resolve(), log: silent };
  const boot = { id: 'boot', uptimeMs: () => performance.now() };
  const time = await openTrustedClock({ ...common, clock: systemClock, boot });
  const activation = await createActivation<Engine>({
    ...common,
    openBundle,
    compile: ({ slice, digest, manifest }) => compileSlice(slice, { ...manifest, digest }),
    deviceId: name,
    clock: time,
    knownFeatures,
    applyFirewall: () => Promise.resolve(),
  });
  const orders = await openOrdersStore({
    ...common,
    clock: time,
    stateMaxAgeMs: 86_400_000,
    deviceId: name,
    isPlainAddress,
    onIsland: () => Promise.resolve(),
    onBlocks: () => Promise.resolve(),
    onChange: () => Promise.resolve(),
  });
  let svid = authority.issue(deviceId(trustDomain, name).uri);
  const client = createStreamClient({
    dial: () => dialTo(cloud, svid),
    clock: systemClock,
    random: Math.random,
    agentVersion: 'test',
    handlers: {
      resources: {
        [ResourceType.ORDERS]: orders.handlers.orders,
        [ResourceType.DEVICE_STATE]: orders.handlers.deviceState,
        [ResourceType.REVOCATIONS]: orders.handlers.revocations,
        [ResourceType.POLICY]: activation.handler,
      },
      time: (jws) => time.observe(jws),
      evidence: ({ nonce }) => Promise.resolve(`evidence over ${nonce.length} bytes`),
      ...(options.renewInMs === undefined ? {} : { renewal: renewal(options.renewInMs) }),
    },
    log: silent,
  });
  const abort = new AbortController();
  const running = client.run(abort.signal);
  return {
    client,
    activation,
    orders,
    time,
    fs,
    async stop() {
      abort.abort();
      await running;
    },
  };

  /** Renews once: the test's authority makes key and certificate together, so the answer only says that it did. */
  function renewal(inMs: number): Renewal {
    const due = performance.now() + inMs;
    let done = false;
    return {
      dueInMs: () => (done ? 86_400_000 : due - performance.now()),
      createRequest: () => Promise.resolve(Buffer.from('csr')),
      accept: ({ spiffeId }) => {
        done = true;
        svid = authority.issue(spiffeId);
        return Promise.resolve();
      },
    };
  }
}

/** Waits until `condition` holds; fails after 10 s. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await systemClock.sleep(5);
  }
}
