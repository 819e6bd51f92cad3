// What the control plane orders and knows about devices, as this edge enforces it, online or not: orders (quarantine,
// recover, release, revoke), device states, revoked certificates. An ACK means durable and enforced.
import { join } from 'node:path';
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { PublicJwk } from '../../identity/index.ts';
import type { DeviceState } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FileSystem } from '../../store/files.ts';
import { storeFault } from '../../store/sealed-file.ts';
import { containmentChange, type Containment, type ContainmentChange } from './containment.ts';
import { activationErrors } from './errors.ts';
import type { IsPlainAddress } from './order-content.ts';
import { openOrderBook, type OrderBook } from './order-book.ts';
import { tellDamaged, tellOrder, tellRefused } from './order-events.ts';
import type { OrderedBlock, SiteOrders } from './site-orders.ts';
import { openSignedState, type SignedState } from './signed-state.ts';
import { readDeviceStates, readRevocations } from './signed-payloads.ts';
import { createSubjectState, type Subject, type SubjectView } from './subject-state.ts';
import type { TrustedTime } from './trusted-clock.ts';

/** A handler of the stream, shaped as the stream's client takes it. */
export interface StateHandler {
  version(): bigint;
  apply(resource: { readonly version: bigint; readonly payload: Uint8Array }): Promise<{ digest: Uint8Array }>;
  confirm(): Promise<{ digest: Uint8Array }>;
}

export interface OrdersStore {
  /** State and attributes of a subject, as an access request carries them. Never throws. */
  subjectState(deviceId: string): Subject;
  /** What it answers from, and which certificates are revoked; the same object while nothing changed. */
  view(): SubjectView;
  /** Tells `onChange` what is in force from the disk; at start, before any network. Rejects when it does. */
  enforce(): Promise<void>;
  /** Milliseconds since the epoch at which states and revocations were signed; undefined for never. */
  ages(): { readonly states: number | undefined; readonly revocations: number | undefined };
  readonly handlers: {
    readonly orders: StateHandler;
    readonly deviceState: StateHandler;
    readonly revocations: StateHandler;
  };
}

export interface OrdersStoreOptions {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly trustDomain: string;
  readonly deviceId: string;
  readonly isPlainAddress: IsPlainAddress;
  readonly anchors: () => { readonly ordersKeys: readonly PublicJwk[] };
  readonly clock: { time(): TrustedTime };
  /** Milliseconds after which states and revocations are too old to keep a subject trusted. */
  readonly stateMaxAgeMs: number;
  /** Ends or admits flows, closes connections. Told again what it rejected. */
  readonly onChange: (change: ContainmentChange) => Promise<void>;
  /** What orders say of this device's island mode, at start and after each change. Told again what it rejected. */
  readonly onIsland: (orders: Pick<SiteOrders, 'island' | 'rejoined'>) => Promise<void>;
  /** Addresses that orders block here, all of them, and those to be forgotten. Told again what it rejected. */
  readonly onBlocks: (blocks: ReadonlyMap<string, OrderedBlock>, pardons: readonly string[]) => Promise<void>;
  readonly emit: EmitEvent;
  readonly log: Logger;
}

type States = ReadonlyMap<string, DeviceState>;

interface Parts {
  readonly book: OrderBook;
  readonly states: SignedState<States>;
  readonly revocations: SignedState<ReadonlySet<string>>;
}

/** What `onChange` was told and did not reject. */
interface Enforced {
  containment: ReadonlyMap<string, Containment>;
  serials: ReadonlySet<string>;
  site: SiteOrders | undefined;
  versions: { orders: bigint; states: bigint; revocations: bigint };
}

export async function openOrdersStore(options: OrdersStoreOptions): Promise<OrdersStore> {
  const parts = await openParts(options);
  const enforced: Enforced = {
    containment: new Map(),
    serials: new Set(),
    site: undefined,
    versions: { orders: 0n, states: 0n, revocations: 0n },
  };
  let queue: Promise<unknown> = Promise.resolve();
  /** One change at a time, whichever type it came by. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work);
    queue = result.catch(() => undefined);
    return result;
  };
  const enforce = (): Promise<void> => enforceChanges(parts, enforced, options);
  const view = createView(parts);
  return {
    subjectState: createSubjectState(view, () => options.clock.time(), options.stateMaxAgeMs),
    view,
    enforce: () => inTurn(enforce),
    ages: () => ({
      states: parts.states.current()?.issuedAt,
      revocations: parts.revocations.current()?.issuedAt,
    }),
    handlers: {
      orders: audited('orders', ordersHandler(parts, enforced, enforce, inTurn, options), options),
      deviceState: audited(
        'device-state',
        stateHandler(parts.states, () => enforced.versions.states, enforce, inTurn),
        options,
      ),
      revocations: audited(
        'revocations',
        stateHandler(parts.revocations, () => enforced.versions.revocations, enforce, inTurn),
        options,
      ),
    },
  };
}

/** Every refusal leaves an event before it becomes a NACK. */
function audited(what: string, handler: StateHandler, options: OrdersStoreOptions): StateHandler {
  return {
    ...handler,
    async apply(resource) {
      try {
        return await handler.apply(resource);
      } catch (error) {
        await tellRefused(options, what, error);
        throw error;
      }
    },
  };
}

async function openParts(options: OrdersStoreOptions): Promise<Parts> {
  const { fs, trustDomain, deviceId, isPlainAddress, anchors } = options;
  const folder = join(options.stateDir, 'orders');
  try {
    await fs.mkdir(folder);
  } catch (error) {
    throw storeFault(error, `cannot make ${folder}`);
  }
  const keys = (): readonly PublicJwk[] => anchors().ordersKeys;
  const damaged = (path: string, error: unknown): void => void tellDamaged(options, path, error);
  const common = { fs, trustDomain, keys };
  return {
    book: await openOrderBook({ ...common, deviceId, isPlainAddress, path: join(folder, 'orders.json') }, damaged),
    states: await openSignedState(
      { ...common, path: join(folder, 'states.jws'), typ: 'edgeward-states+proto', read: readDeviceStates },
      damaged,
    ),
    revocations: await openSignedState(
      { ...common, path: join(folder, 'revocations.jws'), typ: 'edgeward-revocations+proto', read: readRevocations },
      damaged,
    ),
  };
}

/** The same view while nothing changed. */
function createView({ book, states, revocations }: Parts): () => SubjectView {
  let view: SubjectView | undefined;
  let seen: readonly unknown[] = [];
  return () => {
    const known = states.current();
    const revoked = revocations.current();
    const verdicts = book.verdicts();
    const lost = book.lost();
    if (view !== undefined && seen[0] === known && seen[1] === revoked && seen[2] === verdicts && view.lost === lost) {
      return view;
    }
    seen = [known, revoked, verdicts];
    view = {
      lost,
      verdicts,
      states: known?.value,
      statesAt: known?.issuedAt,
      revocationsAt: revoked?.issuedAt,
      revoked: revoked?.value ?? noSerials,
    };
    return view;
  };
}

const noSerials: ReadonlySet<string> = new Set();

function containmentOf({ book, states }: Parts): Map<string, Containment> {
  const containment = new Map<string, Containment>();
  for (const [deviceId, { state }] of states.current()?.value ?? []) {
    if (state === 'quarantined' || state === 'recovering') containment.set(deviceId, state);
    if (state === 'decommissioned') containment.set(deviceId, 'revoked');
  }
  for (const [deviceId, { verdict }] of book.verdicts()) {
    if (containment.get(deviceId) !== 'revoked') containment.set(deviceId, verdict);
  }
  return containment;
}

async function enforceChanges(parts: Parts, enforced: Enforced, options: OrdersStoreOptions): Promise<void> {
  const containment = containmentOf(parts);
  const serials = parts.revocations.current()?.value ?? new Set<string>();
  const change = containmentChange(enforced, { containment, serials });
  const failures: unknown[] = [];
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: unknown) => failures.push(error));
  };
  if (change !== undefined) await attempt(() => options.onChange(change));
  // What a damaged book does not say stays as it was.
  if (!parts.book.lost()) await attempt(() => enforceSite(parts.book, enforced, options));
  if (failures.length > 0) {
    const [cause] = failures;
    options.log.error({ err: cause }, 'a change of orders could not be enforced');
    throw activationErrors.error('ORDERS_NOT_ENFORCED', 'the firewall or a proxy did not take the change', { cause });
  }
  enforced.containment = containment;
  enforced.serials = serials;
  enforced.versions = {
    orders: parts.book.lost() ? 0n : parts.book.sequence(),
    states: parts.states.durableVersion(),
    revocations: parts.revocations.durableVersion(),
  };
}

/** Each part on its own: a kernel that refuses a block does not keep this device out of island mode. */
async function enforceSite(book: OrderBook, enforced: Enforced, options: OrdersStoreOptions): Promise<void> {
  const site = book.site();
  const before = enforced.site;
  const islandChanged = before === undefined || before.island !== site.island || before.rejoined !== site.rejoined;
  const island = islandChanged ? options.onIsland(site) : Promise.resolve();
  const blocksChanged = before === undefined || before.blocks !== site.blocks || site.pardons.size > 0;
  const blocks = blocksChanged ? options.onBlocks(site.blocks, [...site.pardons.keys()]) : Promise.resolve();
  const results = await Promise.allSettled([island, blocks]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  await book.pardoned(site.pardons);
  enforced.site = book.site();
}

type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

function ordersHandler(
  { book }: Parts,
  enforced: Enforced,
  enforce: () => Promise<void>,
  inTurn: InTurn,
  options: OrdersStoreOptions,
): StateHandler {
  return {
    version: () => enforced.versions.orders,
    apply: ({ version, payload }) =>
      inTurn(async () => {
        const { applied, failure } = await book.take(payload);
        if (failure === undefined && book.sequence() >= version) book.foundAgain();
        // Enforced before it is told, and also when the rest of the log, or the disk, failed.
        await enforce();
        for (const order of applied) await tellOrder(options, order);
        if (failure !== undefined) throw failure.error;
        if (book.sequence() < version) {
          const message = `orders up to ${version} were announced, ${book.sequence()} is the last that came`;
          throw activationErrors.error('ORDERS_GAP', message);
        }
        return { digest: book.digest() };
      }),
    confirm: () =>
      inTurn(async () => {
        book.foundAgain();
        await enforce();
        return { digest: book.digest() };
      }),
  };
}

function stateHandler<T>(
  state: SignedState<T>,
  version: () => bigint,
  enforce: () => Promise<void>,
  inTurn: InTurn,
): StateHandler {
  const inForce = async (): Promise<{ digest: Uint8Array }> => {
    await enforce();
    return { digest: state.current()?.digest ?? new Uint8Array() };
  };
  return {
    version,
    apply: ({ version: announced, payload }) =>
      inTurn(async () => {
        const failure = await state.take(announced, payload).then(
          () => undefined,
          (error: unknown) => ({ error }),
        );
        const answer = await inForce();
        if (failure !== undefined) throw failure.error;
        return answer;
      }),
    confirm: () => inTurn(inForce),
  };
}
