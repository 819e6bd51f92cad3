// A process that applies one generation after the other is killed at a random moment, again and again; every other time the
// next one begins at once, otherwise the kernel is left alone until its own timer has run out. Then the control plane must be
// reachable. All the time datagrams come in that no generation grants, and none may be seen behind every filter.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { host, ports } from '../../test/firewall/cell.ts';
import { createNetwork, type NetProcess } from '../../test/support/netns.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';
import { floodFrom } from './flood.ts';
import { GRANTED } from './kill-plans.ts';
import {
  CLOSED_PORT,
  clientHost,
  FIRST_PEER,
  FIRST_STRANGER,
  routePeers,
  scriptOf,
  serverHost,
  witness,
} from './world.ts';

/** Short; the product keeps two seconds of it for itself, and what is left is the time for the proof. */
const CONFIRM_MS = 3_000;
/** Past the kernel's timer, which counts from a little later than the process does. */
const AFTER_MS = 200;
/** Milliseconds after it begins within which a process is killed: some whole applies. */
const SPAN_MS = 400;
const LANES = 3;
const PER_SECOND = 1_000;

export interface Kills {
  readonly kills: number;
  readonly leftDead: number;
  /** Kills after which a generation was live that nobody had confirmed. */
  readonly unconfirmed: number;
  /** After which the candidate was still live when its time was over; the control plane was not reached. */
  readonly stuck: number;
  readonly lockOuts: number;
  /** Applies that were begun, and restores that found no good plan. */
  readonly applies: number;
  /** Of those, applies that were refused or fell back while the process lived. */
  readonly refused: number;
  readonly lockdowns: number;
  readonly denied: { readonly sent: number; readonly arrived: number; readonly accepted: number };
  readonly granted: { readonly sent: number; readonly arrived: number; readonly accepted: number };
}

const specs = {
  lockOuts: {
    id: 'killLockOuts',
    unit: 'kills',
    goal: { relation: 'exactly', value: 0, text: '1,000 kills at random moments of apply: 0 lock-outs' },
  },
  accepted: {
    id: 'killWronglyAccepted',
    unit: 'packets',
    goal: { relation: 'exactly', value: 0, text: '0 packets accepted that both generations deny' },
  },
  lost: { id: 'killGrantedLost', unit: 'packets' },
} as const satisfies Record<string, FigureSpec>;

export async function measureKills({ quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  const wanted = quick ? 40 : 1_000;
  progress(`${wanted} kills, in ${LANES} networks side by side`);
  let begun = 0;
  const next = (): number | undefined => {
    if (begun >= wanted) return undefined;
    begun += 1;
    if (begun % 100 === 0) progress(`${begun} kills`);
    return begun;
  };
  return killFigures(await Promise.all(Array.from({ length: LANES }, () => lane(next))), wanted);
}

async function lane(next: () => number | undefined): Promise<Kills> {
  const directory = await mkdtemp(join(tmpdir(), 'firewall-'));
  try {
    return await killInLane(directory, next);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function killInLane(directory: string, next: () => number | undefined): Promise<Kills> {
  const [control] = host.controlEndpoints;
  if (control === undefined) throw new Error('no control plane');
  await using net = await createNetwork({
    hosts: { plc: serverHost(), client: clientHost, control: serverHost(control.address) },
  });
  await routePeers(net, 'client', ['plc']);
  const sink = net.spawn('plc', ['python3', scriptOf('sink.py'), String(ports.telemetry), String(CLOSED_PORT)]);
  await sink.waitFor(/ready/);
  await net.echo('control', 'tcp', control.port);
  const agent = (): NetProcess => {
    const program = join(import.meta.dirname, 'kill-agent.ts');
    return net.spawn('plc', [process.execPath, program, directory, String(CONFIRM_MS)]);
  };
  const begin = async (one: NetProcess): Promise<void> => {
    await one.waitFor(/loaded/, 60_000);
    one.child.stdin?.write('go\n');
    await one.waitFor(/restored/, 60_000);
  };
  /** The first one makes the table; before it, everything would be accepted. */
  let running = agent();
  let standby = agent();
  await begin(running);
  await running.waitFor(/applying(.|\n)*applying/, 60_000);
  const match = {
    granted: `ip saddr 10.64.0.0/24 udp dport ${ports.telemetry}`,
    denied: `udp dport ${CLOSED_PORT}`,
    stranger: `ip saddr 10.67.0.0/16 udp dport ${ports.telemetry}`,
  };
  const named = (prefix: string) =>
    Object.fromEntries(Object.entries(match).map(([name, text]) => [`${prefix}_${name}`, text]));
  const seen = await witness(net, 'plc', named('arrived'), named('accepted'));
  const floods = await Promise.all([
    floodFrom(net, 'client', flooding(ports.telemetry, [FIRST_PEER, GRANTED])),
    floodFrom(net, 'client', flooding(CLOSED_PORT, [FIRST_PEER, GRANTED])),
    floodFrom(net, 'client', flooding(ports.telemetry, [FIRST_STRANGER, GRANTED])),
  ]);
  const flowing = floods.map((flood) => flood.start());
  const candidateIsLive = async (): Promise<boolean> => {
    const { code, stdout } = await net.exec('plc', ['nft', '-j', 'list', 'set', 'inet', 'edgeward', 'candidate']);
    if (code !== 0) throw new Error('the table is gone');
    return stdout.includes('"elem"');
  };
  const isReached = async (): Promise<boolean> =>
    (await net.probeTcp('plc', control.address, control.port, { timeoutMs: 2_000 })) === 'open';
  const tally = { kills: 0, leftDead: 0, unconfirmed: 0, stuck: 0, lockOuts: 0, applies: 0, refused: 0, lockdowns: 0 };
  for (let number = next(); number !== undefined; number = next()) {
    await pause(Math.random() * SPAN_MS);
    await running.stop('SIGKILL');
    tally.kills += 1;
    tally.applies += running.output().split('applying').length - 1;
    tally.refused += running.output().split('refused').length - 1;
    if (/restored lockdown/.test(running.output()) && tally.kills > 1) tally.lockdowns += 1;
    if (await candidateIsLive()) tally.unconfirmed += 1;
    const isLeft = Math.random() < 0.5;
    if (isLeft) {
      tally.leftDead += 1;
      await delay(CONFIRM_MS + AFTER_MS);
      if (await candidateIsLive()) tally.stuck += 1;
      if (!(await isReached())) tally.lockOuts += 1;
    }
    running = standby;
    standby = agent();
    await begin(running);
    if (!isLeft && !(await isReached())) tally.lockOuts += 1;
  }
  await Promise.all([running, standby].map((one) => one.stop('SIGKILL')));
  for (const flood of flowing) flood.stop();
  const [granted, denied, stranger] = await Promise.all(flowing.map((flood) => flood.over));
  await delay(300);
  const counts = await seen.counts();
  const count = (name: string): number => counts[name] ?? Number.NaN;
  const both = (kind: 'arrived' | 'accepted'): number => count(`${kind}_denied`) + count(`${kind}_stranger`);
  return {
    ...tally,
    denied: { sent: denied!.sent + stranger!.sent, arrived: both('arrived'), accepted: both('accepted') },
    granted: { sent: granted!.sent, arrived: count('arrived_granted'), accepted: count('accepted_granted') },
  };
}

const flooding = (port: number, from: [string, number]) => ({
  port,
  from,
  perSecond: PER_SECOND,
  seconds: 7_200,
  sockets: 64,
});

/** Timers fire on whole milliseconds; the rest is waited out. */
async function pause(ms: number): Promise<void> {
  const until = performance.now() + ms;
  await delay(Math.floor(ms));
  while (performance.now() < until);
}

export function killFigures(lanes: readonly Kills[], wanted: number): Figure[] {
  const sum = (value: (one: Kills) => number): number => lanes.reduce((all, one) => all + value(one), 0);
  const against = {
    kills: sum(({ kills }) => kills),
    leftDead: sum(({ leftDead }) => leftDead),
    withUnconfirmedGeneration: sum(({ unconfirmed }) => unconfirmed),
    applies: sum(({ applies }) => applies),
    refused: sum(({ refused }) => refused),
    confirmMs: CONFIRM_MS,
    lockdowns: sum(({ lockdowns }) => lockdowns),
    stuck: sum(({ stuck }) => stuck),
    deniedArrived: sum(({ denied }) => denied.arrived),
    grantedArrived: sum(({ granted }) => granted.arrived),
  };
  const accepted = sum(({ granted }) => granted.accepted);
  const fault =
    against.kills < wanted
      ? `${against.kills} of ${wanted} kills`
      : against.leftDead < wanted / 4
        ? `${against.leftDead} kills after which nobody came back`
        : against.refused > against.applies / 10
          ? `${against.refused} of ${against.applies} applies were refused or fell back: hardly a generation was confirmed`
          : against.withUnconfirmedGeneration < wanted / 20
            ? `${against.withUnconfirmedGeneration} kills met a generation that nobody had confirmed`
            : accepted < against.grantedArrived / 2
              ? `${accepted} of ${against.grantedArrived} granted packets were accepted`
              : against.deniedArrived === 0
                ? 'no denied packet arrived'
                : undefined;
  if (fault !== undefined) return Object.values(specs).map((spec) => unmeasured(spec, fault, against));
  return [
    // A generation that outlives its time is as bad as one that locks out.
    figure(specs.lockOuts, sum(({ lockOuts }) => lockOuts) + against.stuck, against),
    figure(
      specs.accepted,
      sum(({ denied }) => denied.accepted),
      against,
    ),
    figure(specs.lost, against.grantedArrived - accepted, { grantedArrived: against.grantedArrived }),
  ];
}
