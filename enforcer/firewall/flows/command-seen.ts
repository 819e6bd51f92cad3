// Reads single elements of a set with nft(8), where netlink is not at hand. Checked with 1.0.6.
import { firewallErrors } from '../errors.ts';
import type { RunCommand } from '../run.ts';
import { flowAddress } from './flow-address.ts';
import type { FlowAddress } from './flow-address.ts';
import { SEEN_TIMEOUT_MS } from './limits.ts';
import type { ReadSeen, SeenElement } from './seen.ts';

/** `table` with its family, e.g. `inet edgeward`. Rejects with FIREWALL_FLOWS when nft fails. */
export function commandSeen(run: RunCommand, table: string): ReadSeen {
  return async (set, addresses) => {
    // One by one: of several, one that is not there hides the others.
    const found = await Promise.all(addresses.map((address) => readOne(run, `${table} ${set}`, address)));
    return found.flatMap((element) => element ?? []);
  };
}

async function readOne(run: RunCommand, set: string, address: FlowAddress): Promise<SeenElement | undefined> {
  const { code, stdout, stderr } = await run(['nft', 'get', 'element', ...set.split(' '), `{ ${address.text} }`]);
  // The kernel's word about an element; of a set or a table that is not there it is nft's own, in others.
  if (code !== 0 && /Could not process rule: No such file or directory/.test(stderr)) return undefined;
  const [element] = code === 0 ? parseSeen(stdout) : [];
  if (element !== undefined) return element;
  throw firewallErrors.error(
    'FIREWALL_FLOWS',
    `nft get element ${set}: ${stderr.trim() || 'no element in its answer'}`,
  );
}

/** Elements as nft lists them: `10.20.0.3 counter packets 6 bytes 504 expires 29d23h59m58s992ms`. */
export function parseSeen(text: string): SeenElement[] {
  const pattern = /([0-9a-f.:]+) counter packets (\d+) bytes (\d+) expires ((?:\d+(?:ms|[dhms]))+)/g;
  return [...text.matchAll(pattern)].map(([, address = '', packets, bytes, left = '']) => ({
    address: flowAddress(address),
    agoMs: Math.max(0, SEEN_TIMEOUT_MS - milliseconds(left)),
    packets: Number(packets),
    bytes: Number(bytes),
  }));
}

const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

const milliseconds = (text: string): number =>
  [...text.matchAll(/(\d+)(ms|[dhms])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units],
    0,
  );
