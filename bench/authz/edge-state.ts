// The state directory of an enrolled edge as the product leaves it: identity, bundle, device states, revocations, trusted
// time; every part written by the product's own code, so that a server starts from it as an edge does.
import { isPlainAddress } from '../../enforcer/firewall/index.ts';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createHash, randomBytes } from 'node:crypto';
import { storeEnrolled } from '../../ca/edge/identity-directory.ts';
import {
  createActivation,
  hostBoot,
  openOrdersStore,
  openTrustedClock,
  type OrdersStore,
  STATE_MAX_AGE_MS,
} from '../../enforcer/activation/index.ts';
import { formatVerifierKey, generateNoteKey } from '../../identity/index.ts';
import { knownFeatures, openBundle, sealBundle } from '../../policy/bundle/index.ts';
import { compileSlice, type Engine } from '../../policy/engine/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeFiles } from '../../store/files.ts';
import * as keys from '../../test/activation/world.ts';
import type { TestAuthority } from '../../test/support/pki.ts';
import { uriOf } from './check-requests.ts';
import { edgeDevice, type FleetPolicy, trustDomain } from './policy.ts';

const hour = 3_600_000;

/** What the edge that was written decides by. */
export interface KnownEdge {
  readonly engine: Engine;
  readonly subjectState: OrdersStore['subjectState'];
}

export async function writeEdgeState(path: string, authority: TestAuthority, policy: FleetPolicy): Promise<KnownEdge> {
  const now = Date.now();
  mkdirSync(join(path, 'identity'), { recursive: true, mode: 0o700 });
  const own = authority.issue(uriOf(edgeDevice));
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
  await clock.observe(await keys.signedTime(now));
  const orders = await openOrdersStore({
    ...stored,
    clock,
    stateMaxAgeMs: STATE_MAX_AGE_MS,
    deviceId: edgeDevice,
    isPlainAddress,
    onIsland: () => Promise.resolve(),
    onBlocks: () => Promise.resolve(),
    onChange: () => Promise.resolve(),
  });
  const devices = policy.devices.map(({ id, state, risk }) => ({
    deviceId: id,
    state,
    attestationClass: 'tpm',
    attestedAtMs: BigInt(now - hour),
    risk,
    reduced: false,
  }));
  const states = await keys.statesOf(1, devices, { issuedAt: now });
  await orders.handlers.deviceState.apply({ version: 1n, payload: states });
  const revoked = Array.from({ length: 500 }, (_, n) => createHash('sha256').update(`${n}`).digest('hex').slice(0, 32));
  const revocations = await keys.revocations(1, revoked, { issuedAt: now });
  await orders.handlers.revocations.apply({ version: 1n, payload: revocations });
  const activation = await createActivation<Engine>({
    ...stored,
    openBundle,
    compile: ({ slice, digest, manifest }) => compileSlice(slice, { ...manifest, digest }),
    deviceId: edgeDevice,
    clock,
    knownFeatures,
    applyFirewall: () => Promise.resolve(),
  });
  const meta = {
    version: 1,
    issuedAt: now - hour,
    softExpiry: now + 24 * hour,
    hardExpiry: now + 168 * hour,
    commit: 'bench',
  };
  const sealed = await sealBundle(policy.slice, meta, keys.publisher);
  await activation.offer(sealed.manifestJws, keys.chunkServer(sealed).fetch);
  const active = activation.current();
  if (active === undefined) throw new Error('the bundle of the bench is not in force');
  return { engine: active.engine, subjectState: (device) => orders.subjectState(device) };
}
