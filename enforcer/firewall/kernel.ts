// The port to the kernel's table, and the one that works everywhere: the nft program. Every refusal is coded.
import { type TableChange, isEmpty } from './change.ts';
import { firewallErrors } from './errors.ts';
import { parseListing } from './listing.ts';
import type { Listing } from './listing.ts';
import type { Ruleset } from './plan.ts';
import { renderChange, renderNft, TABLE } from './render.ts';
import type { CommandResult, RunCommand } from './run.ts';

/** One table of one kernel. Each operation is one transaction: all of it or nothing, and packets never meet half of it. */
export interface KernelTable {
  /** `none`: in no kernel, see simulated-table.ts. */
  readonly backend: 'nft' | 'netlink' | 'none';
  /** Only this process can change the table while it lives; absent or false where nobody asked for it. */
  readonly owned?: boolean | 'unsupported';
  /** Whatever the table was, afterwards it is this one. `now` turns end dates into timers, milliseconds since the epoch. */
  replace(table: Ruleset, now: number): Promise<void>;
  /** From a table that is known to be there to another. */
  change(change: TableChange, now: number): Promise<void>;
  /** The table as the kernel has it; undefined when there is none. */
  read(): Promise<Listing | undefined>;
  /** This process made the commit: `pid` and `port` as the kernel names them. Of a commit that has been answered for. */
  wrote(commit: { readonly pid: number; readonly port: number }): boolean;
  /** Removes the table: from then on nothing is enforced in the kernel. */
  remove(): Promise<void>;
  close(): void;
}

/** Programs that were started to load something and whose commit nobody has asked about. */
const MAX_OWN_PIDS = 64;

export function nftTable(run: RunCommand): KernelTable {
  const own = new Set<number>();
  const load = async (text: string): Promise<void> => {
    const result = await run(['nft', '-f', '-'], text);
    if (result.pid !== undefined) own.add(result.pid);
    for (const pid of own) {
      if (own.size <= MAX_OWN_PIDS) break;
      own.delete(pid);
    }
    if (result.code !== 0) throw refusal(result, text);
  };
  return {
    backend: 'nft',
    replace: async (table, now) => await load(renderNft(table, now)),
    change: async (change, now) => {
      if (!isEmpty(change)) await load(renderChange(change, now));
    },
    read: async () => {
      const list = (...options: string[]) => run(['nft', ...options, 'list', 'table', ...TABLE.split(' ')]);
      const [result, terse] = await Promise.all([list('-j', '-p'), list('-s', '-t', '-n')]);
      if (result.code === 0) return parseListing(result.stdout, terse.stdout);
      if (/No such file or directory/.test(result.stderr)) return undefined;
      throw refusal(result, '');
    },
    // Each program commits once. In a container the kernel names it by another number, but its socket by this one.
    wrote: ({ pid, port }) => own.delete(pid) || own.delete(port),
    remove: async () => await load(`table ${TABLE}\ndelete table ${TABLE}\n`),
    close: () => undefined,
  };
}

function refusal({ code, stderr }: CommandResult, text: string): Error {
  if (code === 127) return firewallErrors.error('FIREWALL_NO_NFT', 'the program nft is not installed');
  if (code < 0) {
    return firewallErrors.error('FIREWALL_NO_ANSWER', `the program nft was ended before it answered: ${stderr.trim()}`);
  }
  if (/Operation not permitted|must be root/.test(stderr)) {
    return firewallErrors.error('FIREWALL_PERMISSION', 'the kernel does not let this process change its firewall');
  }
  const [first = ''] = stderr.trim().split('\n');
  // nft names the place as /dev/stdin:LINE:COLUMNS; the line itself says more than the message.
  const line = /stdin:(\d+):/.exec(first)?.[1];
  const source = line === undefined ? undefined : text.split('\n')[Number(line) - 1]?.trim();
  const what = first === '' ? `nft ended with code ${code}` : first;
  return firewallErrors.error('FIREWALL_KERNEL_REFUSED', source === undefined ? what : `${what}; line: ${source}`);
}
