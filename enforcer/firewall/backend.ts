// Which way to the kernel: netlink, and the nft program where that cannot be.
import { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { type KernelTable, nftTable } from './kernel.ts';
import { netlinkTable } from './netlink/index.ts';
import type { RunCommand } from './run.ts';

/** `auto`: netlink, or nft where netlink cannot be. */
export type FirewallBackend = 'auto' | 'netlink' | 'nft';

/** Netlink is not to be had at all; a missing right would be missing to nft too. */
const absent = new Set(['LINUX_UNAVAILABLE', 'LINUX_CALL']);

/**
 * The kernel's table of this process's network namespace. Chosen at the first operation, whose error says what is missing.
 * `open` is for tests.
 */
export function kernelTable(
  backend: FirewallBackend,
  run: RunCommand,
  log: Logger,
  open: () => KernelTable = () => netlinkTable(undefined, { own: true }),
): KernelTable {
  if (backend === 'nft') return nftTable(run);
  let chosen: KernelTable | undefined;
  const choose = (): KernelTable => {
    chosen ??= backend === 'netlink' ? open() : opened(open, run, log);
    return chosen;
  };
  return {
    get backend() {
      return chosen?.backend ?? 'netlink';
    },
    get owned() {
      return chosen?.owned ?? false;
    },
    replace: async (table, now) => {
      const kernel = choose();
      const before = kernel.owned;
      await kernel.replace(table, now);
      if (kernel.owned === before) return;
      if (kernel.owned === true) log.info('firewall: no other program can change the table while this one runs');
      else log.warn('firewall: the kernel is older than 6.9: others can change the table, which is noticed and undone');
    },
    change: async (change, now) => await choose().change(change, now),
    read: async () => await choose().read(),
    wrote: (commit) => chosen?.wrote(commit) === true,
    remove: async () => await choose().remove(),
    close: () => chosen?.close(),
  };
}

function opened(open: () => KernelTable, run: RunCommand, log: Logger): KernelTable {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof CodedError) || !absent.has(error.code)) throw error;
    log.error(
      { err: error },
      'firewall: netlink cannot be used; rules go through the nft program, and every change takes milliseconds longer',
    );
    return nftTable(run);
  }
}
