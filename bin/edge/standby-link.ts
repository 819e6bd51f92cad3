// What a living edge does for its stand-in: its event loop beats, it says who has an allowed flow, and it takes over the events
// that the stand-in recorded while it was away.
import type { TrustedTime } from '../../enforcer/activation/index.ts';
import { createBeat, createTakeOver, type HeldPeer } from '../../enforcer/standby/index.ts';
import { enforcerDeathOf, type Slice } from '../../policy/bundle/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { processStart } from '../../runtime/linux-process.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import { edgePaths } from './config.ts';
import type { EdgeCore } from './core.ts';
import type { FirewallMode } from './first-rules.ts';

export interface StandbyLink {
  readonly tasks: Readonly<Record<string, Task>>;
  /** `none`: nothing is proxied here, or nothing is diverted, so there is nothing to stand in for. */
  readonly status: () => 'heard' | 'alone' | 'none';
  /** Interfaces that are open to packets when this edge dies. */
  readonly opens: () => readonly OpenOnDeath[];
}

export interface OpenOnDeath {
  readonly interface: string;
  /** End of the waiver, milliseconds since the epoch. */
  readonly until: number;
  readonly place: string;
}

/** Milliseconds between two looks at whether policy opens something else than before. */
const LOOK_MS = 5_000;

/** Its tasks start when the proxies listen: the stand-in lets go then. */
export function openStandbyLink(
  core: EdgeCore,
  mode: FirewallMode,
  peers: () => readonly HeldPeer[],
  slice: () => Slice | undefined,
): StandbyLink {
  const { config, emit, log, stored, trusted } = core;
  const { standbySocket, standbyEvents } = edgePaths(config);
  const common = { clock: systemClock, log };
  const events = createTakeOver({ ...common, fs: stored.fs, folder: standbyEvents, emit });
  const started = processStart(process.pid);
  if (mode !== 'enforce' || config.proxies.length === 0 || started === undefined) {
    return { tasks: { standbyEvents: events }, status: () => 'none', opens: () => [] };
  }
  const beat = createBeat({ ...common, socket: standbySocket, pid: process.pid, started, peers });
  const proxied = new Set(config.proxies.map((proxy) => proxy.interface));
  const opens = (): OpenOnDeath[] => opensOf(slice(), trusted.time()).filter((one) => proxied.has(one.interface));
  const alarm = alarmed(core, opens);
  return {
    tasks: { standbyEvents: events, beat: beat.task, alarm },
    status: () => (beat.isHeard() ? 'heard' : 'alone'),
    opens,
  };
}

/** While nobody vouches for the time a waiver may have ended, and opens nothing. */
function opensOf(slice: Slice | undefined, { now, trusted }: TrustedTime): OpenOnDeath[] {
  return (slice?.interfaces ?? []).flatMap((entry) => {
    const { name, device, openUntil: until, place } = entry;
    if (device !== slice?.device || until === undefined) return [];
    return enforcerDeathOf(entry, trusted ? now : Infinity) === 'open' ? [{ interface: name, until, place }] : [];
  });
}

/** Says it at each start, and whenever it is something else. */
function alarmed({ emit, log }: EdgeCore, opens: () => readonly OpenOnDeath[]): Task {
  let said = '[]';
  return periodically(systemClock, LOOK_MS, async () => {
    const now = opens();
    if (JSON.stringify(now) === said) return;
    said = JSON.stringify(now);
    for (const { interface: name, until, place } of now) {
      const message = `packets reach ${name} itself when this edge is dead`;
      log.error({ interface: name, until: new Date(until).toISOString() }, message);
      const data = { interface: name, until_ms: until, place, message };
      await emit({ kind: 'policy', activity: 'open-on-death', severity: 'critical', data }).catch((error: unknown) =>
        log.error({ err: error }, 'an event of an open interface was lost'),
      );
    }
  });
}
