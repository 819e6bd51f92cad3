// Real first packets against the plans of random policies, in namespaces: each has to be dropped by the rule that the policy
// means, or seen by a witness table behind the firewall.
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../../runtime/clock.ts';
import { addresses, firewallOn, hosts, openCell } from '../cell.ts';
import type { Cell as Net, CellHost } from '../cell.ts';
import { answerOf } from './agree.ts';
import { evaluate } from './evaluate.ts';
import type { Cell, World } from './evaluate.ts';
import { NOW, planFor, randomWorld, seeded } from './random-world.ts';

export interface KernelAgreement {
  /** Real packets whose fate is known. */
  readonly packets: number;
  readonly accepted: number;
  readonly policies: number;
  /** Packets that neither the firewall's log nor the witness saw. */
  readonly unseen: number;
  readonly disagreements: readonly {
    readonly cell: Cell;
    readonly policy: string;
    readonly plan: string;
    readonly kernel: string;
  }[];
}

const senders = [
  { host: 'gateway', source: addresses.gateway.cell, destination: addresses.plc.cell, inInterface: 'eth0' },
  { host: 'gateway', source: addresses.gateway.cell6, destination: addresses.plc.cell6, inInterface: 'eth0' },
  { host: 'camera', source: addresses.camera.cell, destination: addresses.plc.cell, inInterface: 'eth0' },
  { host: 'camera', source: addresses.camera.cell6, destination: addresses.plc.cell6, inInterface: 'eth0' },
  { host: 'historian', source: addresses.historian.plant, destination: addresses.plc.plant, inInterface: 'eth1' },
] as const;
const servicePorts = [22, 53, 502, 5_000, 5_001, 8_080, 8_081, 8_443];
const witness = `table inet witness {
  chain input {
    type filter hook input priority 300
    log prefix "seen" group 6
  }
}
`;

/** Rates and numbers of connections depend on what else was sent: they are left to the random cells. */
const withoutLimits = (world: World): World => ({
  ...world,
  slice: {
    ...world.slice,
    firewall: world.slice.firewall.map((rule) => {
      const { rate, maxConnections, ...rest } = rule;
      return rate === undefined && maxConnections === undefined ? rule : rest;
    }),
  },
});

export async function probeKernel(options: {
  readonly policies: number;
  readonly packetsPerPolicy: number;
  readonly seed: number;
}): Promise<KernelAgreement> {
  await using net = await openCell();
  // Windows open and close by the time of the policies, which stands still.
  await using firewall = await firewallOn(net, 'plc', { clock: { ...systemClock, now: () => NOW } });
  const { code, stderr } = await net.exec('plc', ['nft', '-f', '-'], { input: witness });
  if (code !== 0) throw new Error(`the witness table: ${stderr}`);
  const seen = await logOf(net);
  const random = seeded(options.seed);
  const total = { packets: 0, accepted: 0, unseen: 0, disagreements: [] as KernelAgreement['disagreements'][number][] };
  let sport = 10_000;
  for (let policy = 0; policy < options.policies; policy += 1) {
    const world = withoutLimits(randomWorld(random));
    const plan = planFor(world);
    await firewall.apply(plan);
    const cells = Array.from({ length: options.packetsPerPolicy }, () => {
      const sender = senders[Math.floor(random() * senders.length)]!;
      const protocol = random() < 0.5 ? ('udp' as const) : ('tcp' as const);
      const dport = servicePorts[Math.floor(random() * servicePorts.length)]!;
      sport = sport >= 60_000 ? 10_000 : sport + 1;
      return { sender, cell: cellOf(sender, protocol, sport, dport) };
    });
    seen.clear();
    for (const host of ['gateway', 'camera', 'historian'] as const)
      await send(
        net,
        host,
        cells.filter(({ sender }) => sender.host === host).map(({ cell }) => cell),
      );
    for (let tries = 0; tries < 100 && cells.some(({ cell }) => !seen.has(keyOf(cell))); tries += 1) await delay(20);
    for (const { cell } of cells) {
      const kernel = seen.get(keyOf(cell));
      if (kernel === undefined) {
        total.unseen += 1;
        continue;
      }
      const answers = { policy: evaluate(world, cell), plan: answerOf(plan, cell, world.now), kernel };
      total.packets += 1;
      total.accepted += kernel === 'accept' ? 1 : 0;
      if (answers.policy !== kernel || answers.plan !== kernel) total.disagreements.push({ cell, ...answers });
    }
  }
  return { ...total, policies: options.policies };
}

type Sender = (typeof senders)[number];

function cellOf(
  { host, source, destination, inInterface }: Sender,
  protocol: 'udp' | 'tcp',
  sport: number,
  dport: number,
): Cell {
  const mac = hosts[host].interfaces.eth0.mac;
  const rest = {
    state: 'new',
    direction: 'original',
    admitted: false,
    proxyListens: [],
    overLimits: false,
  } as const;
  return { way: 'in', source, destination, protocol, sport, dport, inInterface, mac, ...rest };
}

const keyOf = ({ source, sport }: { readonly source?: string; readonly sport?: number }): string =>
  `${source} ${sport}`;

/** What became of each first packet, by source and port; observing rules and later packets of a flow change nothing. */
async function logOf(net: Net): Promise<Map<string, string>> {
  const seen = new Map<string, string>();
  const reader = net.spawn('plc', [process.execPath, join(import.meta.dirname, 'nflog-process.ts')]);
  await reader.waitFor(/reads/);
  createInterface({ input: reader.child.stdout! }).on('line', (line) => {
    if (!line.startsWith('{')) return;
    const {
      group,
      prefix = '',
      source,
      sport,
    } = JSON.parse(line) as { group: number; prefix?: string; source?: string; sport?: number };
    const rule = group === 6 ? 'accept' : prefix.replace(/^ew:/, '');
    const key = keyOf({ ...(source === undefined ? {} : { source }), ...(sport === undefined ? {} : { sport }) });
    if (rule.startsWith('observe') || seen.has(key)) return;
    seen.set(key, rule);
  });
  return seen;
}

async function send(net: Net, host: CellHost, cells: readonly Cell[]): Promise<void> {
  const lines = cells.map(
    ({ protocol, source, sport, destination, dport }) => `${protocol} ${source} ${sport} ${destination} ${dport}\n`,
  );
  const { code, stderr } = await net.exec(host, ['python3', join(import.meta.dirname, 'send-probes.py')], {
    input: lines.join(''),
  });
  if (code !== 0) throw new Error(`the probes of ${host}: ${stderr}`);
}
