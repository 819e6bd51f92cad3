// The closed table of what keeps a stand-in from standing in.
import { errorTable } from '../../runtime/errors.ts';

export const standbyErrors = errorTable({
  STANDBY_NOT_DIVERTED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Set firewall.mode to enforce, or do not run edgeward-standby on this host',
  },
  STANDBY_NOTHING_PROXIED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Name a proxied interface under proxies, or do not run edgeward-standby on this host',
  },
  STANDBY_EVENTS_FULL: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Start the edge: it takes over the events of its stand-in',
  },
} as const);

export type StandbyErrorCode = keyof typeof standbyErrors.codes;
