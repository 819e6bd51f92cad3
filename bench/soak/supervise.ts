// Keeps the control plane and the edges running while they are killed: what ends is started again after a random 0 to
// 500 ms, and for each the times from a kill until it serves again are remembered.
import { setTimeout as delay } from 'node:timers/promises';
import type { EdgeName } from '../../demo/site.ts';
import type { World } from './world.ts';

export type Program = 'control' | EdgeName;
export const programs: readonly Program[] = ['control', 'gateway-1', 'plc-1', 'hmi-1'];

/** From the kill until the process says that it serves; `to` is infinite while it does not. */
export interface Outage {
  readonly from: number;
  to: number;
}

export interface Supervised {
  readonly name: Program;
  readonly outages: readonly Outage[];
  /** Ends and failed starts that the soak did not cause, with the end of their output. */
  readonly faults: readonly string[];
  /** kill -9; false when there is no process at the moment. */
  kill(): boolean;
  serving(): boolean;
}

const longestRestartPauseMs = 500;

export function supervise(world: World, name: Program, random: () => number, signal: AbortSignal): Supervised {
  const { fleet } = world;
  const outages: Outage[] = [];
  const faults: string[] = [];
  let killed = false;
  let alive = true;
  let serving = true;

  const begin = (): void => {
    if (serving) outages.push({ from: Date.now(), to: Number.POSITIVE_INFINITY });
    serving = false;
  };
  const tail = (): string => fleet.outputOf(name).trimEnd().split('\n').slice(-4).join('\n');

  async function keepRunning(): Promise<void> {
    while (!signal.aborted) {
      await fleet.process(name).exited;
      alive = false;
      if (signal.aborted) return;
      world.keepLog(name, fleet.outputOf(name));
      if (!killed) faults.push(`${name} ended by itself: ${tail()}`);
      begin();
      killed = false;
      await delay(random() * longestRestartPauseMs);
      await restart();
    }
  }

  async function restart(): Promise<void> {
    const started = fleet.start(name);
    // Spawned by now, and to be killed even while it starts.
    alive = true;
    try {
      await started;
      serving = true;
      const last = outages.at(-1);
      if (last !== undefined) last.to = Date.now();
    } catch (error) {
      if (killed) return;
      faults.push(`${name} did not start: ${error instanceof Error ? error.message.slice(-600) : String(error)}`);
      fleet.process(name).child.kill('SIGKILL');
    }
  }

  void keepRunning().catch((error: unknown) => faults.push(`${name}: ${String(error)}`));
  return {
    name,
    outages,
    faults,
    kill: () => {
      if (!alive || killed) return false;
      killed = true;
      begin();
      return fleet.process(name).child.kill('SIGKILL');
    },
    serving: () => serving,
  };
}
