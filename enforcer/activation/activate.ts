// Activation of policy bundles: verify, compile aside, self-test, store, firewall, then swap one pointer. Whatever
// fails on the way, the bundle in force stays in force and the error becomes the NACK.
// The bundle is stored before it is enforced, so that no decision is ever made by a bundle that a restart would not find.
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { OpenBundleOptions, Slice, VerifiedBundle } from '../../policy/bundle/index.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FileSystem } from '../../store/files.ts';
import { activationErrors } from './errors.ts';
import { tellActivated, tellRefused } from './activation-events.ts';
import { collectChunks, type FetchChunks } from './collect-chunks.ts';
import { chunksOf, openPolicyStore, type PolicyStore, type Slot } from './policy-store.ts';
import { requireSelfTest, type SelfTesting } from './self-test.ts';

export interface Active<E> {
  readonly engine: E;
  readonly bundle: VerifiedBundle;
}

/** What goes into the ACK. */
export interface ActivationAck {
  /** SHA-256 of the manifest in force; empty when there is none. */
  readonly digest: Uint8Array;
  readonly selfTest?: { readonly vectors: number; readonly passed: number };
}

export interface Activation<E> {
  /** Brings the newest bundle on disk that opens, compiles and passes its self-test into force. Needs no network. */
  startFromDisk(): Promise<Active<E> | undefined>;
  /** Activates a manifest, fetching what is not on disk. `version` is what the stream announced. */
  offer(manifestJws: string, fetchChunks: FetchChunks, version?: bigint): Promise<ActivationAck>;
  current(): Active<E> | undefined;
  /** As a handler of the stream's POLICY resource. */
  readonly handler: {
    version(): bigint;
    apply(
      resource: { readonly version: bigint; readonly payload: Uint8Array },
      fetchChunks: FetchChunks,
    ): Promise<ActivationAck>;
    confirm(): Promise<ActivationAck>;
  };
}

export interface ActivationOptions<E extends SelfTesting> {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly openBundle: (options: OpenBundleOptions) => Promise<VerifiedBundle>;
  /** `before` is the engine in force, if any, which keeps deciding until it is replaced. */
  readonly compile: (bundle: VerifiedBundle, before: E | undefined) => E;
  readonly anchors: () => { readonly publisherKeys: OpenBundleOptions['publisherKeys'] };
  readonly deviceId: string;
  readonly trustDomain: string;
  /** The trusted clock. */
  readonly clock: { now(): number };
  readonly knownFeatures: readonly string[];
  /**
   * Puts the host's firewall for this slice in force, atomically: when it rejects, the old rules are still there. `next`
   * is what will be in force with it; questions about the slice are for its engine, not for the one before.
   */
  readonly applyFirewall: (slice: Slice, next: Active<E>) => Promise<void>;
  readonly emit: EmitEvent;
  readonly log: Logger;
}

interface State<E> {
  active: (Active<E> & { readonly jws: string; readonly ack: ActivationAck }) | undefined;
}

export async function createActivation<E extends SelfTesting>(options: ActivationOptions<E>): Promise<Activation<E>> {
  const { fs, stateDir, log } = options;
  const store = await openPolicyStore(fs, stateDir, (what, error) => {
    log.error({ err: error, path: what }, 'the floor of policy versions is lost');
    void tellRefused(options, { source: 'disk', version: undefined, error });
  });
  const state: State<E> = { active: undefined };
  let queue: Promise<unknown> = Promise.resolve();
  /** One activation at a time. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work);
    queue = result.catch(() => undefined);
    return result;
  };
  const offer = (jws: string, fetchChunks: FetchChunks, version?: bigint): Promise<ActivationAck> =>
    inTurn(() => activateOffered(options, store, state, jws, fetchChunks, version));
  const confirm = (): ActivationAck => state.active?.ack ?? { digest: new Uint8Array() };

  return {
    startFromDisk: () => inTurn(() => activateStored(options, store, state)),
    offer,
    current: () => state.active,
    handler: {
      version: () => BigInt(state.active?.bundle.manifest.version ?? 0),
      apply: ({ version, payload }, fetchChunks) =>
        offer(Buffer.from(payload).toString('latin1'), fetchChunks, version),
      confirm: () => Promise.resolve(confirm()),
    },
  };
}

async function activateOffered<E extends SelfTesting>(
  options: ActivationOptions<E>,
  store: PolicyStore,
  state: State<E>,
  jws: string,
  fetchChunks: FetchChunks,
  version: bigint | undefined,
): Promise<ActivationAck> {
  const lastGood = state.active;
  try {
    if (lastGood?.jws === jws) return lastGood.ack;
    const bundle = await openOffered(options, store, lastGood, jws, fetchChunks);
    requireAnnounced(bundle, version);
    const next = prepare(options, bundle, lastGood?.engine);
    await store.promote(jws, { version: bundle.manifest.version, digest: bundle.digest }, lastGood?.jws);
    await enforce(options, next).catch((error: unknown) => takeBack(options, store, lastGood?.jws, error));
    state.active = { ...next, jws };
    await forgetOthers(options, store, [jws, lastGood?.jws]);
    await tellActivated(options, bundle, 'stream');
    return next.ack;
  } catch (error) {
    const coded = codedFault(error);
    await tellRefused(options, {
      source: 'stream',
      version: version === undefined ? undefined : Number(version),
      error: coded,
    });
    throw coded;
  }
}

async function activateStored<E extends SelfTesting>(
  options: ActivationOptions<E>,
  store: PolicyStore,
  state: State<E>,
): Promise<Active<E> | undefined> {
  for (const slot of ['current', 'previous'] satisfies Slot[]) {
    try {
      const jws = await store.manifest(slot);
      if (jws === undefined) continue;
      const chunkByDigest = (digest: string) => store.chunk(digest);
      // Past hard expiry the engine still answers operations of class safety, so an expired bundle starts too.
      const bundle = await open(options, jws, { chunkByDigest, minimumVersion: 0, acceptExpired: true });
      const next = prepare(options, bundle, undefined);
      await enforce(options, next);
      state.active = { ...next, jws };
      await tellActivated(options, bundle, 'disk');
      return state.active;
    } catch (error) {
      options.log.error({ err: error, slot }, 'a stored bundle was refused');
      await tellRefused(options, { source: 'disk', version: undefined, error: codedFault(error) });
    }
  }
  return undefined;
}

/** Versions at or below the one in force, or below any ever accepted, are refused; the highest only in the same words. */
async function openOffered<E extends SelfTesting>(
  options: ActivationOptions<E>,
  store: PolicyStore,
  lastGood: { readonly bundle: VerifiedBundle; readonly jws: string } | undefined,
  jws: string,
  fetchChunks: FetchChunks,
): Promise<VerifiedBundle> {
  const floor = store.floor();
  const minimumVersion = Math.max(lastGood?.bundle.manifest.version ?? 0, (floor?.version ?? 1) - 1);
  // Asked for the first chunk only after the manifest was verified: nothing is fetched for an unsigned one.
  const chunkByDigest = collectChunks(store, () => chunksOf(jws), [jws, lastGood?.jws], fetchChunks);
  const bundle = await open(options, jws, { chunkByDigest, minimumVersion });
  if (bundle.manifest.version === floor?.version && bundle.digest !== floor.digest) {
    const message = `another bundle of version ${floor.version} was accepted before`;
    throw activationErrors.error('ACTIVATION_ROLLBACK', message);
  }
  return bundle;
}

function open<E extends SelfTesting>(
  options: ActivationOptions<E>,
  manifestJws: string,
  how: Pick<OpenBundleOptions, 'chunkByDigest' | 'minimumVersion' | 'acceptExpired'>,
): Promise<VerifiedBundle> {
  const { openBundle, anchors, trustDomain, deviceId, clock, knownFeatures } = options;
  const { publisherKeys } = anchors();
  return openBundle({ ...how, manifestJws, publisherKeys, trustDomain, deviceId, now: clock.now(), knownFeatures });
}

function requireAnnounced(bundle: VerifiedBundle, version: bigint | undefined): void {
  if (version === undefined || version === BigInt(bundle.manifest.version)) return;
  throw activationErrors.error(
    'ACTIVATION_VERSION_MISMATCH',
    `version ${version} was announced, the manifest is of version ${bundle.manifest.version}`,
  );
}

/** Compiles beside what is in force and runs the bundle's own test vectors. */
function prepare<E extends SelfTesting>(
  options: ActivationOptions<E>,
  bundle: VerifiedBundle,
  before: E | undefined,
): Active<E> & { readonly ack: ActivationAck } {
  let engine: E;
  try {
    engine = options.compile(bundle, before);
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw activationErrors.error('ACTIVATION_COMPILE', 'the bundle cannot be compiled', { cause });
  }
  const selfTest = requireSelfTest(engine);
  return { engine, bundle, ack: { digest: Buffer.from(bundle.digest, 'hex'), selfTest } };
}

async function enforce<E extends SelfTesting>(options: ActivationOptions<E>, next: Active<E>): Promise<void> {
  try {
    await options.applyFirewall(next.bundle.slice, next);
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw activationErrors.error('ACTIVATION_FIREWALL', 'the firewall could not be put in force', { cause });
  }
}

/** The firewall refused what is already stored: the last good becomes current again. */
async function takeBack<E extends SelfTesting>(
  options: ActivationOptions<E>,
  store: PolicyStore,
  lastGood: string | undefined,
  error: unknown,
): Promise<never> {
  try {
    await store.demote(lastGood);
  } catch (cause) {
    // A restart will try the refused bundle again and then take the last good one, so this is only worth a line.
    options.log.error({ err: cause }, 'the refused bundle is still the first to be tried at the next start');
  }
  throw error;
}

async function forgetOthers<E extends SelfTesting>(
  options: ActivationOptions<E>,
  store: PolicyStore,
  manifests: readonly (string | undefined)[],
): Promise<void> {
  try {
    await store.keepChunksOf(manifests);
  } catch (error) {
    options.log.warn({ err: error }, 'chunks of older bundles were not removed');
  }
}

function codedFault(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return activationErrors.error('ACTIVATION_STORE', 'the bundle could not be stored', { cause: error });
}
