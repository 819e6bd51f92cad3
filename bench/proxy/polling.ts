// Fifty masters that poll ten times a second, while others attack, a device is quarantined, and the policy is reloaded.
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchOptions } from '../bench-options.ts';
import { peerAddress, SERVER } from '../firewall/world.ts';
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';
import type { Attacked } from './jobs/attack.ts';
import type { Polled } from './jobs/poll.ts';
import { peerName, ports } from './policy.ts';
import { type BenchWorld, PATH } from './world.ts';

const CLIENTS = 50;
const PERIOD_MS = 100;
/** Polls too, and is quarantined in the middle. */
const SUSPECT = 60;
const FIRST_ATTACKER = 100;
const ATTACKERS = 100;
const CONNECTIONS_PER_SECOND = 300;
const RELOAD_EVERY_MS = 1_000;
/** Of the polls that are due; a client that is too slow to ask says nothing about answers. */
const LEAST_SHARE = 0.95;

const spec = {
  id: 'missedPolls',
  unit: 'polls',
  goal: {
    relation: 'exactly',
    value: 0,
    text: 'legitimate polling at 10 Hz from 50 clients during attack, quarantine and reload: 0 missed',
  },
} as const satisfies FigureSpec;

export interface PollingSeen {
  readonly polled: Polled;
  readonly suspect: Polled;
  readonly attacked: Attacked;
  readonly reloads: number;
  readonly seconds: number;
  /** Milliseconds since the first poll. */
  readonly quarantinedAtMs: number;
  /** Of one core, by the edge's process. */
  readonly edgeCpuShare: number;
  /** Requests that the server saw and that nobody may make. */
  readonly forbidden: number;
}

export async function measurePolling(world: BenchWorld, { quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  const seconds = quick ? 10 : 60;
  progress(`${CLIENTS} clients poll for ${seconds} s during an attack`);
  const target = { address: SERVER, port: ports.modbus };
  await using masters = await world.client();
  await using suspect = await world.client();
  await using attacker = await world.client();
  const from = Array.from({ length: CLIENTS }, (_, at) => peerAddress(at));
  const polling = masters.order({ job: 'poll', target, from, periodMs: PERIOD_MS, seconds });
  const suspicious = suspect.order({
    job: 'poll',
    target,
    from: [peerAddress(SUSPECT)],
    periodMs: PERIOD_MS,
    seconds,
  });
  const before = await world.edge.use();
  const begun = performance.now();
  await delay(500);
  const attacking = attacker.order({
    job: 'attack',
    target,
    peers: Array.from({ length: ATTACKERS }, (_, at) => peerAddress(FIRST_ATTACKER + at)),
    strangers: ['10.67.0.1', '10.67.0.2', '10.67.0.3'],
    seconds: seconds - 1,
    connectionsPerSecond: CONNECTIONS_PER_SECOND,
  });
  let quarantinedAtMs = Number.NaN;
  let reloads = 0;
  while (performance.now() - begun < (seconds - 1) * 1_000) {
    if (Number.isNaN(quarantinedAtMs) && performance.now() - begun > seconds * 400) {
      await world.edge.quarantine(peerName(SUSPECT));
      quarantinedAtMs = Math.round(performance.now() - begun);
    }
    await world.edge.reload();
    reloads += 1;
    await delay(RELOAD_EVERY_MS);
  }
  const [polled, ofSuspect, attacked] = await Promise.all([polling, suspicious, attacking]);
  const after = await world.edge.use();
  const edgeCpuShare = Math.round((after.cpuUs - before.cpuUs) / (seconds * 10_000)) / 100;
  const { forbidden } = await world.server('plc');
  return pollingFigures({
    polled,
    suspect: ofSuspect,
    attacked,
    reloads,
    seconds,
    quarantinedAtMs,
    forbidden,
    edgeCpuShare,
  });
}

export function pollingFigures(seen: PollingSeen): Figure[] {
  const { polled, suspect, attacked, reloads, seconds, quarantinedAtMs, forbidden, edgeCpuShare } = seen;
  const due = (CLIENTS * seconds * 1_000) / PERIOD_MS;
  const { drops, ...quarantined } = suspect;
  const against = {
    polled,
    due,
    quarantined: { ...quarantined, quarantinedAtMs, firstDropAtMs: drops[0]?.atMs },
    attacked,
    reloads,
    forbidden,
    edgeCpuShare,
    path: PATH,
  };
  const faults = [
    polled.polls < due * LEAST_SHARE && `${polled.polls} polls of ${due}: the client is too slow to ask`,
    reloads < seconds / 5 && `${reloads} reloads in ${seconds} s`,
    attacked.established < seconds * 10 && `${attacked.established} connections of the attack came up`,
    suspect.missed === 0 && 'the quarantined device was still answered',
    forbidden > 0 && `${forbidden} denied requests reached the server`,
  ].filter((fault) => fault !== false);
  if (faults.length > 0) return [unmeasured(spec, faults.join('; '), against)];
  return [figure(spec, polled.missed, against)];
}
