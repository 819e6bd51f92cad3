// A control plane's stream in memory: sources one can change, records one can read, and a bare edge that says exactly
// what a test wants.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import type { VerifiedSvid } from '../../identity/index.ts';
import { generateKey } from '../../identity/index.ts';
import {
  type Acknowledgement,
  createStreamServer,
  type Refusal,
  type ResourceSource,
  type StreamServer,
  type StreamServerOptions,
} from '../../policy/distribution/cloud/index.ts';
import {
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  ResourceType,
} from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { Logger } from '../../runtime/log.ts';

export const start: number = Date.UTC(2026, 5, 1);
export const day = 86_400_000;

export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

const key = generateKey();

export function svid(name: string, notAfter: number = start + 14 * day): VerifiedSvid {
  const path = `/device/${name}`;
  const id = {
    trustDomain: 'plant.example',
    path,
    kind: 'device',
    name,
    device: name,
    uri: `spiffe://plant.example${path}`,
  };
  const { publicKey } = key;
  return {
    id: id as VerifiedSvid['id'],
    serialHex: '0a',
    notAfter,
    publicKey,
    der: Buffer.alloc(0),
    path: [],
    pathFrom: 0,
    pathTo: notAfter,
  };
}

export interface Published {
  version: bigint;
  payload: Uint8Array;
}

export function text(value: string): Uint8Array {
  return Buffer.from(value);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Something JWS-shaped whose payload is a manifest that names these chunks; the stream only reads it. */
export function manifestOf(version: number, chunks: readonly Uint8Array[]): Uint8Array {
  const manifest = {
    format: 1,
    trustDomain: 'plant.example',
    device: 'plc-1',
    version,
    issuedAt: start,
    softExpiry: start + day,
    hardExpiry: start + 7 * day,
    requires: [],
    commit: 'c',
    chunks: chunks.map((content) => ({ digest: sha256(content), size: content.length })),
  };
  return text(`e30.${Buffer.from(JSON.stringify(manifest)).toString('base64url')}.c2ln`);
}

export interface CloudWorld {
  readonly clock: FakeClock;
  readonly server: StreamServer;
  /** What each type has to offer, for every device. */
  readonly published: Map<ResourceType, Published>;
  readonly chunks: Map<string, Uint8Array>;
  readonly acks: Acknowledgement[];
  readonly nacks: Refusal[];
  readonly evidence: string[];
  readonly missed: string[];
  readonly refused: string[];
  /** Questions that the sources were asked. */
  readonly asked: string[];
}

export function cloud(overrides: Partial<StreamServerOptions> = {}): CloudWorld {
  const clock = new FakeClock(start);
  const published = new Map<ResourceType, Published>();
  const chunks = new Map<string, Uint8Array>();
  const world = {
    acks: [] as Acknowledgement[],
    nacks: [] as Refusal[],
    evidence: [] as string[],
    missed: [] as string[],
    refused: [] as string[],
  };
  const asked: string[] = [];
  const source = (type: ResourceType): ResourceSource => ({
    current: (deviceId) => {
      asked.push(`${type} ${deviceId}`);
      return Promise.resolve(published.get(type));
    },
    chunk: (_deviceId, digest) => Promise.resolve(chunks.get(digest)),
  });
  const types = [
    ResourceType.ORDERS,
    ResourceType.REVOCATIONS,
    ResourceType.DEVICE_STATE,
    ResourceType.POLICY,
    ResourceType.TRUST_BUNDLE,
    ResourceType.TIME,
  ];
  let counter = 0;
  const server = createStreamServer({
    clock,
    random: (bytes) => {
      const value = Buffer.alloc(bytes);
      value.writeUInt32BE(++counter);
      return value;
    },
    serverVersion: '0.1.0',
    sources: Object.fromEntries(types.map((type) => [type, source(type)])),
    renew: () => Promise.reject(new Error('not in this test')),
    submitEvidence: (_device, { jws }) => {
      world.evidence.push(jws);
      return Promise.resolve();
    },
    challenge: {
      intervalMs: day,
      issue: () => Promise.resolve({ nonce: text(`nonce-${++counter}`), deadlineMs: 5_000 }),
      missed: (deviceId) => {
        world.missed.push(deviceId);
        return Promise.resolve();
      },
    },
    record: {
      ack: (ack) => {
        world.acks.push(ack);
        return Promise.resolve();
      },
      nack: (nack) => {
        world.nacks.push(nack);
        return Promise.resolve();
      },
      refused: (deviceId, { code }) => {
        world.refused.push(`${deviceId} ${code}`);
        return Promise.resolve();
      },
    },
    admission: () => Promise.resolve(),
    log: silent,
    ...overrides,
  });
  return { clock, server, published, chunks, asked, ...world };
}

type Message = NonNullable<MessageInitShape<typeof ConnectRequestSchema>['message']>;

/** One Connect, driven by hand. */
export interface BareEdge {
  say(message: Message): void;
  /** The next message; fails the test when the stream is over. */
  hear(): Promise<ConnectResponse['message']>;
  /** The next message of this kind; what comes before it is dropped. */
  hearUntil<C extends ConnectResponse['message']['case']>(
    kind: C,
  ): Promise<Extract<ConnectResponse['message'], { case: C }>['value']>;
  /** Waits for the end of the stream; resolves with the error that ended it, undefined for a clean end. */
  over(): Promise<Error | undefined>;
  hangUp(): void;
}

export function connect(server: StreamServer, device: VerifiedSvid = svid('plc-1')): BareEdge {
  const abort = new AbortController();
  const waiting: ConnectRequest[] = [];
  let wake: () => void = () => undefined;
  async function* requests(): AsyncGenerator<ConnectRequest> {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (abort.signal.aborted) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const responses = server.connect(device, requests(), abort.signal)[Symbol.asyncIterator]();
  const hear = async (): Promise<ConnectResponse['message']> => {
    const next = await responses.next();
    if (next.done === true) throw new Error('the stream is over');
    return next.value.message;
  };
  return {
    say(message) {
      waiting.push(create(ConnectRequestSchema, { message }));
      wake();
    },
    hear,
    async hearUntil(kind) {
      for (;;) {
        const message = await hear();
        if (message.case === kind) return message.value as never;
      }
    },
    async over() {
      try {
        for (;;) if ((await responses.next()).done === true) return undefined;
      } catch (error) {
        return error as Error;
      }
    },
    hangUp() {
      abort.abort();
      wake();
    },
  };
}

export function hello(...subscriptions: readonly [ResourceType, number][]): Message {
  return {
    case: 'hello',
    value: {
      protocolVersion: 1,
      agentVersion: '0.1.0',
      subscriptions: subscriptions.map(([type, version]) => ({ type, version: BigInt(version) })),
    },
  };
}

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
