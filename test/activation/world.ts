// A small real world for activation: publishers and orders keys, sealed bundles, signed orders, an edge that takes them.
import { isPlainAddress } from '../../enforcer/firewall/index.ts';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { DescMessage } from '@bufbuild/protobuf';
import type { NewEvent } from '../../audit/spool/index.ts';
import {
  type Activation,
  createActivation,
  openOrdersStore,
  openTrustedClock,
  type ActivationOptions,
  type Boot,
  type ContainmentChange,
  type FetchChunks,
  type OrdersStoreOptions,
  type TrustedTime,
} from '../../enforcer/activation/index.ts';
import { generateKey, jwkOf, keyId, signJws } from '../../identity/index.ts';
import { knownFeatures, openBundle, sealBundle, type SealedBundle, type Slice } from '../../policy/bundle/index.ts';
import { compileSlice, type Engine } from '../../policy/engine/index.ts';
import {
  DeviceStatesSchema,
  OrderLogSchema,
  type Order,
  OrderSchema,
  type OrderVerb,
  RevocationsSchema,
  SignedTimeSchema,
} from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';

export const trustDomain = 'plant.example';
export const deviceId = 'plc-1';
export const stateDir = '/var/lib/edgeward';
export const start: number = Date.UTC(2026, 5, 1);
export const hour = 3_600_000;

const publisherKey = generateKey();
const ordersKey = generateKey();
export const publisher = { key: publisherKey.privateKey, keyId: keyId(publisherKey.publicKey) };
export const orders = { key: ordersKey.privateKey, keyId: keyId(ordersKey.publicKey) };
export const anchors = {
  publisherKeys: [jwkOf(publisherKey.publicKey)],
  ordersKeys: [jwkOf(ordersKey.publicKey)],
};

export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

// ---- bundles

/** A slice with one HTTP interface; `mark` makes its content differ, `vectors` are its self-test. */
export function slice(mark: string, options: { expect?: 'allow' | 'deny'; device?: string } = {}): Slice {
  const device = options.device ?? deviceId;
  return {
    format: 1,
    trustDomain,
    device,
    devices: [{ id: 'gateway-1', labels: { mark }, interfaces: [] }],
    interfaces: [
      {
        name: 'web',
        device,
        protocol: 'http',
        transport: 'tcp',
        port: 8080,
        operations: [
          { name: 'read', protocol: 'http', methods: ['GET'], paths: ['/status'], class: 'normal', island: false },
          { name: 'stop', protocol: 'http', methods: ['POST'], paths: ['/stop'], class: 'safety', island: true },
        ],
        onEnforcerDeath: 'closed',
        auditDurable: false,
        place: 'interfaces/web.yaml:1',
      },
    ],
    grants: [
      {
        id: 'gateway-reads',
        subjects: ['gateway-1'],
        interface: 'web',
        device,
        operations: ['read', 'stop'],
        binding: 'svid',
        conditions: {},
        place: 'grants/web.yaml:3',
      },
    ],
    denies: [],
    firewall: [],
    casbin: [],
    selfTest: [
      {
        subject: 'gateway-1',
        binding: 'svid',
        state: 'trusted',
        attestation: 'software',
        interface: 'web',
        device,
        operation: { protocol: 'http', method: 'GET', path: '/status' },
        expect: options.expect ?? 'allow',
      },
    ],
  };
}

export interface SealOptions {
  readonly expect?: 'allow' | 'deny';
  readonly device?: string;
  readonly by?: typeof publisher;
  readonly issuedAt?: number;
}

export function seal(version: number, options: SealOptions = {}): Promise<SealedBundle> {
  const issuedAt = options.issuedAt ?? start;
  const meta = {
    version,
    issuedAt,
    softExpiry: issuedAt + 24 * hour,
    hardExpiry: issuedAt + 168 * hour,
    commit: `commit-${version}`,
  };
  return sealBundle(slice(`v${version}`, options), meta, options.by ?? publisher);
}

/** Serves the chunks of these bundles and remembers which were fetched. */
export function chunkServer(...bundles: readonly SealedBundle[]): { fetch: FetchChunks; fetched: string[] } {
  const contents = new Map(bundles.flatMap(({ chunks }) => chunks.map(({ digest, content }) => [digest, content])));
  const fetched: string[] = [];
  return {
    fetched,
    async fetch(digests, store) {
      for (const digest of digests) {
        const content = contents.get(digest);
        if (content === undefined) throw new Error(`no chunk ${digest}`);
        fetched.push(digest);
        await store(digest, content);
      }
    },
  };
}

export const noNetwork: FetchChunks = () => Promise.reject(new Error('there is no network'));

export interface EdgeWorld {
  readonly fs: SimulatedFiles;
  readonly clock: FakeClock;
  readonly events: NewEvent[];
  readonly applied: Slice[];
  readonly activation: Activation<Engine>;
}

export async function edge(
  fs: SimulatedFiles = new SimulatedFiles(),
  overrides: Partial<ActivationOptions<Engine>> = {},
): Promise<EdgeWorld> {
  const clock = new FakeClock(start);
  const events: NewEvent[] = [];
  const applied: Slice[] = [];
  const activation = await createActivation<Engine>({
    fs,
    stateDir,
    openBundle,
    compile: ({ slice: content, digest, manifest }) => compileSlice(content, { ...manifest, digest }),
    anchors: () => anchors,
    deviceId,
    trustDomain,
    clock,
    knownFeatures,
    applyFirewall: (content) => {
      applied.push(content);
      return Promise.resolve();
    },
    emit: (event) => {
      events.push(event);
      return Promise.resolve();
    },
    log: silent,
    ...overrides,
  });
  return { fs, clock, events, applied, activation };
}

// ---- orders, states, time

async function signed<D extends DescMessage>(typ: string, schema: D, value: MessageInitShape<D>, by = orders) {
  return signJws({ ...by, typ }, toBinary(schema, create(schema, value)));
}

export interface OrderFields {
  readonly domain?: string;
  readonly by?: typeof orders;
  readonly typ?: string;
}

export function order(sequence: number, verb: OrderVerb, device: string, fields: OrderFields = {}): Promise<string> {
  const { domain = trustDomain, by = orders, typ = 'edgeward-order+proto' } = fields;
  const value = {
    trustDomain: domain,
    sequence: BigInt(sequence),
    verb,
    deviceId: device,
    issuedAtMs: BigInt(start),
    reason: `finding-${sequence}`,
  };
  return signed(typ, OrderSchema, value, by);
}

/** An order for many devices. */
export function siteOrder(
  sequence: number,
  verb: OrderVerb,
  fields: Partial<Pick<Order, 'deviceId' | 'deviceIds' | 'everyDevice' | 'address' | 'untilMs' | 'issuedAtMs'>>,
): Promise<string> {
  return signed('edgeward-order+proto', OrderSchema, {
    trustDomain,
    sequence: BigInt(sequence),
    verb,
    issuedAtMs: BigInt(start),
    reason: `finding-${sequence}`,
    approvers: ['spiffe://plant.example/operator/ann'],
    ...fields,
  });
}

export async function orderLog(...jwss: readonly (string | Promise<string>)[]): Promise<Uint8Array> {
  return toBinary(
    OrderLogSchema,
    create(OrderLogSchema, { orders: await Promise.all(jwss.map((jws) => Promise.resolve(jws))) }),
  );
}

export interface StateFields {
  readonly domain?: string;
  readonly issuedAt?: number;
  readonly by?: typeof orders;
}

export type DeviceFields = MessageInitShape<typeof DeviceStatesSchema>['devices'];

/** A signed state of devices, as the stream's payload. */
export async function states(version: number, devices: Record<string, string>, fields: StateFields = {}) {
  return statesOf(
    version,
    Object.entries(devices).map(([id, state]) => ({
      deviceId: id,
      state,
      attestationClass: 'software',
      attestedAtMs: BigInt(start - hour),
      risk: 7,
      reduced: false,
    })),
    fields,
  );
}

export async function statesOf(version: number, devices: DeviceFields, fields: StateFields = {}): Promise<Uint8Array> {
  const { domain = trustDomain, issuedAt = start, by } = fields;
  const value = { trustDomain: domain, version: BigInt(version), issuedAtMs: BigInt(issuedAt), devices: devices ?? [] };
  return Buffer.from(await signed('edgeward-states+proto', DeviceStatesSchema, value, by));
}

export async function revocations(version: number, serials: readonly string[], fields: StateFields = {}) {
  const { domain = trustDomain, issuedAt = start, by } = fields;
  const value = { trustDomain: domain, version: BigInt(version), issuedAtMs: BigInt(issuedAt), serials: [...serials] };
  return Buffer.from(await signed('edgeward-revocations+proto', RevocationsSchema, value, by));
}

export function signedTime(now: number, fields: StateFields = {}): Promise<string> {
  const { domain = trustDomain, by } = fields;
  return signed('edgeward-time+proto', SignedTimeSchema, { trustDomain: domain, nowMs: BigInt(now) }, by);
}

export interface OrdersWorld {
  readonly fs: SimulatedFiles;
  readonly events: NewEvent[];
  readonly changes: ContainmentChange[];
  readonly time: { now: number; trusted: boolean };
  readonly store: Awaited<ReturnType<typeof openOrdersStore>>;
}

export async function ordersEdge(
  fs: SimulatedFiles = new SimulatedFiles(),
  overrides: Partial<OrdersStoreOptions> = {},
): Promise<OrdersWorld> {
  const events: NewEvent[] = [];
  const changes: ContainmentChange[] = [];
  const time = { now: start, trusted: true } satisfies TrustedTime;
  const store = await openOrdersStore({
    fs,
    stateDir,
    trustDomain,
    anchors: () => anchors,
    clock: { time: () => time },
    deviceId,
    stateMaxAgeMs: 24 * hour,
    isPlainAddress,
    onIsland: () => Promise.resolve(),
    onBlocks: () => Promise.resolve(),
    onChange: (change) => {
      changes.push(change);
      return Promise.resolve();
    },
    emit: (event) => {
      events.push(event);
      return Promise.resolve();
    },
    log: silent,
    ...overrides,
  });
  return { fs, events, changes, time, store };
}

export async function clockEdge(fs: SimulatedFiles, clock: FakeClock, boot: Boot) {
  const events: NewEvent[] = [];
  const trusted = await openTrustedClock({
    fs,
    stateDir,
    clock,
    boot,
    trustDomain,
    anchors: () => anchors,
    emit: (event) => {
      events.push(event);
      return Promise.resolve();
    },
    log: silent,
  });
  return { trusted, events };
}

export { generateKey, keyId };
