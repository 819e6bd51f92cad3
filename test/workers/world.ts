// An edge with authz workers in small: a bundle on a real disk, orders and time as the test says, real worker processes on
// real sockets, asked with a gRPC client.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NewEvent } from '../../audit/spool/index.ts';
import { edgeConfigSchema, edgePaths } from '../../bin/edge/config.ts';
import type { WantedUse } from '../../bin/edge/workers/messages.ts';
import { createWorkerPool } from '../../bin/edge/workers/pool.ts';
import { createActivation, hostBoot, type SubjectView } from '../../enforcer/activation/index.ts';
import { certificatesToPem } from '../../identity/index.ts';
import { knownFeatures, openBundle, sealBundle, type Slice } from '../../policy/bundle/index.ts';
import { compileSlice, type Engine, type Opening } from '../../policy/engine/index.ts';
import { Authorization } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Health } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createGrpcClient } from '../../runtime/grpc.ts';
import { nodeFiles } from '../../store/files.ts';
import * as keys from '../activation/world.ts';
import { createTestAuthority } from '../support/pki.ts';

const { trustDomain, deviceId } = keys;
const authority = createTestAuthority(trustDomain);
const certificates = new Map<string, string>();

function certificateOf(device: string): string {
  const known = certificates.get(device);
  if (known !== undefined) return known;
  const { der } = authority.issue(`spiffe://${trustDomain}/device/${device}`);
  const text = encodeURIComponent(certificatesToPem([der]));
  certificates.set(device, text);
  return text;
}

export type State = 'trusted' | 'quarantined';

export function viewOf(states: Readonly<Record<string, State>>): SubjectView {
  const now = Date.now();
  const signed = Object.entries(states).map(([deviceName, state]) => [
    deviceName,
    { deviceId: deviceName, state, attestationClass: 'tpm', attestedAtMs: BigInt(now), risk: 0, reduced: false },
  ]);
  return {
    lost: false,
    verdicts: new Map(),
    states: new Map(signed as [string, never][]),
    statesAt: now,
    revocationsAt: now,
    revoked: new Set(),
  };
}

export interface WorkersWorld {
  readonly pool: ReturnType<typeof createWorkerPool>;
  readonly events: NewEvent[];
  readonly used: WantedUse[];
  /** What the edge hears of records that are lost. */
  readonly dropped: readonly (number | undefined)[];
  /** Makes a bundle with this slice the one in force, and tells the workers. */
  publish(slice: Slice): Promise<void>;
  states(states: Readonly<Record<string, State>>): Promise<void>;
  /** Code of the answer of worker `index`, from 2 on; undefined when it does not answer. No device: no certificate. */
  ask(index: number, path: string, device?: string): Promise<number | undefined>;
  health(index: number): Promise<number | undefined>;
  readonly settings: {
    uses: number;
    spoolWorks: boolean;
    heartbeats: boolean;
    openings: readonly Opening[];
    island: boolean;
  };
  close(): Promise<void>;
}

export async function openWorld(count: number, slice: Slice): Promise<WorkersWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'ew-workers-'));
  const config = edgeConfigSchema.parse({
    state: join(folder, 'state'),
    run: folder,
    control: { address: '127.0.0.1:1' },
    authz: { processes: count + 1 },
    logLevel: 'error',
  });
  const boot = await hostBoot(nodeFiles, 'boot');
  const events: NewEvent[] = [];
  const used: WantedUse[] = [];
  const dropped: (number | undefined)[] = [];
  const settings = {
    uses: Number.POSITIVE_INFINITY,
    spoolWorks: true,
    heartbeats: true,
    openings: [] as readonly Opening[],
    island: false,
  };
  let subjects = viewOf({ 'gateway-1': 'trusted' });
  let version = 0;
  const activation = await createActivation<Engine>({
    fs: nodeFiles,
    stateDir: config.state,
    openBundle,
    compile: (bundle) => compileSlice(bundle.slice, { digest: bundle.digest, ...bundle.manifest }),
    anchors: () => keys.anchors,
    deviceId,
    trustDomain,
    clock: systemClock,
    knownFeatures,
    applyFirewall: () => Promise.resolve(),
    emit: () => Promise.resolve(),
    log: keys.silent,
  });
  const offer = async (next: Slice): Promise<string> => {
    version++;
    const issuedAt = Date.now() - 1_000;
    const expiry = { softExpiry: issuedAt + 24 * keys.hour, hardExpiry: issuedAt + 168 * keys.hour };
    const sealed = await sealBundle(next, { version, issuedAt, ...expiry, commit: `c${version}` }, keys.publisher);
    await activation.offer(sealed.manifestJws, keys.chunkServer(sealed).fetch);
    return activation.current()?.bundle.digest ?? '';
  };
  await offer(slice);
  const digest = (): string => activation.current()?.bundle.digest ?? '';
  const heartbeat = () => ({
    mark: { time: { now: Date.now(), trusted: true }, uptimeMs: boot.uptimeMs() },
    openings: settings.openings,
    island: settings.island,
  });
  const chain = [authority.issue(`spiffe://${trustDomain}/device/${deviceId}`).der, authority.intermediate];
  const pool = createWorkerPool({
    count,
    program: new URL('../../bin/edge/workers/worker.ts', import.meta.url),
    start: () => ({ config, deviceId }),
    snapshot: () => ({
      digest: digest(),
      heartbeat: heartbeat(),
      anchors: { chain, trustDomain, roots: [authority.root], publisherKeys: keys.anchors.publisherKeys },
      subjects,
    }),
    heartbeat,
    emit: async (event) => {
      if (!settings.spoolWorks) throw new Error('the disk is full');
      events.push(event);
      await Promise.resolve();
    },
    use: async (uses) => {
      used.push(...uses);
      return await Promise.resolve(used.length <= settings.uses);
    },
    dropped: (count) => dropped.push(count),
    clock: {
      ...systemClock,
      sleep: async (ms, signal) => {
        await systemClock.sleep(ms, signal);
        while (!settings.heartbeats) await systemClock.sleep(ms, signal);
      },
    },
    log: keys.silent,
  });
  const stop = new AbortController();
  const running = pool.task(stop.signal);

  const path = (index: number): string => `unix:${edgePaths(config, index).grpcSocket}`;
  return {
    pool,
    events,
    used,
    dropped,
    settings,
    async publish(next) {
      await pool.tell({ kind: 'policy', digest: await offer(next) });
    },
    async states(states) {
      subjects = viewOf(states);
      await pool.tell({ kind: 'subjects', subjects });
    },
    async ask(index, target, device = 'gateway-1') {
      const client = createGrpcClient(Authorization, path(index), 'insecure');
      try {
        const { status } = await client.check({
          attributes: {
            source: { certificate: device === '' ? '' : certificateOf(device) },
            request: { http: { method: 'GET', host: 'web.plant.example', path: target } },
            contextExtensions: { 'edgeward-interface': 'web' },
          },
        });
        return status?.code;
      } catch {
        return undefined;
      } finally {
        client.close();
      }
    },
    async health(index) {
      const client = createGrpcClient(Health, path(index), 'insecure');
      try {
        return (await client.check({ service: '' })).status;
      } finally {
        client.close();
      }
    },
    async close() {
      stop.abort();
      await running;
      await pool.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
