// How long after an order the last packet of the peer is accepted, with few and with many flows of it under traffic, and how
// soon all its connections have their reset. Real namespaces; every datagram is numbered by who sends it, so that the server
// says which one was the last, and its sender when it had left.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  addresses,
  type Cell,
  type CellHost,
  firewallOn,
  grant,
  openCell,
  planWith,
  ports,
  sliceWith,
  type TestFirewall,
} from '../../test/firewall/cell.ts';
import { lineRequests } from '../../test/support/line-requests.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, percentile, unmeasured } from '../machine.ts';
import { type EndedConnections, monotonicMs, type Received, type RevocationRequest } from './revocation-agent.ts';

interface Plan {
  readonly flows: number;
  readonly samples: number;
}

/** What was seen with one number of flows. */
interface Cuts {
  readonly flows: number;
  /** Milliseconds from the order to the last accepted packet of that peer, and of one that is cut by the next order. */
  readonly lastAcceptedMs: readonly number[];
  readonly nextPeerMs: readonly number[];
  /** Tracked connections that each receipt counted. */
  readonly ended: readonly number[];
  /** Datagrams accepted a tenth of a second after the order or later. */
  readonly late: number;
}

interface Resets {
  readonly connections: number;
  readonly reset: number;
  /** From the order until the peer had the last reset. */
  readonly lastMs: number;
}

type Ask = <Answer>(request: RevocationRequest) => Promise<Answer>;

/** Datagrams a millisecond of the peer that is measured: enough that one passes in every gap that counts. */
const PER_MS = 3;
const SETTLE_MS = 100;
const CONNECTIONS = 10_000;

export async function measureRevocation({ quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  const plans: readonly Plan[] = [
    { flows: 1, samples: quick ? 30 : 300 },
    { flows: quick ? 1_000 : 10_000, samples: quick ? 20 : 150 },
  ];
  const cuts: Cuts[] = [];
  for (const plan of plans) {
    progress(`revocation of a peer with ${plan.flows} flows, ${plan.samples} times`);
    cuts.push(await inCell((bench) => measureCuts(bench, plan)));
  }
  const resets: Resets[] = [];
  for (let round = 0; round < (quick ? 1 : 5); round += 1) {
    progress('resets of idle connections');
    resets.push(await inCell((bench) => measureResets(bench, quick ? 1_000 : CONNECTIONS)));
  }
  return revocationFigures(cuts, resets, quick);
}

interface Bench {
  readonly firewall: TestFirewall;
  readonly server: Ask;
  readonly peer: Ask;
  readonly next: Ask;
}

async function inCell<T>(work: (bench: Bench) => Promise<T>): Promise<T> {
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const grants = ['gateway', 'camera'].flatMap((subject) => [grant(subject, 'status'), grant(subject, 'telemetry')]);
  await firewall.apply(planWith(sliceWith(grants)));
  const [server, peer, next] = [agentOn(cell, 'plc'), agentOn(cell, 'gateway'), agentOn(cell, 'camera')];
  await server({ op: 'serve', udp: ports.telemetry, tcp: ports.status });
  return await work({ firewall, server, peer, next });
}

function agentOn(cell: Cell, host: CellHost): Ask {
  const program = [process.execPath, join(import.meta.dirname, 'revocation-agent.ts')];
  const requests = lineRequests(cell.spawn(host, program).child, `the agent of ${host}`);
  return async <Answer>(request: RevocationRequest) => (await requests(request)) as Answer;
}

async function measureCuts({ firewall, server, peer, next }: Bench, { flows, samples }: Plan): Promise<Cuts> {
  const cuts = { flows, lastAcceptedMs: [] as number[], nextPeerMs: [] as number[], ended: [] as number[], late: 0 };
  const to = { op: 'open', protocol: 'udp', address: addresses.plc.cell, port: ports.telemetry } as const;
  await Promise.all([peer({ ...to, count: flows }), next({ ...to, count: 1 })]);
  let sequence = 0;
  for (let sample = 0; sample < samples; sample += 1) {
    await establish(peer, flows);
    await establish(next, 1);
    await Promise.all([peer({ op: 'busy', perMs: PER_MS }), next({ op: 'busy', perMs: 1 })]);
    await delay(20 + Math.random() * 10);
    const ordered = monotonicMs();
    const orders = ['gateway', 'camera'].map((device) =>
      firewall.contain({ device, containment: 'revoked', sequence: (sequence += 1) }),
    );
    await Promise.all([...orders, delay(SETTLE_MS)]);
    const last = await server<Received>({ op: 'received' });
    await delay(SETTLE_MS);
    const later = await server<Received>({ op: 'received' });
    cuts.late += later.count - last.count;
    for (const [agent, address, into] of [
      [peer, addresses.gateway.cell, cuts.lastAcceptedMs],
      [next, addresses.camera.cell, cuts.nextPeerMs],
    ] as const) {
      const sent = await agent<number>({ op: 'sent', number: last.highest[address] ?? 0 });
      into.push(Math.max(0, sent - ordered));
    }
    const receipt = firewall.events.findLast(({ data }) => data['device'] === 'gateway')?.data ?? {};
    cuts.ended.push(Number(receipt['flows']));
    await Promise.all([peer({ op: 'busy', perMs: 0 }), next({ op: 'busy', perMs: 0 })]);
    for (const device of ['gateway', 'camera']) {
      await firewall.contain({ device, containment: undefined, sequence: (sequence += 1) });
    }
  }
  return cuts;
}

/** Every flow with an answer, so that the kernel tracks it as established. */
async function establish(agent: Ask, flows: number): Promise<void> {
  for (let tries = 0; tries < 10; tries += 1) {
    if ((await agent<number>({ op: 'touch', timeoutMs: 2_000 })) >= flows) return;
  }
  throw new Error(`not all of ${flows} flows could be established`);
}

async function measureResets({ firewall, peer }: Bench, connections: number): Promise<Resets> {
  const address = addresses.plc.cell;
  await peer({ op: 'open', protocol: 'tcp', address, port: ports.status, count: connections });
  const ordered = monotonicMs();
  await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 1 });
  await delay(1_000);
  const ended = await peer<EndedConnections>({ op: 'ended' });
  return { connections, reset: ended.ended, lastMs: ended.lastAt - ordered };
}

const atMost = (value: number, text: string): Required<FigureSpec>['goal'] => ({ relation: 'at most', value, text });
const round = (value: number): number => Math.round(value * 1_000) / 1_000;

function revocationFigures(cuts: readonly Cuts[], resets: readonly Resets[], isQuick: boolean): Figure[] {
  const p99 = (values: readonly number[]): number => round(percentile(values, 0.99) ?? Number.NaN);
  const spread = (values: readonly number[]): Figure['against'] => ({
    n: values.length,
    p50: round(percentile(values, 0.5) ?? Number.NaN),
    max: round(Math.max(...values)),
  });
  const goal = atMost(5, 'last accepted packet ≤ 5 ms p99, the same with 1 and with 10,000 flows');
  // A quick run has fewer flows and promises nothing of them.
  const spec = (id: string, of: typeof goal): FigureSpec =>
    isQuick ? { id, unit: 'ms' } : { id, unit: 'ms', goal: of };
  const [few, many] = cuts;
  if (few === undefined || many === undefined)
    return [unmeasured({ id: 'revocationP99Ms', unit: 'ms', goal }, 'nothing')];
  const all = resets.reduce((sum, one) => sum + one.connections, 0);
  const reset = resets.reduce((sum, one) => sum + one.reset, 0);
  return [
    figure({ id: 'revocationOneFlowP99Ms', unit: 'ms', goal }, p99(few.lastAcceptedMs), spread(few.lastAcceptedMs)),
    figure(spec('revocationManyFlowsP99Ms', goal), p99(many.lastAcceptedMs), {
      flows: many.flows,
      ended: spread(many.ended),
      ...spread(many.lastAcceptedMs),
    }),
    // Ordered in the same moment for another peer, while the flows of the first are ended.
    figure(spec('revocationNextPeerP99Ms', goal), p99(many.nextPeerMs), spread(many.nextPeerMs)),
    figure(
      { id: 'revocationLatePackets', unit: 'packets', goal: { relation: 'exactly', value: 0, text: '100 % cut' } },
      cuts.reduce((sum, { late }) => sum + late, 0),
    ),
    figure(
      spec('revocationResetsMs', atMost(1_000, 'resets ≤ 1 s')),
      round(Math.max(...resets.map(({ lastMs }) => lastMs))),
      { connections: resets[0]?.connections, rounds: resets.map(({ lastMs }) => round(lastMs)) },
    ),
    figure(
      {
        id: 'revocationConnectionsLeft',
        unit: 'connections',
        goal: { relation: 'exactly', value: 0, text: '100 % cut' },
      },
      all - reset,
    ),
  ];
}
