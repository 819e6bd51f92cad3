// What a run of the oracle has shown, as figures with the goals, and a table for people.
import { type Figure, figure, type FigureSpec } from '../../../bench/machine.ts';
import type { Tally } from './differential.ts';

const goals = {
  cases: { id: 'cases', unit: 'cases' },
  allowed: {
    id: 'allowedShare',
    unit: '1',
    goal: { relation: 'at least', value: 0.3, text: 'at least 30 % allowed' },
  },
  unexplained: {
    id: 'unexplained',
    unit: 'differences',
    goal: { relation: 'exactly', value: 0, text: '0 differences beyond the published list' },
  },
} as const satisfies Record<string, FigureSpec>;

/** The issue asks for 10,000 of each in 1,000,000 cases; smaller runs are held to the same share. */
const EXERCISED_SHARE = 0.01;

export function figuresOf(tally: Tally, seed: number): Figure[] {
  const exercised = (id: string, counts: ReadonlyMap<string, { readonly cases: number }>): Figure => {
    const rows = [...counts].map(([name, { cases }]) => [name, cases] as const);
    const wanted = Math.floor(tally.cases * EXERCISED_SHARE);
    return figure(
      {
        id,
        unit: 'cases',
        goal: { relation: 'at least', value: wanted, text: 'every one at least 10,000 times in 1,000,000' },
      },
      Math.min(...rows.map(([, cases]) => cases)),
      Object.fromEntries(rows),
    );
  };
  return [
    figure(goals.cases, tally.cases, { instances: tally.instances, seed }),
    figure(goals.allowed, tally.allowed / tally.cases, { allowed: tally.allowed }),
    figure(goals.unexplained, tally.differences.length, {
      explained: Object.fromEntries(tally.explained),
      refused: Object.fromEntries(tally.refused),
    }),
    exercised('operatorMinimum', tally.operators),
    exercised('effectMinimum', tally.effects),
  ];
}

export function tableOf(tally: Tally): string {
  const row = (cells: readonly (string | number)[]): string => cells.map((cell) => String(cell).padStart(12)).join('');
  const exercise = [...tally.operators, ...tally.effects].map(([name, { cases, held, failed }]) =>
    row([cases, held, failed]).concat(`  ${name}`),
  );
  const explained = [...tally.explained].map(([id, { denies, widens, answers }]) =>
    row([denies, widens, answers]).concat(`  ${id}`),
  );
  const refused = [...tally.refused].map(([id, cases]) => row([cases]).concat(`  ${id}`));
  return [
    `${tally.cases} cases of ${tally.instances} models, ${((100 * tally.allowed) / tally.cases).toFixed(1)} % allowed`,
    row(['exercised', 'true', 'false']),
    ...exercise,
    row(['denied', 'widened', 'answered']),
    ...explained,
    row(['refused']),
    ...refused,
    `${tally.differences.length} unexplained differences`,
    '',
  ].join('\n');
}
