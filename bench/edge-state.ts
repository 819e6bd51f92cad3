// The state directory of an enrolled edge as the product leaves it: identity, bundle, device states, revocations, trusted
// time; every part written by the product's own code, so that a server starts from it as an edge does.
import { isPlainAddress } from '../enforcer/firewall/index.ts';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createHash, randomBytes } from 'node:crypto';
import { storeEnrolled } from '../ca/edge/identity-directory.ts';
import {
  createActivation,
  hostBoot,
  openOrdersStore,
  openTrustedClock,
  type OrdersStore,
  STATE_MAX_AGE_MS,
} from '../enforcer/activation/index.ts';
import { formatVerifierKey, generateNoteKey } from '../identity/index.ts';
import { knownFeatures, openBundle, sealBundle, type SealedBundle, type Slice } from '../policy/bundle/index.ts';
import { compileSlice, type Engine, type SubjectState } from '../policy/engine/index.ts';
import { systemClock } from '../runtime/clock.ts';
import { nodeFiles } from '../store/files.ts';
import * as keys from '../test/activation/world.ts';
import type { TestAuthority } from '../test/support/pki.ts';

const hour = 3_600_000;

/** A device as the control plane sees it. */
export interface KnownDevice {
  readonly id: string;
  readonly state: SubjectState;
  readonly risk: number;
}

/** What an edge knows: the slice's device is the edge. */
export interface EdgePolicy {
  readonly slice: Slice;
  readonly devices: readonly KnownDevice[];
}

/** What the edge that was written decides by. */
export interface KnownEdge {
  readonly engine: Engine;
  readonly subjectState: OrdersStore['subjectState'];
}

export async function writeEdgeState(path: string, authority: TestAuthority, policy: EdgePolicy): Promise<KnownEdge> {
  const { trustDomain, device } = policy.slice;
  const now = Date.now();
  mkdirSync(join(path, 'identity'), { recursive: true, mode: 0o700 });
  const own = authority.issue(`spiffe://${trustDomain}/device/${device}`);
  const anchors = {
    ...keys.anchors,
    trustDomain,
    roots: [authority.root],
    logVerifierKey: formatVerifierKey(`log.${trustDomain}`, generateNoteKey().publicKey),
  };
  await storeEnrolled({ fs: nodeFiles, path }, own.keys, [own.der, authority.intermediate], anchors);
  const stored = {
    fs: nodeFiles,
    stateDir: path,
    trustDomain,
    anchors: () => anchors,
    emit: () => Promise.resolve(),
    log: keys.silent,
  };
  const boot = await hostBoot(nodeFiles, randomBytes(16).toString('hex'));
  const clock = await openTrustedClock({ ...stored, clock: systemClock, boot });
  await clock.observe(await keys.signedTime(now, { domain: trustDomain }));
  const orders = await openOrdersStore({
    ...stored,
    clock,
    stateMaxAgeMs: STATE_MAX_AGE_MS,
    deviceId: device,
    isPlainAddress,
    onIsland: () => Promise.resolve(),
    onBlocks: () => Promise.resolve(),
    onChange: () => Promise.resolve(),
  });
  const states = await statesOf(trustDomain, 1, policy.devices, now);
  await orders.handlers.deviceState.apply({ version: 1n, payload: states });
  const revoked = Array.from({ length: 500 }, (_, n) => createHash('sha256').update(`${n}`).digest('hex').slice(0, 32));
  const revocations = await keys.revocations(1, revoked, { domain: trustDomain, issuedAt: now });
  await orders.handlers.revocations.apply({ version: 1n, payload: revocations });
  const activation = await createActivation<Engine>({
    ...stored,
    openBundle,
    compile: ({ slice, digest, manifest }) => compileSlice(slice, { ...manifest, digest }),
    deviceId: device,
    clock,
    knownFeatures,
    applyFirewall: () => Promise.resolve(),
  });
  const sealed = await seal(policy.slice, 1, now);
  await activation.offer(sealed.manifestJws, keys.chunkServer(sealed).fetch);
  const active = activation.current();
  if (active === undefined) throw new Error('the bundle of the bench is not in force');
  return { engine: active.engine, subjectState: (device) => orders.subjectState(device) };
}

/** Signed states of all devices; another version replaces what the edge knows. */
export async function statesOf(
  trustDomain: string,
  version: number,
  devices: readonly KnownDevice[],
  now: number = Date.now(),
): Promise<Uint8Array> {
  const entries = devices.map(({ id, state, risk }) => ({
    deviceId: id,
    state,
    attestationClass: 'tpm',
    attestedAtMs: BigInt(now - hour),
    risk,
    reduced: false,
  }));
  return await keys.statesOf(version, entries, { domain: trustDomain, issuedAt: now });
}

/** The slice as the publisher signs it, for today. */
export async function seal(slice: Slice, version: number, now: number = Date.now()): Promise<SealedBundle> {
  const meta = {
    version,
    issuedAt: now - hour,
    softExpiry: now + 24 * hour,
    hardExpiry: now + 168 * hour,
    commit: 'bench',
  };
  return await sealBundle(slice, meta, keys.publisher);
}
