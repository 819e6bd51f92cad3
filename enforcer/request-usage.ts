// The counts of limited grants as an enforcement point holds them for one request: judged again, because something had
// to be waited for, the request takes nothing more.
import { type Decision, noUsage, type Usage, withdrawn } from '../policy/engine/index.ts';

export interface RequestUsage extends Usage {
  /** Whether what was taken is on disk, when that is known; undefined when nothing waits for the disk. Never rejects. */
  readonly recorded: () => Promise<boolean> | undefined;
  /** For judging again after that wait: what was taken is still taken, nothing more can be, as nobody would wait for it. */
  readonly settled: Usage;
}

/** Where no counts are kept: whatever has a limit is denied. */
export const noRequestUsage: RequestUsage = { ...noUsage, recorded: () => undefined, settled: noUsage };

/** Instead of an allow whose use did not reach the disk. */
export function unrecorded(decision: Decision): Decision {
  return withdrawn(decision, 'condition', 'the use could not be recorded');
}
