// Chooses how flows are ended and seen on this machine.
import { openNetlink } from '../../../runtime/linux-netlink.ts';
import { NETLINK } from '../../../runtime/linux-netlink-wire.ts';
import { CodedError } from '../../../runtime/errors.ts';
import { TABLE, TABLE_NAME } from '../render.ts';
import type { RunCommand } from '../run.ts';
import { commandFlows } from './command-flows.ts';
import { commandSeen } from './command-seen.ts';
import type { EndFlows } from './end-flows.ts';
import { netlinkFlows } from './netlink-flows.ts';
import { netlinkSeen } from './netlink-seen.ts';
import type { ReadSeen } from './seen.ts';

export interface FlowAccess {
  readonly end: EndFlows;
  readonly seen: ReadSeen;
}

/** By netlink in this process; by conntrack(8), ss(8) and nft(8) where koffi does not load. */
export function flowAccess(run: RunCommand): FlowAccess {
  let chosen: FlowAccess | undefined;
  const choose = (): FlowAccess => (chosen ??= canNetlink() ? netlinkAccess() : commandAccess(run));
  return {
    end: (target) => choose().end(target),
    seen: (set, addresses) => choose().seen(set, addresses),
  };
}

/** `namespace`: path of another network namespace than the process's own. */
export const netlinkAccess = (namespace?: string): FlowAccess => ({
  end: netlinkFlows(namespace),
  seen: netlinkSeen(TABLE_NAME, namespace),
});

export const commandAccess = (run: RunCommand): FlowAccess => ({
  end: commandFlows(run),
  seen: commandSeen(run, TABLE),
});

/** Other errors than a missing library (no permission) are the same for both ways, and told when they are needed. */
function canNetlink(): boolean {
  try {
    openNetlink(NETLINK.sockDiag).close();
    return true;
  } catch (error) {
    return !(error instanceof CodedError && error.code === 'LINUX_UNAVAILABLE');
  }
}
