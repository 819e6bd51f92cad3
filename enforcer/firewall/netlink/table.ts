// The kernel's table by netlink, without starting a program: the same port as the nft program's in kernel.ts.
import { CodedError } from '../../../runtime/errors.ts';
import { openNetlink } from '../../../runtime/linux-netlink.ts';
import { NETLINK } from '../../../runtime/linux-netlink-wire.ts';
import type { TableChange } from '../change.ts';
import type { KernelTable } from '../kernel.ts';
import type { Ruleset } from '../plan.ts';
import { TABLE } from '../render.ts';
import { Batch } from './batch.ts';
import { TABLE_FLAG } from './codes.ts';
import { ContentCache } from './content.ts';
import { readTable } from './read.ts';

const [, tableName = ''] = TABLE.split(' ');
/** Enough for a transaction of 500,000 elements. */
const SEND_BUFFER_BYTES = 64 * 1024 * 1024;
/** Bytes of a message for one element with a comment, about. */
const ELEMENT_BYTES = 80;

/**
 * The table of a network namespace (its path; default: this process's). Throws LINUX_UNAVAILABLE where koffi does not
 * load, LINUX_PERMISSION without CAP_NET_ADMIN.
 */
export function netlinkTable(namespace?: string, options: { readonly own?: boolean } = {}): KernelTable {
  const socket = openNetlink(NETLINK.netfilter, {
    sendBufferBytes: SEND_BUFFER_BYTES,
    ...(namespace === undefined ? {} : { namespace }),
  });
  const contents = new ContentCache();
  /** Found out with the first whole table. */
  let ownable: boolean | undefined = options.own === true ? undefined : false;
  let owned: NonNullable<KernelTable['owned']> = false;
  return {
    backend: 'netlink',
    get owned() {
      return owned;
    },
    replace: async (table, now) => {
      ownable ??= await Promise.resolve(canOwn(socket));
      replacement(table, now, ownable ? OWNED : 0).commit(socket);
      owned = ownable || (options.own === true ? 'unsupported' : false);
    },
    change: async (change, now) => {
      await Promise.resolve(changing(change, now).commit(socket));
    },
    read: async () => await Promise.resolve(readTable(socket, tableName, contents)),
    wrote: ({ port }) => port === socket.port,
    remove: async () => {
      await Promise.resolve(new Batch(tableName).addTable().deleteTable().commit(socket));
      owned = false;
    },
    close: () => socket.close(),
  };
}

/** The table is this socket's alone as long as it is open, and stays when it is closed. `owner` alone would take the table along. */
const OWNED = TABLE_FLAG.owner | TABLE_FLAG.persist;

/** Kernels before 6.9 do not know `persist`. Nothing is left of the attempt. */
function canOwn(socket: Parameters<Batch['commit']>[0]): boolean {
  try {
    new Batch(`${tableName}_probe`).addTable(OWNED).deleteTable().commit(socket);
    return true;
  } catch (error) {
    if (error instanceof CodedError && error.code === 'FIREWALL_KERNEL_REFUSED') return false;
    throw error;
  }
}

/** The transaction that makes the kernel's table this one, whatever it was. */
export function replacement(table: Ruleset, now: number, flags: number = 0): Batch {
  const elements = table.sets.reduce((sum, set) => sum + set.elements.length, 0);
  // Adding before deleting makes the deletion valid also when there is no table yet.
  const batch = new Batch(tableName, { expectedBytes: 65_536 + elements * ELEMENT_BYTES });
  batch.addTable().deleteTable().addTable(flags);
  for (const chain of table.chains) batch.addChain(chain);
  for (const set of table.sets) batch.addSet(set).addElements(set, set.elements, now, true);
  for (const chain of table.chains) batch.addRules(chain);
  return batch;
}

/** In the order in which nothing refers to what is not there. */
export function changing(change: TableChange, now: number): Batch {
  const batch = new Batch(tableName);
  for (const chain of change.addChains) batch.addChain(chain);
  for (const set of change.addSets) batch.addSet(set).addElements(set, set.elements, now, true);
  for (const { set, elements } of change.removeElements) batch.deleteElements(set, elements, now);
  for (const { set, elements } of change.addElements) batch.addElements(set, elements, now, false);
  for (const { name } of change.fillChains) batch.flushChain(name);
  for (const chain of [...change.addChains, ...change.fillChains]) batch.addRules(chain);
  for (const name of change.removeChains) batch.flushChain(name);
  for (const set of change.removeSets) batch.deleteSet(set.name);
  for (const name of change.removeChains) batch.deleteChain(name);
  return batch;
}
