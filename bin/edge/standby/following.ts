// What the enforcer has on disk, read by its stand-in and never written: identity, policy, orders and states, time, island mode.
// Looked at again several times a second; a part whose files changed is read anew, and what cannot be read stays as it was, or
// counts as nothing where the stores say so.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { loadIdentity } from '../../../ca/edge/index.ts';
import {
  type Activation,
  type Active,
  createActivation,
  hostBoot,
  openOrdersStore,
  openTrustedClock,
  type OrdersStore,
  STATE_MAX_AGE_MS,
  type TrustedClock,
} from '../../../enforcer/activation/index.ts';
import { isPlainAddress } from '../../../enforcer/firewall/index.ts';
import { kernelStateOf, readIsland, type Stored } from '../../../enforcer/island/index.ts';
import { FOLLOW_MS, readingFiles } from '../../../enforcer/standby/index.ts';
import { knownFeatures, openBundle, type Slice } from '../../../policy/bundle/index.ts';
import { compileSlice, type Engine } from '../../../policy/engine/index.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/log.ts';
import { periodically, type Task } from '../../../runtime/tasks.ts';
import type { FileSystem } from '../../../store/files.ts';

type Identity = Awaited<ReturnType<typeof loadIdentity>>;

export interface Following {
  readonly identity: { readonly current: () => Identity; readonly anchors: () => Identity['anchors'] };
  readonly orders: Pick<OrdersStore, 'subjectState' | 'view'>;
  readonly active: () => Active<Engine> | undefined;
  readonly slice: () => Slice | undefined;
  readonly time: TrustedClock['time'];
  readonly island: () => boolean;
  readonly task: Task;
}

export interface FollowingParts {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Something was read anew. */
  readonly onChange: () => void;
  /** Devices that are contained now. */
  readonly onContained: (devices: readonly string[]) => void;
}

/** Folders and files of each part; identity first, because the others are verified by it. */
const partsOf = {
  identity: ['identity'],
  clock: ['clock.json'],
  orders: ['orders'],
  policy: ['policy'],
  island: ['island.json'],
} as const;
type Part = keyof typeof partsOf;

/** Rejects when there is no identity. */
export async function openFollowing(parts: FollowingParts): Promise<Following> {
  const { stateDir, clock, log } = parts;
  const fs = readingFiles(parts.fs);
  const boot = await hostBoot(fs, randomBytes(16).toString('hex'));
  const state = { fs, path: stateDir };
  let identity = await loadIdentity(state);
  const deviceId = identity.id.name;
  // Whatever is wrong with these files the enforcer says.
  const emit = (): Promise<void> => Promise.resolve();
  const anchors = (): Identity['anchors'] => identity.anchors;
  const { trustDomain } = identity.anchors;
  const stored = { fs, stateDir, trustDomain, anchors, emit, log };
  let trusted: TrustedClock | undefined;
  let orders: OrdersStore | undefined;
  let activation: Activation<Engine> | undefined;
  let island: Stored | undefined;
  const timeNow = (): ReturnType<TrustedClock['time']> => trusted?.time() ?? { now: clock.now(), trusted: false };

  const read: Readonly<Record<Part, () => Promise<void>>> = {
    async identity() {
      const next = await loadIdentity(state);
      if (next.anchors.trustDomain !== trustDomain || next.id.name !== deviceId) {
        throw new Error('the identity is now that of another device');
      }
      identity = next;
    },
    async clock() {
      trusted = await openTrustedClock({ ...stored, clock, boot });
    },
    async orders() {
      const next = await openOrdersStore({
        ...stored,
        clock: { time: timeNow },
        deviceId,
        isPlainAddress,
        stateMaxAgeMs: STATE_MAX_AGE_MS,
        onChange: ({ revoked, quarantined }) => {
          parts.onContained([...revoked, ...quarantined]);
          return Promise.resolve();
        },
        onIsland: () => Promise.resolve(),
        onBlocks: () => Promise.resolve(),
      });
      orders = next;
      await next.enforce();
    },
    async policy() {
      const next = await createActivation<Engine>({
        ...stored,
        openBundle,
        compile: (bundle) =>
          compileSlice(bundle.slice, { digest: bundle.digest, ...bundle.manifest }, activation?.current()?.engine),
        deviceId,
        clock: { now: () => timeNow().now },
        knownFeatures,
        applyFirewall: () => Promise.resolve(),
      });
      // The last good one stays when nothing on the disk opens.
      if ((await next.startFromDisk()) !== undefined) activation = next;
    },
    async island() {
      island = await readIsland(fs, stateDir);
    },
  };

  const seen = new Map<Part, string>();
  const failed = new Map<Part, string>();
  const look = async (): Promise<void> => {
    let changed = false;
    for (const part of Object.keys(partsOf) as Part[]) {
      try {
        const now = await signatureOf(fs, stateDir, partsOf[part]);
        if (seen.get(part) === now) continue;
        await read[part]();
        // Other anchors verify other things.
        if (part === 'identity') seen.clear();
        seen.set(part, now);
        failed.delete(part);
        changed = true;
      } catch (error) {
        // Tried again with every look, said once.
        const why = error instanceof Error ? error.message : String(error);
        if (failed.get(part) !== why) {
          log.error({ err: error, part }, 'what the enforcer keeps could not be read; it stays as it was');
        }
        failed.set(part, why);
      }
    }
    if (changed) parts.onChange();
  };
  await look();

  return {
    identity: { current: () => identity, anchors },
    orders: {
      subjectState: (device) => orders?.subjectState(device) ?? { state: 'unknown', attributes: {} },
      view: () => orders?.view() ?? nobody,
    },
    active: () => activation?.current(),
    slice: () => activation?.current()?.bundle.slice,
    time: timeNow,
    // A record that cannot be read is island mode; so is one that nobody has read yet.
    island: () => {
      if (island === undefined || island.damaged) return true;
      return kernelStateOf(island.record, { boot: boot.id, uptimeMs: boot.uptimeMs(), ...timeNow() }).on;
    },
    task: periodically(clock, FOLLOW_MS, look),
  };
}

const nobody: ReturnType<OrdersStore['view']> = {
  lost: true,
  verdicts: new Map(),
  states: undefined,
  statesAt: undefined,
  revocationsAt: undefined,
  revoked: new Set(),
};

/** Changes with every file that is replaced. */
async function signatureOf(fs: FileSystem, stateDir: string, names: readonly string[]): Promise<string> {
  const lines: string[] = [];
  for (const name of names) {
    const path = join(stateDir, name);
    const found = await fs.stat(path);
    const inside = found?.kind === 'directory' ? (await fs.list(path)).filter((entry) => !entry.endsWith('.new')) : [];
    for (const file of found?.kind === 'file' ? [path] : inside.map((entry) => join(path, entry))) {
      const info = await fs.stat(file);
      if (info?.kind === 'file') lines.push(`${file} ${info.size} ${info.modifiedMs}`);
    }
  }
  return lines.join('\n');
}
