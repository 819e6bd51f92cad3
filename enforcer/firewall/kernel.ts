// The kernel's table through the nft program: loading, changing single elements, listing. Every refusal is coded.
import { firewallErrors } from './errors.ts';
import { parseListing } from './listing.ts';
import type { Listing } from './listing.ts';
import { TABLE } from './render.ts';
import type { CommandResult, RunCommand } from './run.ts';

/** Loads text as one transaction: all of it or nothing. */
export async function load(run: RunCommand, text: string): Promise<void> {
  const result = await run(['nft', '-f', '-'], text);
  if (result.code !== 0) throw refusal(result, text);
}

/** The table as the kernel has it; undefined when there is none. */
export async function list(run: RunCommand): Promise<Listing | undefined> {
  const result = await run(['nft', '-j', 'list', 'table', ...TABLE.split(' ')]);
  if (result.code === 0) return parseListing(result.stdout);
  if (/No such file or directory/.test(result.stderr)) return undefined;
  throw refusal(result, '');
}

/** Removes the table: from then on nothing is enforced in the kernel. */
export async function unload(run: RunCommand): Promise<void> {
  await load(run, `table ${TABLE}\ndelete table ${TABLE}\n`);
}

function refusal({ code, stderr }: CommandResult, text: string): Error {
  if (code === 127) return firewallErrors.error('FIREWALL_NO_NFT', 'the program nft is not installed');
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
