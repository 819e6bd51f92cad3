// What the spool has on disk, as one thing: the chain's segments, the state file, the reserve. Callers take turns
// (spool.ts serialises them); nothing here waits for anybody.
import { join } from 'node:path';
import { CodedError } from '../../runtime/errors.ts';
import { isErrno, type FileSystem } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { chainStart } from '../log/chain.ts';
import type { SpoolLimits } from '../limits.ts';
import { encodeEvent, noMasking } from './payload.ts';
import { parseSegmentName, quarantinePrefix, stateFile } from './layout.ts';
import { Losses } from './losses.ts';
import { listSegments, recover } from './recover.ts';
import { salvage } from './renew.ts';
import { Room } from './room.ts';
import { frameOverheadBytes, segmentHeaderBytes, type SpoolRecord } from './segment.ts';
import { removeIfThere, Segments, SpoolFullError, type ChainHead } from './segments.ts';
import { decodeState, encodeState, maxStateBytes, type SpoolState } from './state.ts';

export interface DiskOptions {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly limits: SpoolLimits;
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
}

export class SpoolDisk {
  readonly #options: DiskOptions;
  readonly #room: Room;
  readonly losses: Losses;
  #state: SpoolState;
  #segments: Segments;
  /** The last group of the run before is not certain yet (recover.ts). */
  #unsettled = false;

  private constructor(options: DiskOptions, room: Room, state: SpoolState, segments: Segments) {
    this.#options = options;
    this.#room = room;
    this.#state = state;
    this.#segments = segments;
    this.losses = new Losses(state.losses);
  }

  static async open(options: DiskOptions): Promise<SpoolDisk> {
    const { fs, directory, limits } = options;
    await fs.mkdir(directory);
    await discardUnfinished(fs, directory);
    const { state, lost } = await loadState(options);
    await discardOtherEpochs(fs, directory, state.epoch, lost);
    const epoch = Buffer.from(state.epoch, 'hex');
    const recovered = await recover(fs, directory, epoch, state.durable);
    const segments = new Segments({ fs, directory, ...limits }, recovered.head, recovered.files);
    const disk = new SpoolDisk(options, new Room(fs, directory, limits), state, segments);
    disk.#unsettled = recovered.unsettled;
    if (recovered.damage !== undefined) await disk.renew('damage');
    else if (lost && !disk.#unsettled) await disk.#note('state-lost');
    return disk;
  }

  get head(): ChainHead {
    return this.#segments.head;
  }

  get acknowledged(): number {
    return this.#state.acknowledged;
  }

  get bytes(): number {
    return this.#segments.bytes;
  }

  /** Lowest sequence still held; one after the head when there is none. */
  get firstSequence(): number {
    return this.#segments.files[0]?.firstSequence ?? this.head.sequence + 1;
  }

  /** One durable group. Throws ENOSPC, also at the quota; only what is urgent may use the reserve's share. */
  async write(payloads: readonly Buffer[], urgent: boolean): Promise<void> {
    const more = payloads.reduce((sum, payload) => sum + payload.length + frameOverheadBytes, segmentHeaderBytes);
    if (this.#unsettled || !this.#room.fits(this.bytes, more, urgent)) throw new SpoolFullError();
    await this.#segments.write(payloads);
  }

  read(after: number): Promise<readonly SpoolRecord[]> {
    return this.#segments.read(after);
  }

  /** The cursor is durable before a segment goes; both only when there is something to free. */
  async acknowledge(through: number): Promise<void> {
    const known = Math.max(this.#state.acknowledged, Math.min(through, this.head.sequence));
    this.#state = { ...this.#state, acknowledged: known };
    if (this.#segments.freeable(known).length === 0) return;
    await this.save();
    this.#options.fs.point?.('cursor saved');
    await this.#segments.free(known);
  }

  async save(): Promise<void> {
    const state: SpoolState = {
      ...this.#state,
      durable: Math.max(this.#state.durable, this.head.sequence),
      losses: this.losses.snapshot(),
    };
    await this.#replaceState(state);
  }

  /** So that a crash while the disk is full forgets no loss; nothing to do when none came. */
  async saveLosses(): Promise<void> {
    if (this.losses.total !== this.#state.losses.total) await this.save();
  }

  async #replaceState(state: SpoolState): Promise<void> {
    const { fs, directory } = this.#options;
    const path = join(directory, stateFile);
    try {
      await writeDurably(fs, path, encodeState(state));
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'FILE_SYSTEM_FULL') throw error;
      await this.#room.release();
      await writeDurably(fs, path, encodeState(state));
    }
    this.#state = state;
  }

  /** Ends the chain; what is not acknowledged goes on under a new epoch, behind it a gap event. */
  async renew(reason: string): Promise<void> {
    const { fs, directory, limits, random } = this.#options;
    const old = this.#segments;
    const oldState = this.#state;
    const epoch = Buffer.from(random(16));
    await this.#room.release();
    const next = new Segments({ fs, directory, ...limits }, { epoch, sequence: 0, chain: chainStart(epoch) });
    const gap = await salvage(
      {
        fs,
        directory,
        epochHex: oldState.epoch,
        files: await listSegments(fs, directory, oldState.epoch),
        acknowledged: oldState.acknowledged,
        written: Math.max(oldState.durable, old.head.sequence),
        reason,
      },
      next,
    );
    await next.write([encodeEvent(gap, this.#options.now(), noMasking)]);
    fs.point?.('epoch written');
    await this.#replaceState({
      ...freshState(epoch, this.#options.now()),
      durable: next.head.sequence,
      losses: this.losses.snapshot(),
    });
    fs.point?.('epoch named');
    this.#segments = next;
    this.#unsettled = false;
    await old.close();
    await discardOtherEpochs(fs, directory, this.#state.epoch, false);
    await this.hold();
  }

  async #note(reason: string): Promise<void> {
    const data = { reason, epoch: this.#state.epoch, count: 0, sequence: this.head.sequence };
    await this.#segments.write([
      encodeEvent({ kind: 'log', activity: 'gap', severity: 'high', data }, this.#options.now(), noMasking),
    ]);
  }

  /** Whether the disk can be written: the run before is settled and the reserve is in place. */
  async hold(): Promise<boolean> {
    return (await this.#settle()) && (await this.#room.hold());
  }

  async #settle(): Promise<boolean> {
    if (!this.#unsettled) return true;
    const { fs, directory, limits } = this.#options;
    const recovered = await recover(fs, directory, this.head.epoch, this.#state.durable);
    if (recovered.unsettled || recovered.damage !== undefined) return false;
    this.#segments = new Segments({ fs, directory, ...limits }, recovered.head, recovered.files);
    this.#unsettled = false;
    return true;
  }

  async release(): Promise<void> {
    await this.#room.release();
  }

  /** Whether a reserve and a small group would fit, by the quota. */
  get hasRoom(): boolean {
    return this.#room.fits(this.bytes, this.#options.limits.reserveBytes, true);
  }

  async close(): Promise<void> {
    await this.save();
    await this.#segments.close();
  }
}

function freshState(epoch: Uint8Array, now: number): SpoolState {
  return {
    v: 1,
    epoch: Buffer.from(epoch).toString('hex'),
    createdAtMs: Math.trunc(now),
    acknowledged: 0,
    durable: 0,
    losses: new Losses().snapshot(),
  };
}

/** The state, made durable before anything is appended when there is none. `lost` when segments survived without it. */
async function loadState(options: DiskOptions): Promise<{ state: SpoolState; lost: boolean }> {
  const { fs, directory } = options;
  const path = join(directory, stateFile);
  const found = await fs.readFile(path, maxStateBytes).then(decodeState, (error: unknown) => {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'EFBIG')) return undefined;
    throw error;
  });
  if (found !== undefined) return { state: found, lost: false };
  const survivors = (await fs.list(directory)).flatMap((name) => parseSegmentName(name) ?? []);
  const state = await stateFromSegments(options, survivors);
  await writeDurably(fs, path, encodeState(state));
  return { state, lost: survivors.length > 0 };
}

/** The epoch with most segments is the chain; the cursor starts before its first record, and the cloud says where it is. */
async function stateFromSegments(
  options: DiskOptions,
  survivors: readonly { readonly epochHex: string; readonly firstSequence: number }[],
): Promise<SpoolState> {
  const byEpoch = Map.groupBy(survivors, (segment) => segment.epochHex);
  const largest = [...byEpoch].sort(([, left], [, right]) => right.length - left.length)[0];
  if (largest === undefined) return freshState(options.random(16), options.now());
  const [epochHex, segments] = largest;
  const first = Math.min(...segments.map((segment) => segment.firstSequence));
  return { ...freshState(Buffer.from(epochHex, 'hex'), options.now()), acknowledged: first - 1 };
}

/** Temporary files of a writeDurably that a crash interrupted. */
async function discardUnfinished(fs: FileSystem, directory: string): Promise<void> {
  for (const name of await fs.list(directory)) {
    if (name.endsWith('.new')) await removeIfThere(fs, join(directory, name));
  }
}

/** What an interrupted renewal left behind. When the state was lost it may be evidence, and is only put aside. */
async function discardOtherEpochs(fs: FileSystem, directory: string, epochHex: string, keep: boolean): Promise<void> {
  const others = (await fs.list(directory)).filter((name) => {
    const parsed = parseSegmentName(name);
    return parsed !== undefined && parsed.epochHex !== epochHex;
  });
  for (const name of others) {
    if (keep) await fs.rename(join(directory, name), join(directory, `${quarantinePrefix}${name}`));
    else await removeIfThere(fs, join(directory, name));
  }
  if (others.length > 0) await fs.syncDirectory(directory);
}
