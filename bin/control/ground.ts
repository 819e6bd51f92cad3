// What every wiring of the control plane's rooms starts from.
import type { Authority } from '../../ca/cloud/index.ts';
import type { AuditLog } from '../../audit/cloud/index.ts';
import type { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Database } from '../../store/database.ts';
import type { ControlConfig } from './config.ts';
import type { Refusals } from './refusals.ts';

export interface Ground {
  readonly config: ControlConfig;
  readonly authority: Authority;
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: typeof systemClock;
  readonly logger: Logger;
  readonly log: AuditLog;
  /** The way refusals of callers take into the log. */
  readonly refusals: Refusals;
  /** Signs with the orders key. */
  readonly sign: (typ: string, payload: Uint8Array) => Promise<string>;
  readonly events: Notices;
}

/** What the stream pushes; the sides meet here because rooms are opened before the stream. */
export interface Notices {
  changed: (what: 'orders' | 'states' | 'anchors' | 'policy' | 'revocations') => void;
  revoked: (serials: readonly string[]) => void;
  reappraise: (deviceId: string) => void;
}
