// What the chapters of the demo share: the stage they play on, and what they measure.
import type { Network, NetProcess } from '../test/support/netns.ts';
import type { Fleet } from './fleet.ts';
import type { Report } from './report.ts';
import type { HostName } from './site.ts';

export interface DemoOptions {
  readonly json: boolean;
  readonly keep: boolean;
}

export interface Stage {
  readonly net: Network<HostName>;
  readonly fleet: Fleet;
  readonly report: Report;
  readonly scratch: string;
  /** Programs that have to be found again in a later step. */
  readonly workloads: { web?: NetProcess; hmiPoller?: NetProcess; gatewayPoller?: NetProcess };
}

/** What the JSON document at the end holds besides the steps. */
export interface Measures {
  attack: { offSucceeded: boolean; onBlocked: boolean };
  detectToContainMs: number | null;
  enrolMs: number | null;
  publishToEnforcedMs: number | null;
  offline: { decisions: number; denied: number; lostEvents: number };
  process: { pollsExpected: number; pollsMissed: number; addedMsP99: number | null };
  audit: { events: number; verified: boolean };
  recovered: boolean;
}

export const noMeasures = (): Measures => ({
  attack: { offSucceeded: false, onBlocked: false },
  detectToContainMs: null,
  enrolMs: null,
  publishToEnforcedMs: null,
  offline: { decisions: 0, denied: 0, lostEvents: 0 },
  process: { pollsExpected: 0, pollsMissed: 0, addedMsP99: null },
  audit: { events: 0, verified: false },
  recovered: false,
});

/** Milliseconds between two polls of the process. */
export const pollMs = 100;
