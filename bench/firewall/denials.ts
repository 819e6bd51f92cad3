// A hundred thousand denied datagrams in a second: every one is in an event, or counted as lost.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NewEvent } from '../../audit/spool/index.ts';
import { netlinkTable } from '../../enforcer/firewall/index.ts';
import { ports } from '../../test/firewall/cell.ts';
import { createNetwork } from '../../test/support/netns.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';
import { floodFrom } from './flood.ts';
import { clientHost, FIRST_STRANGER, namespacePath, planOfPeers, routePeers, serverHost } from './world.ts';

const DENIALS = 100_000;
const SECOND_STRANGER = '10.67.64.0';

export interface Denials {
  readonly sent: number;
  readonly seconds: number;
  /** Packets that the kernel's rules logged and dropped, whatever they were. */
  readonly dropped: number;
  readonly received: number;
  readonly lost: number;
}

const specs = {
  unaccounted: {
    id: 'denialsUnaccounted',
    unit: 'packets',
    goal: { relation: 'exactly', value: 0, text: '100,000 denials in a second: 0 lost or exactly counted' },
  },
  seconds: {
    id: 'denialsSeconds',
    unit: 's',
    goal: { relation: 'at most', value: 1.1, text: '100,000 denials in a second' },
  },
  lost: { id: 'denialsLostAndCounted', unit: 'packets' },
} as const satisfies Record<string, FigureSpec>;

export async function measureDenials({ quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  const rounds: Denials[] = [];
  for (let round = 0; round < (quick ? 2 : 5); round += 1) {
    progress(`${DENIALS} denials`);
    rounds.push(await measure());
  }
  return denialFigures(rounds);
}

async function measure(): Promise<Denials> {
  const directory = await mkdtemp(join(tmpdir(), 'firewall-'));
  try {
    await using net = await createNetwork({ hosts: { plc: serverHost(), client: clientHost } });
    await routePeers(net, 'client', ['plc']);
    const program = join(import.meta.dirname, '../../test/firewall/edge-process.ts');
    const input = JSON.stringify(planOfPeers({ peers: 10 }));
    const edge = net.spawn('plc', [process.execPath, program, directory], { input });
    await edge.waitFor(/in force/);
    // One sender alone is too slow.
    const floods = await Promise.all(
      [FIRST_STRANGER, SECOND_STRANGER].map((first) =>
        floodFrom(net, 'client', { port: ports.telemetry, from: [first, 200], perSecond: DENIALS, seconds: 1 }),
      ),
    );
    const flooded = await Promise.all(floods.map((flood) => flood.start().over));
    const sent = flooded.reduce((sum, one) => sum + one.sent, 0);
    const seconds = Math.max(...flooded.map((one) => one.seconds));
    await delay(1_000);
    // The number of the next packet that comes through tells how many were lost before it.
    const last = await floodFrom(net, 'client', {
      port: ports.telemetry,
      from: [FIRST_STRANGER, 1],
      perSecond: 10,
      seconds: 0.3,
      sockets: 1,
    });
    const more = await last.start().over;
    await delay(1_500);
    const dropped = await kernelDrops(namespacePath(net, 'plc'));
    await edge.stop();
    const events = edge
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as NewEvent)
      .filter(({ kind }) => kind === 'packet');
    const sum = (activity: string, field: 'count' | 'lost'): number =>
      events
        .filter((event) => event.activity === activity)
        .reduce((all, { data }) => all + Number(data[field] ?? 0), 0);
    return { sent: sent + more.sent, seconds, dropped, received: sum('deny', 'count'), lost: sum('lost', 'lost') };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What the counters of the rules say that log: the kernel's own word. */
async function kernelDrops(namespace: string): Promise<number> {
  const kernel = netlinkTable(namespace);
  const listing = await kernel.read();
  kernel.close();
  const logged = (listing?.rules ?? []).filter(({ log }) => log !== '');
  return logged.reduce((all, { packets }) => all + packets, 0);
}

export function denialFigures(rounds: readonly Denials[]): Figure[] {
  const against = { rounds };
  const few = rounds.find(({ sent, dropped }) => sent < DENIALS || dropped < sent);
  const fault =
    rounds.length === 0
      ? 'no rounds'
      : few === undefined
        ? undefined
        : `${few.sent} of ${DENIALS} were sent, ${few.dropped} denied`;
  if (fault !== undefined) return Object.values(specs).map((spec) => unmeasured(spec, fault, against));
  const unaccounted = rounds.map(({ dropped, received, lost }) => Math.abs(dropped - received - lost));
  return [
    figure(specs.unaccounted, Math.max(...unaccounted), against),
    figure(specs.seconds, Math.max(...rounds.map(({ seconds, sent }) => (seconds * DENIALS) / sent))),
    figure(specs.lost, Math.max(...rounds.map(({ lost }) => lost))),
  ];
}
