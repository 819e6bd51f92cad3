// What a living edge does for its stand-in: its event loop beats, it says who has an allowed flow, and it takes over the events
// that the stand-in recorded while it was away.
import { createBeat, createTakeOver, type HeldPeer } from '../../enforcer/standby/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { processStart } from '../../runtime/linux-process.ts';
import type { Task } from '../../runtime/tasks.ts';
import { edgePaths } from './config.ts';
import type { EdgeCore } from './core.ts';
import type { FirewallMode } from './first-rules.ts';

export interface StandbyLink {
  readonly tasks: Readonly<Record<string, Task>>;
  /** `none`: nothing is proxied here, or nothing is diverted, so there is nothing to stand in for. */
  readonly status: () => 'heard' | 'alone' | 'none';
}

/** Its tasks start when the proxies listen: the stand-in lets go then. */
export function openStandbyLink(core: EdgeCore, mode: FirewallMode, peers: () => readonly HeldPeer[]): StandbyLink {
  const { config, emit, log, stored } = core;
  const { standbySocket, standbyEvents } = edgePaths(config);
  const common = { clock: systemClock, log };
  const events = createTakeOver({ ...common, fs: stored.fs, folder: standbyEvents, emit });
  const started = processStart(process.pid);
  if (mode !== 'enforce' || config.proxies.length === 0 || started === undefined) {
    return { tasks: { standbyEvents: events }, status: () => 'none' };
  }
  const beat = createBeat({ ...common, socket: standbySocket, pid: process.pid, started, peers });
  return {
    tasks: { standbyEvents: events, beat: beat.task },
    status: () => (beat.isHeard() ? 'heard' : 'alone'),
  };
}
