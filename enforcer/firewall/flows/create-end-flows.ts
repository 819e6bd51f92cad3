// Chooses how flows are ended on this machine.
import { openNetlink } from '../../../runtime/linux-netlink.ts';
import { NETLINK } from '../../../runtime/linux-netlink-wire.ts';
import { CodedError } from '../../../runtime/errors.ts';
import type { RunCommand } from '../run.ts';
import { commandFlows } from './command-flows.ts';
import type { EndFlows } from './end-flows.ts';
import { netlinkFlows } from './netlink-flows.ts';

/** By netlink in this process; by conntrack(8) and ss(8) where koffi does not load. */
export function createEndFlows(run: RunCommand): EndFlows {
  let chosen: EndFlows | undefined;
  return (target) => {
    chosen ??= canNetlink() ? netlinkFlows() : commandFlows(run);
    return chosen(target);
  };
}

/** Other errors than a missing library (no permission) are the same for both ways, and told when flows are to end. */
function canNetlink(): boolean {
  try {
    openNetlink(NETLINK.sockDiag).close();
    return true;
  } catch (error) {
    return !(error instanceof CodedError && error.code === 'LINUX_UNAVAILABLE');
  }
}
