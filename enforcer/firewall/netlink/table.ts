// The kernel's table by netlink, without starting a program: the same port as the nft program's in kernel.ts.
import { openNetlink } from '../../../runtime/linux-netlink.ts';
import { NETLINK } from '../../../runtime/linux-netlink-wire.ts';
import type { TableChange } from '../change.ts';
import type { KernelTable } from '../kernel.ts';
import type { Ruleset } from '../plan.ts';
import { TABLE } from '../render.ts';
import { Batch } from './batch.ts';
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
export function netlinkTable(namespace?: string): KernelTable {
  const socket = openNetlink(NETLINK.netfilter, {
    sendBufferBytes: SEND_BUFFER_BYTES,
    ...(namespace === undefined ? {} : { namespace }),
  });
  const contents = new ContentCache();
  return {
    backend: 'netlink',
    replace: async (table, now) => {
      await Promise.resolve(replacement(table, now).commit(socket));
    },
    change: async (change, now) => {
      await Promise.resolve(changing(change, now).commit(socket));
    },
    read: async () => await Promise.resolve(readTable(socket, tableName, contents)),
    wrote: ({ port }) => port === socket.port,
    remove: async () => {
      await Promise.resolve(new Batch(tableName).addTable().deleteTable().commit(socket));
    },
    close: () => socket.close(),
  };
}

/** The transaction that makes the kernel's table this one, whatever it was. */
export function replacement(table: Ruleset, now: number): Batch {
  const elements = table.sets.reduce((sum, set) => sum + set.elements.length, 0);
  // Adding before deleting makes the deletion valid also when there is no table yet.
  const batch = new Batch(tableName, { expectedBytes: 65_536 + elements * ELEMENT_BYTES });
  batch.addTable().deleteTable().addTable();
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
