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
import { measureParts, type Part } from './parts.ts';

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

export const measureFirewall = (options: BenchOptions): Promise<readonly Figure[]> => measureParts(parts, options);
