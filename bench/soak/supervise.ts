// Keeps the control plane and the edges running while they are killed: what ends is started again after a random 0 to
// 500 ms, and for each the times from a kill until it serves again are remembered.
import { setTimeout as delay } from 'node:timers/promises';
import type { EdgeName } from '../../demo/site.ts';
import type { World } from './world.ts';

export type Program = 'control' | EdgeName;
export const programs: readonly Program[] = ['control', 'gateway-1', 'plc-1', 'hmi-1'];

/** From our kill until the process says that it serves, or ends by itself; `to` is infinite until then. */
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

/** What is supervised, and where the logs of what ended go. */
export interface Ward {
  readonly fleet: Pick<World['fleet'], 'process' | 'start' | 'outputOf'>;
  readonly keepLog: World['keepLog'];
}

export function supervise(world: Ward, name: Program, random: () => number, signal: AbortSignal): Supervised {
  const { fleet } = world;
  const outages: Outage[] = [];
  const faults: string[] = [];
  let killed = false;
  let alive = true;
  let serving = true;

  const isOpen = (): boolean => outages.at(-1)?.to === Number.POSITIVE_INFINITY;
  const end = (): void => {
    const last = outages.at(-1);
    if (last !== undefined && isOpen()) last.to = Date.now();
  };
  const tail = (): string => fleet.outputOf(name).trimEnd().split('\n').slice(-4).join('\n');

  async function keepRunning(): Promise<void> {
    while (!signal.aborted) {
      await fleet.process(name).exited;
      alive = false;
      if (signal.aborted) return;
      world.keepLog(name, fleet.outputOf(name));
      serving = false;
      if (!killed) {
        // What fails now fails by no kill of ours.
        end();
        faults.push(`${name} ended by itself: ${tail()}`);
      }
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
      if (killed) return;
      serving = true;
      end();
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
      const from = Date.now();
      // Who has ended by itself a moment ago is not killed any more.
      if (!fleet.process(name).child.kill('SIGKILL')) return false;
      killed = true;
      serving = false;
      if (!isOpen()) outages.push({ from, to: Number.POSITIVE_INFINITY });
      return true;
    },
    serving: () => serving,
  };
}
