// npm run bench -- firewall: what the packet side costs and what it holds under load, changes, kills and foreign hands, in
// network namespaces of its own. Needs root, nft, ip, python3, taskset and tcpdump.
import type { BenchOptions } from './bench-options.ts';
import { measureAgreements } from './firewall/agreement-figures.ts';
import { measureApply } from './firewall/apply.ts';
import { measureConnects } from './firewall/connect.ts';
import { measureDenials } from './firewall/denials.ts';
import { measureFleet } from './firewall/fleet.ts';
import { measureIsland } from './firewall/island.ts';
import { measureKills } from './firewall/kills.ts';
import { measurePackets } from './firewall/packets.ts';
import { measureRevocation } from './firewall/revocation.ts';
import { measureSwaps } from './firewall/swap.ts';
import { measureTamper } from './firewall/tamper.ts';
import type { Figure } from './machine.ts';

type Part = (options: BenchOptions) => Promise<readonly Figure[]> | readonly Figure[];

/** In this order; a part that fails leaves one figure without a value, and the others are measured all the same. */
const parts: Readonly<Record<string, Part>> = {
  connect: measureConnects,
  apply: measureApply,
  swap: measureSwaps,
  kills: measureKills,
  denials: measureDenials,
  revocation: measureRevocation,
  tamper: measureTamper,
  island: measureIsland,
  packets: measurePackets,
  agreement: measureAgreements,
  fleet: measureFleet,
};

export async function measureFirewall(options: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const [name, part] of Object.entries(parts)) figures.push(...(await attempt(name, part, options)));
  return figures;
}

/** The figures of a part; one that says why there are none where it fails or has nothing to say. */
export async function attempt(name: string, part: Part, options: BenchOptions): Promise<readonly Figure[]> {
  const without = (reason: string): Figure[] => [
    { id: `${name}Figures`, value: null, unit: '', goal: 'every figure of this part', met: false, against: {}, reason },
  ];
  try {
    const figures = await part(options);
    return figures.length === 0 ? without('the part has no figures') : figures;
  } catch (error) {
    return without(error instanceof Error ? error.message : String(error));
  }
}
