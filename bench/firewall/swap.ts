// Whole generations come and go, 10,000 entries each, while granted and denied datagrams pour in: none of the granted may be
// missing behind every filter, none of the denied may be seen there. Swaps are the product's own: armed, read back, confirmed.
import { setTimeout as delay } from 'node:timers/promises';
import { createFirewall, netlinkAccess, netlinkTable } from '../../enforcer/firewall/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { host, ports } from '../../test/firewall/cell.ts';
import { createNetwork } from '../../test/support/netns.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, spread, unmeasured } from '../machine.ts';
import { type Flooded, floodFrom } from './flood.ts';
import { inTemporaryFolder } from '../temporary-folder.ts';
import {
  CLOSED_PORT,
  clientHost,
  FIRST_PEER,
  FIRST_STRANGER,
  namespacePath,
  otherRules,
  planOfPeers,
  routePeers,
  scriptOf,
  serverHost,
  witness,
} from './world.ts';

const ENTRIES = 10_000;
const PER_SECOND = 40_000;
/** Asked of the sender, which falls behind a little now and then. */
const AIM = 1.02 * PER_SECOND;
const DENIED_PER_SECOND = 2_000;

export interface Swaps {
  readonly entries: number;
  /** Generations that were armed and confirmed while packets came, and how long each took. */
  readonly swapMs: readonly number[];
  readonly generations: number;
  readonly granted: Flooded & { readonly arrived: number; readonly accepted: number };
  readonly denied: Flooded & { readonly arrived: number; readonly accepted: number };
  /** The same flood without a swap, just before. */
  readonly calm: { readonly sent: number; readonly accepted: number };
}

const specs = {
  lost: {
    id: 'swapLost',
    unit: 'packets',
    goal: { relation: 'exactly', value: 0, text: 'swap of 10,000 entries under 40,000 packets/s: 0 lost' },
  },
  wrong: {
    id: 'swapWronglyAccepted',
    unit: 'packets',
    goal: { relation: 'exactly', value: 0, text: '0 wrongly accepted' },
  },
  rate: {
    id: 'swapPacketsPerSecond',
    unit: 'packets/s',
    goal: { relation: 'at least', value: PER_SECOND, text: 'under 40,000 packets/s' },
  },
} as const satisfies Record<string, FigureSpec>;

export async function measureSwaps({ quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  progress(`swaps of ${ENTRIES} entries under ${PER_SECOND} packets a second`);
  return swapFigures(await measure(quick ? 5 : 30));
}

async function measure(swaps: number): Promise<Swaps> {
  return await inTemporaryFolder(async (directory) => {
    await using net = await createNetwork({ hosts: { plc: serverHost(), client: clientHost } });
    await routePeers(net, 'client', ['plc']);
    // Somebody has the port, so that no ICMP errors come back; nobody reads.
    const sink = net.spawn('plc', ['python3', scriptOf('sink.py'), String(ports.telemetry), String(CLOSED_PORT)]);
    await sink.waitFor(/ready/);
    const kernel = netlinkTable(namespacePath(net, 'plc'));
    const firewall = createFirewall({
      run: (argv, input) => net.exec('plc', argv, input === undefined ? {} : { input }),
      kernel,
      flows: netlinkAccess(namespacePath(net, 'plc')),
      fs: nodeFiles,
      directory,
      clock: systemClock,
      log: createLogger({ name: 'bench', level: 'silent' }),
      emit: async () => undefined,
      control: () => host.controlEndpoints,
      closeStreams: () => 0,
    });
    const plans = [otherRules, []].map(
      (rules) => (bundle: number) =>
        planOfPeers({ peers: ENTRIES, epoch: bundle, bundle, firewall: rules, services: ['telemetry'] }),
    );
    await firewall.apply(plans[1]!(1));
    const matches = {
      granted: `ip saddr 10.64.0.0/15 udp dport ${ports.telemetry}`,
      stranger: `ip saddr 10.67.0.0/16 udp dport ${ports.telemetry}`,
      closed: `udp dport ${CLOSED_PORT}`,
    };
    const names = (prefix: string) =>
      Object.fromEntries(Object.entries(matches).map(([name, match]) => [`${prefix}_${name}`, match]));
    const seen = await witness(net, 'plc', names('arrived'), names('accepted'));
    const flood = (port: number, from: [string, number], perSecond: number, seconds: number) =>
      floodFrom(net, 'client', { port, from, perSecond, seconds });

    const calmFlood = await flood(ports.telemetry, [FIRST_PEER, ENTRIES], AIM, 2);
    const calm = await calmFlood.start().over;
    await delay(200);
    const before = await seen.counts();

    const started = [
      await flood(ports.telemetry, [FIRST_PEER, ENTRIES], AIM, 600),
      await flood(ports.telemetry, [FIRST_STRANGER, ENTRIES], DENIED_PER_SECOND, 600),
      await flood(CLOSED_PORT, [FIRST_PEER, ENTRIES], DENIED_PER_SECOND, 600),
    ].map((one) => one.start());
    await delay(300);
    const slotBefore = firewall.state()?.live.slot ?? 0;
    const swapMs: number[] = [];
    for (let swap = 0; swap < swaps; swap += 1) {
      const plan = plans[swap % 2]!(swap + 2);
      const begun = performance.now();
      await firewall.apply(plan);
      swapMs.push(performance.now() - begun);
    }
    await delay(300);
    for (const one of started) one.stop();
    const [granted, stranger, closed] = await Promise.all(started.map((one) => one.over));
    await delay(300);
    const after = await seen.counts();
    const since = (name: string): number => (after[name] ?? Number.NaN) - (before[name] ?? Number.NaN);
    const both = (kind: 'arrived' | 'accepted'): number => since(`${kind}_stranger`) + since(`${kind}_closed`);
    const generations = (firewall.state()?.live.slot ?? 0) - slotBefore;
    kernel.close();
    return {
      entries: ENTRIES,
      swapMs,
      generations,
      granted: { ...granted!, arrived: since('arrived_granted'), accepted: since('accepted_granted') },
      denied: {
        sent: stranger!.sent + closed!.sent,
        refused: stranger!.refused + closed!.refused,
        seconds: Math.max(stranger!.seconds, closed!.seconds),
        arrived: both('arrived'),
        accepted: both('accepted'),
      },
      calm: { sent: calm.sent, accepted: before['accepted_granted'] ?? Number.NaN },
    };
  });
}

export function swapFigures({ entries, swapMs, generations, granted, denied, calm }: Swaps): Figure[] {
  const perSecond = granted.sent / granted.seconds;
  const against = {
    entries,
    swaps: generations,
    swapMs: spread(swapMs),
    packets: granted.sent,
    perSecond: Math.round(perSecond),
    // Before any filter: what a full queue of the machine lost has nothing to do with the rules.
    lostBeforeFilters: granted.sent - granted.arrived,
    lostWithoutSwaps: calm.sent - calm.accepted,
  };
  const fault =
    generations < swapMs.length || swapMs.length < 5
      ? `${generations} generations in ${swapMs.length} swaps`
      : granted.accepted === 0
        ? 'nothing was accepted'
        : denied.arrived === 0
          ? 'no denied packet arrived'
          : undefined;
  if (fault !== undefined) return Object.values(specs).map((spec) => unmeasured(spec, fault, against));
  return [
    figure(specs.lost, granted.sent - granted.accepted, against),
    figure(specs.wrong, denied.accepted, { deniedPackets: denied.arrived }),
    figure(specs.rate, perSecond, { refusedBySender: granted.refused }),
  ];
}
