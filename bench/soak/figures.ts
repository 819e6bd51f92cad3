// The figures of the soak with their goals, as issue 2 writes them, and how each is made of what the parts saw.
import { type Figure, type FigureSpec, figure, incomplete, percentile, spread, unmeasured } from '../machine.ts';
import type { PowerCutsResult } from '../../test/audit/power-cuts.ts';
import { type AttackRound, hostileActions } from './attacks.ts';
import type { KillsResult } from './kills.ts';
import type { Publication } from './publishes.ts';

const none = { relation: 'exactly', value: 0 } as const;

export const specs = {
  contain: { id: 'containP95Ms', unit: 'ms', goal: { relation: 'at most', value: 3_000, text: 'p95 ≤ 3 s' } },
  attackFaults: {
    id: 'attackFaults',
    unit: 'attacks',
    goal: { ...none, text: 'no attack gets through, every one is contained, every way back works' },
  },
  publish: { id: 'publishToEnforcedP95Ms', unit: 'ms', goal: { relation: 'at most', value: 2_000, text: 'p95 ≤ 2 s' } },
  publishFaults: {
    id: 'publishFaults',
    unit: 'publications',
    goal: { ...none, text: 'every publication is enforced on every edge' },
  },
  ackedLost: { id: 'ackedLost', unit: 'events', goal: { ...none, text: '0 acknowledged events lost' } },
  storedTwice: { id: 'storedTwice', unit: 'events', goal: { ...none, text: '0 stored twice' } },
  gaps: { id: 'logGaps', unit: 'events', goal: { ...none, text: 'no gap in a chain of the log' } },
  verified: {
    id: 'auditVerified',
    unit: 'verifications',
    goal: { relation: 'exactly', value: 1, text: 'audit verify of the exported log: ok' },
  },
  ends: {
    id: 'unexpectedEnds',
    unit: 'ends',
    goal: { ...none, text: 'no program ends or does not start but for a kill' },
  },
  events: {
    id: 'eventsPerSecond',
    unit: 'events/s',
    goal: { relation: 'at least', value: 500, text: '≥ 500 acknowledged events/s' },
  },
  wrong: { id: 'wrongAccepts', unit: 'probes', goal: { ...none, text: '100 probes/s without a grant: 0 accepted' } },
  probes: {
    id: 'probesPerSecond',
    unit: 'probes/s',
    goal: { relation: 'at least', value: 100, text: '100 probes/s without a grant' },
  },
  granted: {
    id: 'grantedAllowedShare',
    unit: 'share',
    goal: {
      relation: 'at least',
      value: 0.99,
      text: '≥ 99 % of granted requests allowed outside the restart window (kill to serving again)',
    },
  },
  cutLost: {
    id: 'powerCutAckedLost',
    unit: 'events',
    goal: { ...none, text: '0 acknowledged events lost over 1,000 power cuts' },
  },
  cutTwice: {
    id: 'powerCutStoredTwice',
    unit: 'events',
    goal: { ...none, text: '0 stored twice over 1,000 power cuts' },
  },
} as const satisfies Record<string, FigureSpec>;

export interface Wanted {
  readonly attacks: number;
  readonly publishes: number;
  readonly kills: number;
  readonly powerCuts: number;
}

/** A device that was not contained counts with the longest time there is, so that the 95th percentile shows it. */
export function attackFigures(rounds: readonly AttackRound[], wanted: number): Figure[] {
  if (rounds.length === 0) {
    return [specs.contain, specs.attackFaults].map((spec) => unmeasured(spec, 'no attack ran'));
  }
  const times = rounds.map(({ containMs }) => containMs ?? Number.POSITIVE_INFINITY);
  const faults = rounds.flatMap(({ fault, action }, n) =>
    fault === undefined ? [] : [`round ${n + 1}, ${action}: ${fault}`],
  );
  const byAction = Object.fromEntries(
    hostileActions.map((action) => [
      action,
      spread(
        rounds.flatMap((round) => (round.action === action && round.containMs !== undefined ? [round.containMs] : [])),
      ),
    ]),
  );
  const against = {
    rounds: rounds.length,
    wanted,
    notContained: rounds.filter(({ containMs }) => containMs === undefined).length,
    ms: spread(times.filter(Number.isFinite)),
    byAction,
  };
  const p95 = percentile(times, 0.95) ?? Number.POSITIVE_INFINITY;
  const figures = [
    Number.isFinite(p95)
      ? figure(specs.contain, Math.round(p95), against)
      : unmeasured(specs.contain, 'gateway-1 was not contained in more than 5 % of the attacks', against),
    figure(specs.attackFaults, faults.length, { rounds: rounds.length, faults }),
  ];
  return complete(figures, rounds.length, wanted, 'attacks');
}

/** Goals are for the whole of what was asked for: a part that stopped early meets none. */
function complete(figures: readonly Figure[], done: number, wanted: number, what: string): Figure[] {
  return done < wanted ? incomplete(figures, `only ${done} of ${wanted} ${what}`) : [...figures];
}

export function publishFigures(publications: readonly Publication[], wanted: number): Figure[] {
  if (publications.length === 0) {
    return [specs.publish, specs.publishFaults].map((spec) => unmeasured(spec, 'nothing was published'));
  }
  const faults = publications.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
  const times = publications.map(({ enforcedMs }) => enforcedMs ?? Number.POSITIVE_INFINITY);
  const against = {
    publications: publications.length,
    wanted,
    ms: spread(times.filter(Number.isFinite)),
    probesAlone: spread(publications.filter(({ fault }) => fault === undefined).map(({ probedMs }) => probedMs)),
    publishCommand: spread(publications.map(({ commandMs }) => commandMs)),
  };
  const p95 = percentile(times, 0.95) ?? Number.POSITIVE_INFINITY;
  const figures = [
    Number.isFinite(p95)
      ? figure(specs.publish, Math.round(p95), against)
      : unmeasured(specs.publish, 'more than 5 % of the publications were not enforced in time', against),
    figure(specs.publishFaults, faults.length, { publications: publications.length, faults }),
  ];
  return complete(figures, publications.length, wanted, 'publications');
}

export function killFigures(result: KillsResult, wanted: number): Figure[] {
  const { reckoning, probes, granted } = result;
  const kills = {
    kills: result.kills,
    wanted,
    seconds: Math.round(result.seconds),
    outageMs: result.outages,
  };
  const shares = Object.fromEntries(
    Object.entries(granted).map(([kind, share]) => [
      kind,
      {
        share: ratio(share.allowed, share.asked),
        asked: share.asked,
        shareInAll: ratio(share.allowedInAll, share.askedInAll),
        refused: share.refused,
      },
    ]),
  );
  const log = {
    acknowledged: reckoning.acknowledged,
    entries: reckoning.entries,
    chains: reckoning.chains,
    drainSeconds: Math.round(result.drainSeconds),
  };
  const figures = [
    figure(specs.ackedLost, reckoning.lost.length, { ...log, ...kills, examples: reckoning.lost.slice(0, 5) }),
    figure(specs.storedTwice, reckoning.twice.length, {
      entries: reckoning.entries,
      examples: reckoning.twice.slice(0, 5),
    }),
    figure(specs.gaps, reckoning.gaps, { entries: reckoning.entries, chains: reckoning.chains }),
    figure(specs.verified, result.verified ? 1 : 0, { entries: reckoning.entries }),
    figure(specs.ends, result.faults.length, { faults: result.faults }),
    figure(specs.events, Math.round(result.eventsPerSecond), {
      acknowledged: reckoning.acknowledged,
      seconds: Math.round(result.seconds),
    }),
    figure(specs.wrong, result.wrong.length, {
      sent: probes.sent,
      saw: probes.saw,
      examples: result.wrong.slice(0, 5),
    }),
    figure(specs.probes, Math.round(probes.perSecond), { sent: probes.sent }),
    figure(specs.granted, Math.min(...Object.values(granted).map(({ allowed, asked }) => ratio(allowed, asked))), {
      worstOf: shares,
    }),
  ];
  const done = Object.values(result.kills).reduce((sum, count) => sum + count, 0);
  return complete(figures, done, wanted, 'kills');
}

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : Math.floor((part / whole) * 1e5) / 1e5);

export function noKillFigures(reason: string): Figure[] {
  const { ackedLost, storedTwice, gaps, verified, ends, events, wrong, probes, granted } = specs;
  return [ackedLost, storedTwice, gaps, verified, ends, events, wrong, probes, granted].map((spec) =>
    unmeasured(spec, reason),
  );
}

export function powerCutFigures(result: PowerCutsResult, cuts: number, seed: number): Figure[] {
  const against = { cuts, seed, acknowledged: result.acknowledged, places: result.places, epochs: result.epochs };
  return [figure(specs.cutLost, result.lost, against), figure(specs.cutTwice, result.duplicated, { cuts, seed })];
}

export function noPowerCutFigures(reason: string): Figure[] {
  return [specs.cutLost, specs.cutTwice].map((spec) => unmeasured(spec, reason));
}
