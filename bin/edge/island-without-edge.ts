// Island mode said by root while no edge runs: into the kernel's rules, which are in force without it, and onto the disk for
// the next start, which tells the log. Holds the state directory meanwhile, so that no edge starts between the two.
import { randomBytes } from 'node:crypto';
import { hostBoot } from '../../enforcer/activation/index.ts';
import { islandChange, nftTable, runCommand } from '../../enforcer/firewall/index.ts';
import {
  enterLocally,
  type IslandRecord,
  islandErrors,
  type IslandStatus,
  isOrdered,
  type KernelIsland,
  kernelStateOf,
  leaveLocally,
  type Position,
  readIsland,
  statusOf,
  writeIsland,
} from '../../enforcer/island/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type FileSystem, nodeFiles } from '../../store/files.ts';
import { lockInstance } from '../../store/instance-lock.ts';
import type { EdgeConfig } from './config.ts';
import type { IslandRequest } from './local-socket.ts';

/** What the disk says for the kernel; a record that cannot be read is island mode. Nobody knows the time yet. */
export async function storedIsland(fs: FileSystem, stateDir: string): Promise<KernelIsland> {
  const { record, damaged } = await readIsland(fs, stateDir);
  return damaged ? { on: true } : kernelStateOf(record, await placeInTime(fs));
}

async function placeInTime(fs: FileSystem): Promise<Position> {
  const boot = await hostBoot(fs, randomBytes(16).toString('hex'));
  return { boot: boot.id, uptimeMs: boot.uptimeMs(), now: systemClock.now(), trusted: false };
}

/** Into the table that an edge left behind. Without one there is nothing that island mode could close, and it is said. */
async function intoKernel(state: KernelIsland): Promise<void> {
  const table = nftTable(runCommand);
  if ((await table.read()) !== undefined) await table.change(islandChange(state, systemClock.now()), systemClock.now());
  else if (state.on)
    throw islandErrors.error('ISLAND_NOT_ENFORCED', 'the kernel holds no rules of an edge; the next start has it');
}

/** Puts it into the table in force; resolves also where packets are not filtered. */
export type SetKernelIsland = (state: KernelIsland) => Promise<void>;

/** Throws INSTANCE_RUNNING for an edge that runs and does not answer, ISLAND_* for what is refused. */
export async function islandWithoutEdge(
  config: EdgeConfig,
  request: IslandRequest,
  kernel: SetKernelIsland = config.firewall.mode === 'enforce' ? intoKernel : noKernel,
): Promise<IslandStatus> {
  const lock = lockInstance(config.state, 'an edge that does not answer');
  try {
    const position = await placeInTime(nodeFiles);
    return await changeStored({ fs: nodeFiles, stateDir: config.state, position, kernel }, request);
  } finally {
    lock.release();
  }
}

export interface StoredChange {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly position: Position;
  readonly kernel: SetKernelIsland;
}

/** Closing tries both whatever fails; opening is on disk before the kernel opens. */
export async function changeStored(
  { fs, stateDir, position, kernel }: StoredChange,
  { action, by, reason }: IslandRequest,
): Promise<IslandStatus> {
  const { record, untold } = await readIsland(fs, stateDir);
  // The bundle is not read here: without its lease only a person or an order ends it.
  const after =
    action === 'on' ? enterLocally(record, { by, reason, leaseMs: undefined }, position) : leave(record, position);
  const told = [...untold, { at: position.now, activity: `island-${action}` as const, by, reason }];
  const state = kernelStateOf(after, position);
  if (state.on) {
    const done = await Promise.allSettled([kernel(state), writeIsland(fs, stateDir, after, told)]);
    for (const result of done) if (result.status === 'rejected') throw result.reason;
  } else {
    await writeIsland(fs, stateDir, after, told);
    await kernel(state);
  }
  return statusOf(after, position);
}

function leave(record: IslandRecord, position: Position): IslandRecord {
  if (isOrdered(record, position)) {
    throw islandErrors.error('ISLAND_ORDERED', 'the control plane ordered island mode');
  }
  return leaveLocally(record);
}

const noKernel: SetKernelIsland = () => Promise.resolve();
