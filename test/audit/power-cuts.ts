// The spool against power cuts, as the soak runs it too: a disk that forgets what was not synced, cut at named points
// and in the middle of any call, with failing syncs and full disks in between, and a cloud that loses acknowledgements.
import { randomBytes } from 'node:crypto';
import { openSpool, type NewEvent, type Spool } from '../../audit/spool/index.ts';
import { chainNext, chainStart, sameBytes } from '../../audit/log/chain.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { FileSystem, OpenFile } from '../../store/files.ts';
import { seededRandom, SimulatedFiles } from '../../store/simulated-files.ts';

export interface PowerCuts {
  readonly cuts: number;
  readonly seed: number;
}

export interface PowerCutsResult {
  /** Events whose durable append resolved. */
  readonly acknowledged: number;
  /** Of those, how many the cloud never got. */
  readonly lost: number;
  /** Events that the cloud stored twice, plus sequences that came back with other content. */
  readonly duplicated: number;
  /** Cuts by the place they struck. */
  readonly places: Readonly<Record<string, number>>;
  /** Chains the cloud saw; more than one means that a cut was taken for damage. */
  readonly epochs: number;
}

/** Where the code names a point; a new name belongs here (a test compares with what is reached). */
export const cutPoints = [
  'group written',
  'group synced',
  'segment written',
  'segment synced',
  'segment named',
  'written',
  'renamed',
  'cursor saved',
  'segment unlinked',
  'unlinks synced',
] as const;

const limits = { segmentBytes: 2_048, recentBytes: 1_024, reserveBytes: 1_024, totalBytes: 1 << 20, groupCommitMs: 1 };

export async function runPowerCuts({ cuts, seed }: PowerCuts): Promise<PowerCutsResult> {
  const random = seededRandom(seed);
  const cloud = new Cloud();
  const promised = new Set<number>();
  const places: Record<string, number> = {};
  let files = new SimulatedFiles({ seed });
  let nextId = 1;
  for (let cut = 0; cut < cuts; cut += 1) {
    arm(files, random);
    await liveUntilCut(files, { random, cloud, promised, newId: () => nextId++ });
    const place = await whereCut(files);
    places[place] = (places[place] ?? 0) + 1;
    files = files.restart();
    files.setFreeBytes(Number.POSITIVE_INFINITY);
  }
  const spool = await open(files);
  await deliver(spool, cloud, Number.POSITIVE_INFINITY);
  await spool.close();
  return {
    acknowledged: promised.size,
    lost: [...promised].filter((id) => !cloud.ids.has(id)).length,
    duplicated: cloud.duplicated,
    places,
    epochs: cloud.epochs,
  };
}

function open(fs: FileSystem): Promise<Spool> {
  return openSpool({ fs, directory: '/var/spool', clock: systemClock, random: randomBytes, limits });
}

function arm(files: SimulatedFiles, random: () => number): void {
  if (random() < 0.5) {
    const name = cutPoints[Math.floor(random() * cutPoints.length)] as string;
    files.cutAt(name, 1 + Math.floor(random() * 4));
  }
  // The backstop for points that the schedule does not reach.
  files.cutAfter(1 + Math.floor(random() * 120));
}

interface World {
  readonly random: () => number;
  readonly cloud: Cloud;
  readonly promised: Set<number>;
  readonly newId: () => number;
}

/** One boot of the machine: the process is killed and started again some times, then the power goes. */
async function liveUntilCut(files: SimulatedFiles, world: World): Promise<void> {
  while (!files.cut) {
    const life = mortal(files);
    let spool: Spool | undefined;
    files.failSyncs(0);
    try {
      spool = await open(life.fs);
      while (!files.cut && !life.dead()) {
        await step(files, spool, world);
        if (world.random() < 0.04) life.killAfter(Math.floor(world.random() * 4));
      }
    } catch (error) {
      if (!files.cut && !life.dead()) throw error;
    } finally {
      await spool?.close().catch(() => undefined);
    }
  }
}

/** The disk as one process sees it; kill -9 ends the view, and what was written stays with the kernel, synced or not. */
function mortal(files: SimulatedFiles): { fs: FileSystem; killAfter: (calls: number) => void; dead: () => boolean } {
  let callsLeft = Number.POSITIVE_INFINITY;
  const alive = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(_, name) {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...parameters: unknown[]): unknown => {
          if (callsLeft <= 0) {
            const killed = new Error('the process was killed');
            if (name === 'point') throw killed;
            return Promise.reject(killed);
          }
          callsLeft -= 1;
          const result: unknown = Reflect.apply(member, target, parameters);
          return name === 'open' ? (result as Promise<OpenFile>).then(alive) : result;
        };
      },
    });
  return {
    fs: alive<FileSystem>(files),
    killAfter: (calls) => {
      // Nobody comes back from the dead.
      callsLeft = Math.min(callsLeft, calls);
    },
    dead: () => callsLeft <= 0,
  };
}

async function step(files: SimulatedFiles, spool: Spool, { random, cloud, promised, newId }: World): Promise<void> {
  const dice = random();
  if (dice < 0.6) {
    const durable = random() < 0.7;
    const burst = Array.from({ length: 1 + Math.floor(random() * 6) }, async () => {
      const id = newId();
      const appended = await spool.append(event(id, random), durable).catch(() => undefined);
      if (appended?.sequence !== undefined) promised.add(id);
    });
    await Promise.all(burst);
  } else if (dice < 0.7) {
    await spool.flush();
  } else if (dice < 0.92) {
    await deliver(spool, cloud, 1 + Math.floor(random() * 20), random() < 0.2);
  } else if (dice < 0.96) {
    files.failSyncs(random() < 0.5 ? 1 : 0);
  } else {
    files.setFreeBytes(random() < 0.5 ? Math.floor(random() * 2_000) : Number.POSITIVE_INFINITY);
  }
}

function event(id: number, random: () => number): NewEvent {
  const severity = random() < 0.1 ? 'high' : 'info';
  return {
    kind: 'authz',
    activity: 'deny',
    severity,
    data: { count: id, path: 'x'.repeat(Math.floor(random() * 300)) },
  };
}

async function deliver(spool: Spool, cloud: Cloud, max: number, loseAcknowledgement = false): Promise<void> {
  const { epoch } = spool.head();
  for await (const record of spool.read(cloud.through(spool), max)) cloud.store(epoch, record);
  // On a disk without any room the cursor cannot be saved; that costs a resumption, nothing else.
  if (!loseAcknowledgement) await spool.acknowledged(cloud.through(spool)).catch(() => undefined);
}

/** Stores by (epoch, sequence) and never forgets; counts what it should never see. */
class Cloud {
  readonly ids = new Set<number>();
  duplicated = 0;
  readonly #chains = new Map<string, { sequence: number; chain: Buffer }>();

  get epochs(): number {
    return this.#chains.size;
  }

  through(spool: Spool): number {
    return this.#chains.get(spool.head().epoch.toString('hex'))?.sequence ?? 0;
  }

  store(epoch: Buffer, record: { sequence: number; payload: Buffer; chain: Buffer }): void {
    const name = epoch.toString('hex');
    const { sequence, chain } = this.#chains.get(name) ?? { sequence: 0, chain: chainStart(epoch) };
    const next = chainNext(chain, record.sequence, record.payload);
    if (record.sequence !== sequence + 1 || !sameBytes(next, record.chain)) {
      this.duplicated += 1;
      return;
    }
    this.#chains.set(name, { sequence: record.sequence, chain: next });
    const { data, activity } = JSON.parse(record.payload.toString()) as { data: { count: number }; activity: string };
    if (activity !== 'deny') return;
    if (this.ids.has(data.count)) this.duplicated += 1;
    this.ids.add(data.count);
  }
}

async function whereCut(files: SimulatedFiles): Promise<string> {
  return files.list('/').then(
    () => 'nowhere',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
